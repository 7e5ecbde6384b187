from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfcmi import _validate
from scfcmi._logging import warn
from scfcmi.metrics._contingency import contingency, entropy, in_one_order, joint_entropy
from scfcmi.metrics._quality import nmi

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def balance(clusters: ArrayLike, groups: ArrayLike) -> float:
    """Balance (Bal): how evenly groups mix in the least even cluster.

    In each cluster, it divides the number of cells of the rarest group by that of the most common group. The lowest of these
    ratios counts. It is 0 if any cluster lacks any group. It cannot reach 1 if groups differ in size. It is 1 if there is a
    single group.

    Parameters
    ----------
    clusters
        Cluster of each cell, shape (n_cells,).
    groups
        Group (batch) of each cell, shape (n_cells,).

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
    """Minimal normalized conditional entropy (MNCE, Eq. 13): how well groups mix in the worst cluster.

    It divides the entropy of groups in the least mixed cluster, H(G|cluster), by the entropy of groups in all cells, H(G).
    It is 1 if clusters do not depend on the group, and 0 if a cluster holds one group only. If groups hold different cell
    types, the true types themselves score below 1. :func:`batch_leakage` does not depend on that.

    Parameters
    ----------
    clusters
        Cluster of each cell, shape (n_cells,).
    groups
        Group (batch) of each cell, shape (n_cells,).

    Returns
    -------
    Between 0 and 1. NaN, with a ``UserWarning``, for a single group, where it is not defined (0 / 0).

    Raises
    ------
    ValueError
        If lengths differ, there are no cells, or a value is missing.
    """
    table = contingency(clusters=clusters, groups=groups)
    if table.shape[1] == 1:
        warn("MNCE is undefined with one group: H(G) is zero. Returning NaN.")
        return float("nan")
    return float(entropy(table, axis=1).min() / entropy(table.sum(axis=0)))


def f_beta(labels: ArrayLike, clusters: ArrayLike, groups: ArrayLike, beta: float = 1.0) -> float:
    """Quality and fairness in one number: the harmonic mean of NMI and MNCE, Eq. 15.

    If groups hold different cell types, F_beta prefers clusters that mix these types. Then use :func:`nmi` and
    :func:`batch_leakage`.

    Parameters
    ----------
    labels
        Reference label of each cell, shape (n_cells,).
    clusters
        Cluster of each cell, shape (n_cells,).
    groups
        Group (batch) of each cell, shape (n_cells,).
    beta
        Above 1, fairness counts more. Below 1, quality counts more.

    Returns
    -------
    Between 0 and 1. It is 0 if NMI or MNCE is 0. NaN, with a ``UserWarning``, for a single group.

    Raises
    ------
    ValueError
        If lengths differ, there are no cells, a value is missing, or ``beta`` is negative.
    """
    beta = _validate.number("beta", beta)
    labels, clusters, groups = in_one_order(labels=labels, clusters=clusters, groups=groups).values()
    return _f_beta(nmi(labels, clusters), mnce(clusters, groups), beta)


def batch_leakage(labels: ArrayLike, clusters: ArrayLike, groups: ArrayLike) -> float:
    """What clusters tell of the group (batch) beyond what the cell type tells: I(C;G|Y) / H(G|Y).

    Groups may hold different mixtures of types: unlike with Bal and MNCE, the reference labels always score 0. With few
    cells for each label and group it is above 0 by chance, and more so with more clusters.

    Parameters
    ----------
    labels
        Reference label Y of each cell, shape (n_cells,).
    clusters
        Cluster C of each cell, shape (n_cells,).
    groups
        Group (batch) G of each cell, shape (n_cells,).

    Returns
    -------
    Between 0 (ideal) and 1. It is 0 if every label is in one group only: nothing can leak then.

    Raises
    ------
    ValueError
        If lengths differ, there are no cells, or a value is missing.
    """
    entropy_of = joint_entropy(labels=labels, clusters=clusters, groups=groups)
    h_labels, h_labels_groups = entropy_of("labels"), entropy_of("labels", "groups")
    h_group_given_label = h_labels_groups - h_labels
    if np.isclose(h_group_given_label, 0, atol=1e-12):
        return 0.0
    information = (
        entropy_of("labels", "clusters") + h_labels_groups - entropy_of("labels", "clusters", "groups") - h_labels
    )
    return float(np.clip(information / h_group_given_label, 0.0, 1.0))


def _f_beta(quality: float, fairness: float, beta: float) -> float:
    if np.isnan(fairness):
        return float("nan")
    if quality == 0 or fairness == 0:
        return 0.0
    # Written as a mean, so that no beta is too large.
    of_quality = 1 / (1 + beta * beta)
    return 1 / (of_quality / quality + (1 - of_quality) / fairness)
