"""The neighbor graph of atlas mode, from embeddings: of all cells, or of a sample of many.

At a resolution, one more graph is added: of all views together, in units of the variation within clusters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.linalg import cholesky, solve_triangular

from scfcmi._random import Stream, stream
from scfcmi._scratch import in_order, taken
from scfcmi.graph.communities import leiden, members
from scfcmi.graph.neighbors import N_NEIGHBORS, distinct, fuzzy_graph, joint_graph, nearest, with_copies
from scfcmi.graph.sample import rare_keeping_sample
from scfcmi.models.products import product, rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scipy.sparse import csr_matrix

# The graph holds at most this many cells.
_MAX_CELLS = 50_000
# Resolution of the clusters whose cells say what varies within a cluster: scanpy's default. 2 and 3 are hardly
# worse.
_RESOLUTION = 1.0
# Share of the mean variance within clusters that is added to all directions. A tenth of it is as good, five times as much a
# little worse.
_RIDGE = 0.1


class CellGraph(NamedTuple):
    """A neighbor graph in which exact copies of a cell share one node."""

    cells: np.ndarray
    """Index of the cells in the graph, rising, shape (n_in_graph,)."""
    codes: np.ndarray
    """Their embeddings, shape (n_in_graph, n_dims)."""
    place: np.ndarray
    """Their nodes, shape (n_in_graph,)."""
    links: csr_matrix
    """Of the nodes, symmetric, float32."""
    leiden_seed: int
    """Seed of the communities."""

    def of_cells(self) -> csr_matrix:
        """Return the graph with a node for every cell: shape (n_in_graph, n_in_graph)."""
        return with_copies(self.links, self.place)


def cell_graph(embedding: np.ndarray, n_views: int, rng: np.random.Generator, seed: int, *, whiten: bool) -> CellGraph:
    """Return the neighbor graph of cells; of more than 50,000, that of a sample that keeps rare ones.

    The embedding holds the codes in all views side by side. ``rng`` draws the sample, ``seed`` is that of the fit. ``whiten``
    adds the graph in units of what varies within clusters (:func:`whitened`).
    """
    cells = rare_keeping_sample(embedding, _MAX_CELLS, rng)
    codes = taken(embedding, cells)
    first, place = distinct(codes[:, : codes.shape[1] // n_views])
    views = np.split(codes[first], n_views, axis=1)
    if n_views == 1:
        # Dimensions of the user's own may come in any order. Those that vary most lead.
        views = [views[0][:, np.argsort(-views[0].var(axis=0), kind="stable")]]
    leiden_seed = int(stream(seed, Stream.CLUSTERS).integers(2**31 - 1))
    links = joint_graph(views)
    if whiten:
        links = with_whitened_graph(links, views, leiden_seed)
    return CellGraph(cells, codes, place, links, leiden_seed)


def with_whitened_graph(graph: csr_matrix, views: Sequence[np.ndarray], seed: int) -> csr_matrix:
    """Add a graph of all views together, in units of the variation within clusters (:func:`whitened`).

    The clusters are those of the graph so far, at resolution 1. What is added weighs as much as the graph.
    """
    codes = whitened(np.hstack(views), leiden(graph, _RESOLUTION, seed))
    last = fuzzy_graph(*nearest(codes, N_NEIGHBORS))
    return graph + last * np.float32(graph.sum() / max(last.sum(), 1e-12))


def whitened(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return codes in which the cells of a cluster vary more alike in all directions; labels count from zero, none left out.

    Directions that vary within clusters, by noise, by cell cycle or by what is left of the batch, count less beside those in
    which clusters differ, as in linear discriminant analysis and relevant component analysis (Bar-Hillel et al., 2005).
    """
    n_cells, n_dims = codes.shape
    means = members(labels).T @ codes / np.bincount(labels)[:, None]
    within = np.zeros((n_dims, n_dims))
    for part in in_order(n_cells):
        apart = codes[part] - means[labels[part]]
        within += apart.T @ apart / n_cells
    size = np.trace(within) / n_dims
    if size == 0:
        return codes
    within[np.diag_indices(n_dims)] += _RIDGE * size
    # In units of the mean variance, so that numbers are of size one.
    transformation = solve_triangular(cholesky(within / size, lower=True), np.eye(n_dims), lower=True).T
    transformation = torch.from_numpy(rounded(transformation).astype(np.float32))
    return product(torch.from_numpy(codes.astype(np.float32)), transformation).numpy()
