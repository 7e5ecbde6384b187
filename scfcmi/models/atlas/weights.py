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
    """Cluster cells by their components, less the mean of their group; the most important dimension of a view comes first."""
    apart = np.hstack([_within(view, groups) for view in views])
    # Copies of a cell would be a cluster of their own, which explains everything.
    first, place = distinct(apart)
    return leiden(joint_graph(np.split(apart[first], len(views), axis=1)), _RESOLUTION, seed)[place]


def explained(values: np.ndarray, groups: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the share of each feature's variance that clusters explain, once the mean of every group is subtracted.

    This is the correlation ratio, eta squared, corrected for what as many clusters explain by chance. Where a group holds most
    of a cluster, its mean takes part of what the cluster explains: what may be due to the group counts less. Means of
    groups and clusters fitted together would not do so, and are worse by default (docs/atlas_mode.md). Groups and clusters
    count from zero, none left out.
    """
    apart = _within(values, groups)
    n_cells, n_groups, n_clusters = len(values), groups.max() + 1, clusters.max() + 1
    total, left = (np.square(part).sum(axis=0, dtype=np.float64) for part in (apart, _within(apart, clusters)))
    # What varies between groups only is left with rounding.
    varies = total > _ROUNDING * np.square(values).sum(axis=0, dtype=np.float64)
    n_total, n_left = max(1, n_cells - n_groups), max(1, n_cells - n_groups - n_clusters + 1)
    share = np.divide(left / n_left, total / n_total, out=np.ones(len(total)), where=varies)
    return np.clip(1 - share, 0, 1)


def _within(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return values less the mean of the cells that have the same code."""
    means = (members(codes).T @ values / np.bincount(codes)[:, None]).astype(values.dtype)
    return values - means[codes]
