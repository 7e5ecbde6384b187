"""Communities of a neighbor graph: Leiden at a resolution, or at a number of clusters."""

from __future__ import annotations

import ctypes
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, triu
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sknetwork.clustering import Leiden, Louvain

from scfcmi._logging import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from scipy.sparse import coo_matrix

_C_LIBRARY = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
_ONE_AT_A_TIME = threading.Lock()
# Default resolution, in the sense of scanpy. docs/atlas_mode.md has the leave-one-set-out table.
RESOLUTION = 0.3
# Leiden runs this often, and the best run is kept. It joins small communities, found at this many times the resolution.
# Of 2.5 to 50 times, this gives the highest modularity on the eight sets.
_BEST_OF, _FINER = 5, 25
# The search for small communities stops when a pass raises modularity by less than this; scikit-network's default is a tenth.
_ENOUGH = 0.01
# A community that is still whole at this resolution is not split.
_HIGHEST = 100.0
# Share of the links left out of a run of the curve.
_LEFT_OUT = 0.2
# A community has parts if, at resolution 1, its own communities keep this share of its links. Smaller ones have no parts.
_PARTS_KEEP, _MIN_PARTED = 0.7, 40
# The curve: resolutions, and runs at each.
_CURVE, _RUNS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0), 4


def leiden(graph: csr_matrix, resolution: float, seed: int) -> np.ndarray:
    """Return communities of high modularity, by Leiden (Traag et al., 2019): labels from zero, the largest community first.

    Leiden is slow on many cells and fast on few nodes. So Louvain first finds many small communities, once. Five runs of
    Leiden join these, and the run of highest modularity is taken. In the end cells move between communities while
    modularity rises. On the eight sets this has a higher modularity than the best of five runs on the cells, in a tenth of
    the time.
    """
    if not graph.nnz:
        return np.arange(graph.shape[0])
    finder = Louvain(_FINER * resolution, "newman", _ENOUGH, _ENOUGH, shuffle_nodes=True, random_state=seed)
    small = finder.fit_predict(graph)
    member = members(small)
    between = (member.T @ graph @ member).tocsr()
    runs = [_one_run(between, resolution, seed + run) for run in range(_BEST_OF)]
    # The modularity of communities of nodes is that of their cells.
    best = max(runs, key=lambda labels: modularity(between, labels, resolution))
    return _settled(graph, best[small], resolution)


def _settled(graph: csr_matrix, labels: np.ndarray, resolution: float) -> np.ndarray:
    """Move every cell to the community where it adds most to modularity, all at once, again while modularity rises."""
    degrees = np.asarray(graph.sum(axis=1)).ravel()
    share = resolution / max(degrees.sum(), 1e-12)
    settled, value = labels, -np.inf
    while True:
        links = (graph @ members(labels)).tocsr()
        cells, communities = np.repeat(np.arange(len(labels)), np.diff(links.indptr)), links.indices
        own, sizes = communities == labels[cells], np.bincount(labels, degrees)
        # Modularity, times all link weight. Its function would compute the links again.
        new_value = links.data[own].sum(dtype=float) - share * np.square(sizes).sum()
        if new_value <= value:
            return by_size(settled)
        settled, value = labels, new_value
        others = sizes[communities] - np.where(own, degrees[cells], 0)
        order = np.lexsort((links.data - share * degrees[cells] * others, cells))
        # The best community of a cell is the last of its run. A cell without links stays.
        last = order[np.flatnonzero(np.diff(cells[order], append=-1))]
        labels = settled.copy()
        labels[cells[last]] = communities[last]
        labels = by_size(np.unique(labels, return_inverse=True)[1])


def members(labels: np.ndarray) -> csr_matrix:
    """Return which cell is in which community, as ones: shape (n_cells, n_clusters)."""
    return csr_matrix((np.ones(len(labels), np.float32), (np.arange(len(labels)), labels)))


def _one_run(graph: csr_matrix, resolution: float, seed: int) -> np.ndarray:
    """Return the communities of one run of Leiden, the largest first."""
    if not graph.nnz:
        return np.arange(graph.shape[0])
    finder = Leiden(resolution=resolution, modularity="newman", shuffle_nodes=True, random_state=seed)
    # scikit-network refines communities with rand() of the C library, whatever random_state is. Seeded under a lock, one
    # run after the other, it gives the same communities in any thread.
    with _ONE_AT_A_TIME:
        _C_LIBRARY.srand(seed % 2**31)
        return finder.fit_predict(graph)


def leiden_at(graph: csr_matrix, n_clusters: int, seed: int) -> np.ndarray:
    """Return ``n_clusters`` communities, the largest first. A ``ConvergenceWarning`` says so if the graph has fewer.

    Start from the communities at the default resolution. If there are too many, join the pair whose union costs least
    modularity until the number is reached; a lower resolution would cut off outliers instead. If there are too few,
    split the one that falls apart most clearly, again and again; a higher resolution would divide the largest one
    instead, whatever it holds. If there are fewer than half, types overlap too much for that: the resolution is doubled
    until there are half.
    """
    resolution, labels = RESOLUTION, leiden(graph, RESOLUTION, seed)
    while 2 * (labels.max() + 1) < n_clusters and resolution < _HIGHEST:
        resolution *= 2
        labels = leiden(graph, resolution, seed)
    if labels.max() + 1 < n_clusters:
        labels = split(graph, labels, n_clusters, seed)
    n_found = labels.max() + 1
    if n_found < n_clusters:
        msg = f"The neighbor graph falls into at most {n_found} parts. You get {n_found} clusters, not n_clusters={n_clusters}."
        warn(msg, ConvergenceWarning)
    return join(graph, labels, n_clusters)


def split(graph: csr_matrix, labels: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """Split the community whose halves have the weakest link, until there are ``n_clusters`` or none can be split.

    The link of two halves is the weight between them over the geometric mean of their degrees, as in normalized cuts (Shi
    and Malik, 2000). It does not depend on the size of the community.
    """
    labels, degrees = labels.copy(), np.asarray(graph.sum(axis=1)).ravel()
    halves: dict[int, tuple[float, np.ndarray]] = {}
    pending, n_found = list(range(labels.max() + 1)), labels.max() + 1
    while n_found < n_clusters:
        for label in pending:
            cells = np.flatnonzero(labels == label)
            second = _second_half(graph[cells][:, cells], seed)
            if second is not None:
                first, second = cells[~second], cells[second]
                link = graph[first][:, second].sum() / np.sqrt(degrees[first].sum() * degrees[second].sum())
                halves[label] = float(link), second
        if not halves:
            break
        weakest = min(halves, key=lambda label: halves[label][0])
        labels[halves.pop(weakest)[1]] = n_found
        pending, n_found = [weakest, n_found], n_found + 1
    return by_size(labels)


def _second_half(graph: csr_matrix, seed: int) -> np.ndarray | None:
    """Return which cells are in the second of two parts of a graph; ``None`` if it does not fall apart."""
    resolution = RESOLUTION
    while resolution <= _HIGHEST:
        parts = _one_run(graph, resolution, seed)
        if parts.max():
            return join(graph, parts, 2) == 1
        resolution *= 2
    return None


def join(graph: csr_matrix, labels: np.ndarray, n_clusters: int) -> np.ndarray:
    """Join the two communities whose union raises modularity most, until ``n_clusters`` are left."""
    links = links_between(graph, labels)
    names = np.arange(len(links))
    while len(links) > n_clusters:
        degrees = links.sum(axis=1)
        gain = links - RESOLUTION * np.outer(degrees, degrees)
        np.fill_diagonal(gain, -np.inf)
        first, second = sorted(np.unravel_index(gain.argmax(), gain.shape))
        links[first] += links[second]
        links[:, first] += links[:, second]
        links = np.delete(np.delete(links, second, axis=0), second, axis=1)
        names = np.where(names == second, first, names)
        names = np.where(names > second, names - 1, names)
    return by_size(names[labels])


def by_size(labels: np.ndarray) -> np.ndarray:
    """Renumber communities, the largest first."""
    return np.argsort(np.argsort(-np.bincount(labels), kind="stable"))[labels]


def links_between(graph: csr_matrix, labels: np.ndarray) -> np.ndarray:
    """Return the share of all link weight between each pair of communities: shape (n_clusters, n_clusters)."""
    member = members(labels)
    links = (member.T @ graph @ member).toarray()
    return links / max(links.sum(), 1e-12)


def own_links(graph: csr_matrix, labels: np.ndarray) -> np.ndarray:
    """Return the share of its links, by weight, that each community keeps to itself: shape (n_clusters,)."""
    links = links_between(graph, labels)
    return np.diag(links) / np.maximum(links.sum(axis=1), 1e-12)


def n_parts(graph: csr_matrix, labels: np.ndarray, seed: int) -> np.ndarray:
    """Return how many communities of its own each community holds, 1 if it is of one piece: shape (n_clusters,).

    It has parts if, at resolution 1, its own communities keep at least 70 % of its links. A uniform cluster of many dimensions
    has communities, too, but they keep less; of one of few dimensions, such as a gradient, they may keep as much. The parts
    are counted at the default resolution.
    """
    counts = np.ones(labels.max() + 1, int)
    for label, size in enumerate(np.bincount(labels)):
        if size >= _MIN_PARTED:
            inside = labels == label
            part = graph[inside][:, inside]
            parts = _one_run(part, 1.0, seed)
            if parts.any() and np.trace(links_between(part, parts)) >= _PARTS_KEEP:
                counts[label] = max(2, _one_run(part, RESOLUTION, seed).max() + 1)
    return counts


def modularity(graph: csr_matrix, labels: np.ndarray, resolution: float = 1.0) -> float:
    """Return the share of links within communities beyond what chance gives (Newman and Girvan, 2004)."""
    links = links_between(graph, labels)
    return float(np.trace(links) - resolution * np.square(links.sum(axis=1)).sum())


def resolution_curve(
    graph: csr_matrix, seed: int, tracked: Callable[[Sequence[float]], Iterable[float]] = iter
) -> pd.DataFrame:
    """Return what a graph holds at each of eleven resolutions, a row each; ``tracked`` wraps their list, to show progress.

    ``n_clusters``; ``modularity``; ``stability``, the mean adjusted Rand index between these communities and those of four runs
    that each leave out a fifth of the links; ``separation``, the share of its links that the least separated community keeps to
    itself. The last two are NaN for one community, which would always have 1.
    """
    upper, rng, rows = triu(graph, 1).tocoo(), np.random.default_rng(seed), []
    for resolution in tracked(_CURVE):
        labels = leiden(graph, resolution, seed)
        others = [leiden(_some_links(upper, rng), resolution, int(rng.integers(2**31 - 1))) for _ in range(_RUNS)]
        several = labels.any()
        rows.append(
            {
                "resolution": resolution,
                "n_clusters": int(labels.max()) + 1,
                "modularity": modularity(graph, labels),
                "stability": np.mean([adjusted_rand_score(labels, other) for other in others]) if several else np.nan,
                "separation": own_links(graph, labels).min() if several else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _some_links(upper: coo_matrix, rng: np.random.Generator) -> csr_matrix:
    kept = rng.random(upper.nnz) >= _LEFT_OUT
    half = csr_matrix((upper.data[kept], (upper.row[kept], upper.col[kept])), shape=upper.shape)
    return half + half.T
