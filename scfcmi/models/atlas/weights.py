"""Weights of genes: how much of a gene's variation within batches do clusters explain?

Most genes vary by noise. A first, rough clustering tells which do not; it needs no label. FEAST chooses genes in the same spirit
(Su et al., Briefings in Bioinformatics, 2021).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfcmi.graph.communities import leiden, members
from scfcmi.graph.neighbors import distinct, joint_graph

if TYPE_CHECKING:
    from collections.abc import Sequence

# Resolution of the rough clusters: scanpy's default. With 3, weights are as good at K and worse at the default resolution.
_RESOLUTION = 1.0
# Variance within groups below this share of all is rounding.
_ROUNDING = 1e-6
# Least share that a weight stands for. Rough clusters merge types that lie close together; genes that tell these apart keep
# some weight.
_LEAST = 0.1


def gene_weights(values: np.ndarray, groups: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return ``sqrt(max(explained, 0.1))``; arguments are those of :func:`explained`."""
    return np.sqrt(np.maximum(explained(values, groups, clusters), _LEAST))


def rough_clusters(views: Sequence[np.ndarray], groups: np.ndarray, seed: int) -> np.ndarray:
    """Cluster cells by their components, less the mean of their group.

    Parameters
    ----------
    views
        Components, each of shape (n_cells, n_components), the most important dimension first.
    groups
        Group codes from zero, none left out, shape (n_cells,).
    seed
        Of the clusters.

    Returns
    -------
    Labels from zero, shape (n_cells,).
    """
    apart = np.hstack([_within(view, groups) for view in views])
    # Copies of a cell would be a cluster of their own, which explains everything.
    first, place = distinct(apart)
    return leiden(joint_graph(np.split(apart[first], len(views), axis=1)), _RESOLUTION, seed)[place]


def explained(values: np.ndarray, groups: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the share of each feature's variance within groups that clusters explain: the partial correlation ratio.

    Means of clusters are fitted together with those of groups. So a marker of a cluster is one also where a group holds most
    of that cluster. Corrected for what as many clusters explain by chance.

    Parameters
    ----------
    values
        Shape (n_cells, n_features).
    groups, clusters
        Codes from zero, none left out, shape (n_cells,).

    Returns
    -------
    Between 0 and 1, shape (n_features,).
    """
    apart, member = _within(values, groups), _within(members(clusters).toarray().astype(np.float64), groups)
    total = np.square(apart).sum(axis=0, dtype=np.float64)
    # What varies between groups only is left with rounding.
    varies = total > _ROUNDING * np.square(values).sum(axis=0, dtype=np.float64)
    sums = (member.astype(np.float32).T @ apart).astype(np.float64)
    # Clusters that groups tell, and one that the others tell, have no direction of their own.
    means, _, rank, _ = np.linalg.lstsq(member.T @ member, sums, rcond=_ROUNDING)
    left = np.maximum(total - (means * sums).sum(axis=0), 0)
    n_total = max(1, len(values) - groups.max() - 1)
    share = np.divide(left / max(1, n_total - rank), total / n_total, out=np.ones(len(total)), where=varies)
    return np.clip(1 - share, 0, 1)


def _within(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return values less the mean of the cells that have the same code."""
    means = (members(codes).T @ values / np.bincount(codes)[:, None]).astype(values.dtype)
    return values - means[codes]
