from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from scfcmi import _validate
from scfcmi.metrics._contingency import contingency, entropy
from scfcmi.metrics._quality import nmi

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def balance(clusters: ArrayLike, groups: ArrayLike) -> float:
    """Bal: cells of the rarest group over cells of the commonest, in the cluster where this is lowest.

    It is 0 as soon as one cluster lacks one group, and 1 if there is a single group. Where groups differ in size it cannot
    reach 1.

    Parameters
    ----------
    clusters
        Cluster of each cell, shape (n_cells,).
    groups
        Group of each cell, shape (n_cells,).

    Returns
    -------
    Between 0 and 1.

    Raises
    ------
    ValueError
        If lengths differ, there are no cells, or a value is missing.
    """
    table = contingency(clusters=clusters, groups=groups)
    return float((table.min(axis=1) / table.max(axis=1)).min())


def mnce(clusters: ArrayLike, groups: ArrayLike) -> float:
    """Minimal normalized conditional entropy, Eq. 13: the least H(G|cluster) over H(G).

    One if and only if clusters are independent of groups. Where groups differ in composition the true cell types
    themselves score below one; see :func:`batch_leakage` for what does not depend on composition.

    Parameters
    ----------
    clusters
        Cluster of each cell, shape (n_cells,).
    groups
        Group of each cell, shape (n_cells,).

    Returns
    -------
    Between 0 and 1 up to sampling: a single cluster can be more even than all cells together. NaN, with a
    ``UserWarning``, for a single group, where it is undefined (0 / 0).

    Raises
    ------
    ValueError
        If lengths differ, there are no cells, or a value is missing.
    """
    table = contingency(clusters=clusters, groups=groups)
    if table.shape[1] == 1:
        warnings.warn("MNCE is undefined with one group: H(G) is zero. Returning NaN.", UserWarning, stacklevel=2)
        return float("nan")
    return float(entropy(table, axis=1).min() / entropy(table.sum(axis=0)))


def f_beta(labels: ArrayLike, clusters: ArrayLike, groups: ArrayLike, beta: float = 1.0) -> float:
    """Harmonic mean of NMI and MNCE, Eq. 15: quality and fairness at once.

    Parameters
    ----------
    labels
        Reference label of each cell, shape (n_cells,).
    clusters
        Cluster of each cell, shape (n_cells,).
    groups
        Group of each cell, shape (n_cells,).
    beta
        Above one weighs fairness more, below one quality.

    Returns
    -------
    Between 0 and 1; 0 if either is 0. NaN, with a ``UserWarning``, for a single group.

    Raises
    ------
    ValueError
        If lengths differ, there are no cells, a value is missing, or ``beta`` is negative.
    """
    beta = _validate.number("beta", beta)
    return _f_beta(nmi(labels, clusters), mnce(clusters, groups), beta)


def batch_leakage(labels: ArrayLike, clusters: ArrayLike, groups: ArrayLike) -> float:
    """I(C;G|Y) / H(G|Y): what clusters tell of the group beyond what the cell type tells.

    Unlike Bal and MNCE, it does not assume that all groups hold the same mixture of types: the reference labels score 0.
    With few cells for each label and group it is above 0 by chance.

    Parameters
    ----------
    labels
        Reference label Y of each cell, shape (n_cells,).
    clusters
        Cluster C of each cell, shape (n_cells,).
    groups
        Group G of each cell, shape (n_cells,).

    Returns
    -------
    Between 0 (ideal) and 1. Zero where every label lives in one group, as nothing can leak there.

    Raises
    ------
    ValueError
        If lengths differ, there are no cells, or a value is missing.
    """
    table = contingency(labels=labels, clusters=clusters, groups=groups)
    total = entropy(table)
    h_labels = entropy(table.sum(axis=(1, 2)))
    h_labels_clusters = entropy(table.sum(axis=2))
    h_labels_groups = entropy(table.sum(axis=1))
    h_group_given_label = h_labels_groups - h_labels
    if np.isclose(h_group_given_label, 0, atol=1e-12):
        return 0.0
    information = h_labels_clusters + h_labels_groups - total - h_labels
    return float(max(information, 0.0) / h_group_given_label)


def _f_beta(quality: float, fairness: float, beta: float) -> float:
    if quality == 0 or fairness == 0:
        return 0.0
    return (1 + beta**2) * quality * fairness / (beta**2 * quality + fairness)
