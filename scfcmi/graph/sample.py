"""A sample of cells that keeps rare ones, for graphs that cannot hold all."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import kmeans_plusplus
from sklearn.metrics import pairwise_distances_argmin

from scfcmi._scratch import in_order, taken

# Parts from which cells are drawn, and the cells among which their centers are chosen.
_N_PARTS, _AMONG = 500, 5000


def rare_keeping_sample(codes: np.ndarray, n_sample: int, rng: np.random.Generator) -> np.ndarray:
    """Draw cells, their index rising, so that every region of the codes is represented, however few cells it holds.

    The cells are divided into 500 parts, each around one cell. The seeding of k-means++ (Arthur and Vassilvitskii, 2007) chooses
    these, far from each other. Small parts are kept whole; large ones give the same number of cells each.
    """
    if len(codes) <= n_sample:
        return np.arange(len(codes))
    some = taken(codes, rng.choice(len(codes), min(_AMONG, len(codes)), replace=False))
    # One trial a center: several take longer, and hold no more rare cells.
    centers, _ = kmeans_plusplus(
        some, min(_N_PARTS, len(some)), random_state=int(rng.integers(2**31)), n_local_trials=1
    )
    parts = np.concatenate([pairwise_distances_argmin(codes[part], centers) for part in in_order(len(codes))])
    order = rng.permutation(len(codes))
    order = order[np.argsort(parts[order], kind="stable")]
    sizes = np.bincount(parts, minlength=_N_PARTS)
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # First the first cell of every part, then the second, and so on.
    return np.sort(order[np.argsort(rank, kind="stable")[:n_sample]])
