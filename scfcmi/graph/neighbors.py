"""Nearest neighbors of codes, and the weighted graph of them that UMAP lays out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

if TYPE_CHECKING:
    from collections.abc import Sequence

# Number of neighbors, the cell itself among them: the default of UMAP and scanpy.
N_NEIGHBORS = 15
# Leading dimensions of which a graph of their own is made: these hold the coarse differences.
_LEADING = 20
# Constants of UMAP's smooth_knn_dist.
_MAX_ITER, _TOLERANCE, _MIN_SCALE = 64, 1e-5, 1e-3


def nearest(codes: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest neighbors of every cell by cosine, the cell itself among them.

    Parameters
    ----------
    codes
        Shape (n_cells, n_dims).
    n_neighbors
        Number of neighbors; fewer where there are fewer cells.

    Returns
    -------
    Cosine distances, rising, and indices, both of shape (n_cells, n_neighbors).
    """
    # Of unit vectors, by Euclidean distance: the same order, and scikit-learn finds it without a matrix of distances.
    units = normalize(codes)
    index = NearestNeighbors(n_neighbors=min(n_neighbors, len(codes)), algorithm="brute").fit(units)
    distances, indices = index.kneighbors(units)
    return distances**2 / 2, indices


def fuzzy_graph(distances: np.ndarray, indices: np.ndarray) -> csr_matrix:
    """Return the symmetric weighted graph of nearest neighbors of UMAP (McInnes et al., 2018).

    The weights equal those of ``umap.umap_.fuzzy_simplicial_set`` to 1e-5. They are computed here without umap-learn,
    which compiles for half a minute when it is first used.

    Parameters
    ----------
    distances, indices
        From :func:`nearest`.
    """
    n_cells, n_neighbors = distances.shape
    own = indices == np.arange(n_cells)[:, None]
    # The nearest neighbor that is not at distance zero has weight one.
    nearest_other = np.where(distances > 0, distances, np.inf).min(axis=1)
    nearest_other[np.isinf(nearest_other)] = 0
    beyond = np.maximum(distances - nearest_other[:, None], 0)
    scale = _scales(beyond[:, 1:], np.log2(n_neighbors))
    floor = np.where(nearest_other > 0, distances.mean(axis=1), distances.mean())
    scale = np.maximum(scale, _MIN_SCALE * floor)
    weights = np.exp(-np.divide(beyond, scale[:, None], out=np.zeros_like(beyond), where=scale[:, None] > 0))
    weights[own] = 0
    starts = np.arange(0, n_cells * n_neighbors + 1, n_neighbors)
    graph = csr_matrix((weights.ravel().astype(np.float32), indices.ravel(), starts), shape=(n_cells, n_cells))
    graph.eliminate_zeros()
    other = graph.T.tocsr()
    return graph + other - graph.multiply(other).tocsr()


def _scales(beyond: np.ndarray, target: float) -> np.ndarray:
    """Return, per row, the scale at which ``exp(-beyond / scale)`` sums to ``target``; by bisection, all rows at once."""
    low, high, scale = np.zeros(len(beyond)), np.full(len(beyond), np.inf), np.ones(len(beyond))
    rows = np.arange(len(beyond))
    for _ in range(_MAX_ITER):
        sums = np.exp(-beyond[rows] / scale[rows, None]).sum(axis=1)
        open_ = np.abs(sums - target) >= _TOLERANCE
        rows, above = rows[open_], sums[open_] > target
        if not len(rows):
            break
        high[rows[above]] = scale[rows[above]]
        low[rows[~above]] = scale[rows[~above]]
        unbounded = np.isinf(high[rows])
        scale[rows] = np.where(unbounded, 2 * scale[rows], (low[rows] + np.where(unbounded, 0, high[rows])) / 2)
    return scale


def joint_graph(views: Sequence[np.ndarray], n_neighbors: int = N_NEIGHBORS) -> csr_matrix:
    """Return the sum of the graphs of several views of the same cells, each in all and in its leading dimensions.

    Sets differ in which view separates their types. The sum is better than any one of them.

    Parameters
    ----------
    views
        Codes, each of shape (n_cells, n_dims), the most important dimension first.
    n_neighbors
        Number of neighbors in each graph, the cell itself among them.

    Returns
    -------
    Symmetric, float32, shape (n_cells, n_cells).
    """
    parts = [view[:, :n_dims] for view in views for n_dims in sorted({view.shape[1], min(_LEADING, view.shape[1])})]
    return sum(fuzzy_graph(*nearest(part, n_neighbors)) for part in parts).tocsr()
