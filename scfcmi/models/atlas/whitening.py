"""One more neighbor graph of atlas mode: of all views together, in units of the variation within clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.linalg import cholesky, solve_triangular

from scfcmi._scratch import in_order
from scfcmi.graph.communities import leiden, members
from scfcmi.graph.neighbors import N_NEIGHBORS, fuzzy_graph, nearest
from scfcmi.models.products import product, rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scipy.sparse import csr_matrix

# Resolution of the clusters whose cells say what varies within a cluster: scanpy's default. 2 and 3 are hardly
# worse.
_RESOLUTION = 1.0
# Share of the mean variance within clusters that is added to all directions. A tenth of it is as good, five times as much a
# little worse.
_RIDGE = 0.1


def with_whitened_graph(graph: csr_matrix, views: Sequence[np.ndarray], seed: int) -> csr_matrix:
    """Add a graph of all views together, in units of the variation within clusters (:func:`whitened`).

    The clusters are those of the graph so far, at resolution 1. What is added weighs as much as the graph.

    Parameters
    ----------
    graph
        Of the views (:func:`scfcmi.graph.neighbors.joint_graph`), shape (n_cells, n_cells).
    views
        Codes, each of shape (n_cells, n_dims).
    seed
        Of the clusters.

    Returns
    -------
    Symmetric, float32, of the same shape.
    """
    codes = whitened(np.hstack(views), leiden(graph, _RESOLUTION, seed))
    last = fuzzy_graph(*nearest(codes, N_NEIGHBORS))
    return graph + last * np.float32(graph.sum() / max(last.sum(), 1e-12))


def whitened(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return codes in which the cells of a cluster vary alike in all directions.

    Directions that vary within clusters, by noise, by cell cycle or by what is left of the batch, count less beside those in
    which clusters differ: the metric of linear discriminant analysis, and of relevant component analysis (Bar-Hillel et
    al., 2005).

    Parameters
    ----------
    codes
        Shape (n_cells, n_dims).
    labels
        Clusters from zero, none left out, shape (n_cells,).

    Returns
    -------
    Float32, of the same shape.
    """
    n_cells, n_dims = codes.shape
    means, within = members(labels).T @ codes / np.bincount(labels)[:, None], np.zeros((n_dims, n_dims))
    for part in in_order(n_cells):
        apart = codes[part] - means[labels[part]]
        within += apart.T @ apart / n_cells
    size = np.trace(within) / n_dims
    if size == 0:
        return codes
    within[np.diag_indices(n_dims)] += _RIDGE * size
    # In units of the mean variance, so that numbers are of size one.
    transformation = solve_triangular(cholesky(within / size, lower=True), np.eye(n_dims), lower=True).T
    return product(*(torch.from_numpy(part.astype(np.float32)) for part in (codes, rounded(transformation)))).numpy()
