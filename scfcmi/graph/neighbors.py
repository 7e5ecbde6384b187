"""Nearest neighbors of codes, and the weighted graph of them that UMAP lays out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize
from sklearn.utils import gen_batches

from scfcmi._threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faiss import Index

# Number of neighbors, the cell itself among them: the default of UMAP and scanpy.
N_NEIGHBORS = 15
# The leading dimensions, which hold the coarse differences, have a graph of their own.
_LEADING = 20
# Above this number of cells, neighbors are searched in an inverted-file index, in this many of its lists.
_EXACT, _LISTS = 10_000, 24
# Neighbors are chosen among so many more, by distances that do not depend on threads; so many cells at a time.
_SPARE, _BLOCK = 5, 1024
# Cells whose codes agree to this many decimals are copies of each other.
_DECIMALS = 3
# Constants of UMAP's smooth_knn_dist.
_MAX_ITER, _TOLERANCE, _MIN_SCALE = 64, 1e-5, 1e-3


def nearest(codes: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cosine distances, rising, and indices of the nearest neighbors of every cell, the cell itself among them.

    Both have the shape (n_cells, n_neighbors), of fewer neighbors where there are fewer cells.
    """
    units, n_cells = normalize(codes).astype(np.float32), len(codes)
    n_neighbors = min(n_neighbors, n_cells)
    found = _index(units).search(units, min(n_neighbors + _SPARE, n_cells))[1]
    distances, indices = np.empty((n_cells, n_neighbors), np.float32), np.empty((n_cells, n_neighbors), np.int64)
    for rows in gen_batches(n_cells, _BLOCK):
        candidates = np.sort(found[rows], axis=1)
        # Half the squared distance of units. faiss rounds differently with another number of threads.
        apart = np.square(units[candidates] - units[rows, None]).sum(axis=2) / 2
        apart[candidates < 0] = np.inf
        order = apart.argsort(axis=1, kind="stable")[:, :n_neighbors]
        distances[rows], indices[rows] = (np.take_along_axis(part, order, axis=1) for part in (apart, candidates))
    # A list may hold fewer cells than neighbors wanted: the cell itself takes the places that are left.
    missing = indices < 0
    return np.where(missing, 0, distances), np.where(missing, np.arange(n_cells)[:, None], indices)


def _index(units: np.ndarray) -> Index:
    """Return a faiss index of codes of unit length, by cosine."""
    import faiss

    flat = faiss.IndexFlatIP(units.shape[1])
    if len(units) <= _EXACT:
        flat.add(units)
        return flat
    n_lists = int(len(units) ** 0.5)
    # A list holds the cells around one cell. Lists around means of k-means find no more neighbors in the same time, and these
    # means depend on threads.
    flat.add(np.ascontiguousarray(units[:: len(units) // n_lists][:n_lists]))
    index = faiss.IndexIVFFlat(flat, units.shape[1], n_lists, faiss.METRIC_INNER_PRODUCT)
    index.is_trained, index.nprobe = True, _LISTS
    index.add(units)
    return index


def fuzzy_graph(distances: np.ndarray, indices: np.ndarray) -> csr_matrix:
    """Return the symmetric weighted graph of nearest neighbors of UMAP (McInnes et al., 2018), from what :func:`nearest` returns.

    The weights equal those of ``umap.umap_.fuzzy_simplicial_set`` to 1e-5. They are computed here without umap-learn,
    which compiles for half a minute when it is first used.
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


def joint_graph(views: Sequence[np.ndarray]) -> csr_matrix:
    """Return the sum of the graphs of several views of the same cells, each in all and in its leading dimensions.

    Sets differ in which view separates their types. The sum is better than any one of them. The most important dimension of
    a view comes first.
    """

    def graph_of(view: np.ndarray) -> csr_matrix:
        sizes = sorted({view.shape[1], min(_LEADING, view.shape[1])})
        return sum(fuzzy_graph(*nearest(view[:, :n_dims], N_NEIGHBORS)) for n_dims in sizes)

    # The search has several threads, the rest of it has one.
    return sum(side_by_side(graph_of, views)).tocsr()


def distinct(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find cells that are copies of each other: they would fill each other's neighborhoods.

    Returns the first cell of every set of copies, rising, and for every cell the number of its set.
    """
    rounded = np.round(normalize(codes), _DECIMALS) + 0.0
    # Sets are numbered as they appear.
    place = pd.factorize(np.array([row.tobytes() for row in rounded], dtype=object))[0]
    return np.unique(place, return_index=True)[1], place


def with_copies(graph: csr_matrix, place: np.ndarray) -> csr_matrix:
    """Return a graph of all cells from one of distinct cells; ``place`` is from :func:`distinct`.

    A copy has the links of its distinct cell, each to one copy of the neighbor, and a link of weight one to the copy before
    it.
    """
    if graph.shape[0] == len(place):
        return graph
    counts = np.bincount(place)
    starts, members = np.cumsum(counts) - counts, np.argsort(place, kind="stable")
    number = np.empty_like(members)
    number[members] = np.arange(len(members)) - np.repeat(starts, counts)
    links = graph[place].tocoo()
    others = members[starts[links.col] + number[links.row] % counts[links.col]]
    later = np.flatnonzero(number > 0)
    before = members[starts[place[later]] + number[later] - 1]
    shape = (len(place), len(place))
    half = csr_matrix((links.data, (links.row, others)), shape=shape)
    chain = csr_matrix((np.ones(len(later), np.float32), (later, before)), shape=shape)
    return half.maximum(half.T) + chain + chain.T
