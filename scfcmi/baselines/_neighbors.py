from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

# Up to this many cells, scikit-learn finds neighbors, in double precision. Beyond, it would take minutes.
_FEW = 50_000


def nearest(X: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Return indices of and Euclidean distances to the nearest other cells, both (n_cells, n_neighbors)."""
    if len(X) <= _FEW:
        distances, indices = NearestNeighbors(n_neighbors=n_neighbors).fit(X).kneighbors()
        return indices, distances
    import faiss

    X = np.ascontiguousarray(X, np.float32)
    index = faiss.IndexFlatL2(X.shape[1])
    index.add(X)
    squares, indices = index.search(X, n_neighbors + 1)
    # A cell comes first among its own neighbors, unless others coincide with it.
    own = indices == np.arange(len(X))[:, None]
    own[~own.any(axis=1), -1] = True
    indices, squares = (found[~own].reshape(len(X), n_neighbors) for found in (indices, squares))
    return indices, np.sqrt(np.maximum(squares, 0))
