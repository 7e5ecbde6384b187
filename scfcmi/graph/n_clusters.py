"""How many clusters the neighbour graph holds: as many as can be told apart."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scfcmi.graph.neighbors import kept_links, modularity, neighbor_graph, spectral_vectors
from scfcmi.graph.partition import cut, directional_cut

_SEPARATE = 0.9
# Noise without any types, in the fifty dimensions of codes, reaches a modularity of 0.3.
_ENOUGH_MODULARITY, _PARTED = 0.9, 0.3
# Parts of the cells that are cut: how many, what share of all, and of how many cells at most. A graph of more cells
# has thinner borders, so that the number must not be read off graphs of any size.
_PARTS, _SHARE, _MAX_PART = 8, 0.8, 3000
_RESTARTS = 5


def separation_curve(codes: np.ndarray, max_clusters: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return how well the worst of K clusters is separated, by K.

    Eight draws of 80 % of the cells (at most 3,000) are cut into K clusters each (:mod:`scfcmi.graph.partition`).
    Separation is the share of its links, by weight, that a cluster keeps to itself, one minus its conductance, of the
    cluster that keeps the least: the normalised cut (Shi and Malik, 2000) minimises the sum of conductances.

    Parameters
    ----------
    codes
        Unit length, shape (n_cells, n_dims).
    max_clusters
        Largest number of clusters looked at; two is the smallest.
    rng
        Source of the draws.

    Returns
    -------
    Columns ``n_clusters``, ``separation`` (mean over draws), ``separation_sd`` and ``modularity``, one row a number of
    clusters.
    """
    n_part = max(2, min(int(_SHARE * len(codes)), _MAX_PART))
    numbers = np.arange(2, max(2, min(max_clusters, n_part // 3)) + 1)
    separation, modular = np.empty((2, _PARTS, len(numbers)))
    for part in range(_PARTS):
        graph = neighbor_graph(codes[np.sort(rng.choice(len(codes), n_part, replace=False))])
        vectors = spectral_vectors(graph, numbers[-1])[1]
        seed = int(rng.integers(2**31))
        labels = [cut(vectors, n, seed, _RESTARTS) for n in numbers]
        separation[part] = [kept_links(graph, clusters).min() for clusters in labels]
        modular[part] = [modularity(graph, directional_cut(vectors, clusters)) for clusters in labels]
    return pd.DataFrame(
        {
            "n_clusters": numbers,
            "separation": separation.mean(axis=0),
            "separation_sd": separation.std(axis=0),
            "modularity": modular.mean(axis=0),
        }
    )


def choose_n_clusters(curve: pd.DataFrame) -> int:
    """Return the largest number of clusters whose separation is at least 0.9; two if there is none.

    Where types run into each other that is far too few. If it has less than nine tenths of the highest modularity, and
    this is at least 0.3, the number of the highest is returned.
    """
    curve = curve.set_index("n_clusters")
    separate = curve.index[curve["separation"] >= _SEPARATE]
    number = int(separate.max()) if len(separate) else int(curve.index.min())
    highest = curve["modularity"].max()
    if highest >= _PARTED and curve["modularity"][number] < _ENOUGH_MODULARITY * highest:
        return int(curve["modularity"].idxmax())
    return number
