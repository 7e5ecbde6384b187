"""The neighbor graph of atlas mode, from embeddings: of all cells, or of a sample of many."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scfcmi._random import Stream, stream
from scfcmi._scratch import taken
from scfcmi.graph.neighbors import distinct, joint_graph, with_copies
from scfcmi.graph.sample import rare_keeping_sample
from scfcmi.models.atlas.whitening import with_whitened_graph

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# The graph holds at most this many cells.
_MAX_CELLS = 50_000


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
    seed: int
    """Of the communities."""

    def of_cells(self) -> csr_matrix:
        """Return the graph with a node for every cell: shape (n_in_graph, n_in_graph)."""
        return with_copies(self.links, self.place)


def cell_graph(embedding: np.ndarray, n_views: int, rng: np.random.Generator, seed: int, *, whiten: bool) -> CellGraph:
    """Return the neighbor graph of cells; of more than 50,000, that of a sample that keeps rare ones.

    Parameters
    ----------
    embedding
        Codes in all views side by side, shape (n_cells, n_views * n_components).
    n_views
        Number of views.
    rng
        Source of the sample.
    seed
        Of the fit.
    whiten
        Whether to add the graph in units of what varies within clusters (:mod:`scfcmi.models.atlas.whitening`).
    """
    cells = rare_keeping_sample(embedding, _MAX_CELLS, rng)
    codes = taken(embedding, cells)
    first, place = distinct(codes[:, : codes.shape[1] // n_views])
    views = np.split(codes[first], n_views, axis=1)
    if n_views == 1:
        # Dimensions of the user's own may come in any order. Those that vary most lead.
        views = [views[0][:, np.argsort(-views[0].var(axis=0), kind="stable")]]
    seed = int(stream(seed, Stream.CLUSTERS).integers(2**31 - 1))
    links = joint_graph(views)
    if whiten:
        links = with_whitened_graph(links, views, seed)
    return CellGraph(cells, codes, place, links, seed)
