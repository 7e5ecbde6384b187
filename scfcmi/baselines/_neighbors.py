from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

# Up to here neighbors are exact; beyond, comparing all pairs takes minutes.
_EXACT = 50_000


def nearest(X: np.ndarray, n_neighbors: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return indices of and Euclidean distances to the nearest other cells, both (n_cells, n_neighbors)."""
    if len(X) <= _EXACT:
        distances, indices = NearestNeighbors(n_neighbors=n_neighbors).fit(X).kneighbors()
        return indices, distances
    # Slow to import, and of no use to fewer cells.
    from pynndescent import NNDescent

    indices, distances = NNDescent(X, n_neighbors=n_neighbors + 1, random_state=seed).neighbor_graph
    # A cell comes first among its own neighbors, unless others coincide with it.
    own = indices == np.arange(len(X))[:, None]
    own[~own.any(axis=1), -1] = True
    return tuple(found[~own].reshape(len(X), n_neighbors) for found in (indices, distances))
