"""A sample of cells that keeps rare ones, for graphs that cannot hold all."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from scfcmi._scratch import in_order, taken

# Fine clusters from which cells are drawn.
_N_PARTS = 500
# k-means is fitted to at most so many cells, drawn at random.
_MAX_FITTED = 200_000


def rare_keeping_sample(codes: np.ndarray, n_sample: int, rng: np.random.Generator) -> np.ndarray:
    """Draw cells so that every region of the codes is represented, however few cells it holds.

    k-means divides the cells into 500 fine parts. Small parts are kept whole; large ones give the same number of cells each.

    Parameters
    ----------
    codes
        Shape (n_cells, n_dims).
    n_sample
        Number of cells to draw.
    rng
        Source of the draw.

    Returns
    -------
    Index of the cells, rising, shape (n_sample,); all cells, if there are no more.
    """
    if len(codes) <= n_sample:
        return np.arange(len(codes))
    seed = int(rng.integers(2**31 - 1))
    drawn = codes
    if len(codes) > _MAX_FITTED:
        drawn = taken(codes, rng.choice(len(codes), _MAX_FITTED, replace=False))
    finder = MiniBatchKMeans(_N_PARTS, batch_size=8192, n_init=1, random_state=seed).fit(drawn)
    parts = np.concatenate([finder.predict(codes[part]) for part in in_order(len(codes))])
    order = rng.permutation(len(codes))
    order = order[np.argsort(parts[order], kind="stable")]
    sizes = np.bincount(parts, minlength=_N_PARTS)
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # First the first cell of every part, then the second, and so on.
    return np.sort(order[np.argsort(rank, kind="stable")[:n_sample]])
