from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from scfcmi import _validate
from scfcmi.baselines._harmony import harmonized
from scfcmi.baselines._inputs import check_inputs, import_extra, one_hot
from scfcmi.baselines._neighbors import nearest
from scfcmi.graph.neighbors import fuzzy_graph

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from scfcmi._random import RandomState

_N_BISECTIONS = 30
_LOWEST_RESOLUTION = 1e-3
_ONE_AT_A_TIME = threading.Lock()


def harmony_leiden(
    X: ArrayLike | sp.spmatrix,
    groups: ArrayLike,
    n_clusters: int,
    random_state: RandomState = 0,
    *,
    n_components: int = 50,
    n_neighbors: int = 15,
) -> np.ndarray:
    """Leiden communities after Harmony, at the resolution that gives the number of clusters asked for.

    The graph is that of ``scanpy.pp.neighbors``, the partition that of ``scanpy.tl.leiden`` with
    ``flavor="igraph"``. Where no resolution gives just this many, the next finer partition is taken and its smallest
    clusters are joined to the nearest.

    Parameters
    ----------
    X
        Features, dense or sparse, shape (n_cells, n_features).
    groups
        Group of each cell, shape (n_cells,).
    n_clusters
        Number of clusters, K.
    random_state
        Seed. An integer gives the same labels again.
    n_components
        Number of principal components, at most. Fewer features than these are taken as they are.
    n_neighbors
        Number of nearest cells in the graph, the cell itself among them.

    Returns
    -------
    Cluster of each cell, int32, shape (n_cells,).

    Raises
    ------
    ImportError
        If harmonypy or igraph is not installed.
    TypeError, ValueError
        If an argument is not as said.

    References
    ----------
    Korsunsky et al., Fast, sensitive and accurate integration of single-cell data with Harmony, Nature Methods, 2019.
    Traag et al., From Louvain to Leiden: guaranteeing well-connected communities, Scientific Reports, 2019.
    """
    inputs = check_inputs(X, groups, n_clusters, random_state)
    n_neighbors = _validate.integer("n_neighbors", n_neighbors, minimum=2)
    igraph = import_extra("igraph", "harmony_leiden")
    components = harmonized(inputs, n_components, "harmony_leiden")
    edges = sp.triu(_connectivities(components, min(n_neighbors, len(components))), k=1).tocoo()
    graph = igraph.Graph(n=len(components), edges=np.column_stack([edges.row, edges.col]))

    def partition(resolution: float) -> np.ndarray:
        # igraph draws from one generator for all threads; Python's own is what it starts with.
        with _ONE_AT_A_TIME:
            igraph.set_random_number_generator(random.Random(inputs.seed))
            try:
                found = graph.community_leiden("modularity", weights=edges.data, resolution=resolution, n_iterations=2)
            finally:
                igraph.set_random_number_generator(random)
        return np.array(found.membership, dtype=np.int32)

    return _joined(_partition_of(partition, inputs.n_clusters), components, inputs.n_clusters)


def _connectivities(components: np.ndarray, n_neighbors: int) -> sp.csr_matrix:
    indices, distances = nearest(components, n_neighbors - 1)
    itself = np.arange(len(components))[:, None]
    return fuzzy_graph(np.hstack([np.zeros_like(distances[:, :1]), distances]), np.hstack([itself, indices]))


def _partition_of(partition: Callable[[float], np.ndarray], n_clusters: int) -> np.ndarray:
    """Return the partition of ``n_clusters``, or the one of fewest clusters above that met on the way."""
    low, high = _LOWEST_RESOLUTION, 1.0
    # High enough a resolution leaves every cell by itself.
    while (finer := partition(high)).max() + 1 < n_clusters:
        low, high = high, 2 * high
    for _ in range(_N_BISECTIONS):
        if finer.max() + 1 == n_clusters:
            break
        middle = np.sqrt(low * high)
        found = partition(middle)
        if found.max() + 1 < n_clusters:
            low = middle
        else:
            high = middle
            finer = min(finer, found, key=np.max)
    return finer


def _joined(labels: np.ndarray, components: np.ndarray, n_clusters: int) -> np.ndarray:
    while (n_found := labels.max() + 1) > n_clusters:
        sizes = np.bincount(labels)
        means = one_hot(labels, n_found).T @ components / sizes[:, None]
        smallest = sizes.argmin()
        distances = np.linalg.norm(means - means[smallest], axis=1)
        distances[smallest] = np.inf
        labels = np.where(labels == smallest, distances.argmin(), labels)
        labels = np.unique(labels, return_inverse=True)[1].astype(np.int32)
    return labels
