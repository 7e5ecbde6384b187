from __future__ import annotations

from typing import TYPE_CHECKING

from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from scfcmi.metrics._contingency import contingency

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def accuracy(labels: ArrayLike, clusters: ArrayLike) -> float:
    """Share of cells that are in the right cluster, when each cluster stands for one label.

    Clusters and labels are matched one to one so that most cells are right (Hungarian method). With more clusters than
    labels, cells of clusters without a label count as wrong. With more labels than clusters, cells of labels without a
    cluster count as wrong.

    Parameters
    ----------
    labels
        Reference label of each cell, shape (n_cells,).
    clusters
        Cluster of each cell, shape (n_cells,).

    Returns
    -------
    Between 0 and 1.

    Raises
    ------
    ValueError
        If lengths differ, there are no cells, or a value is missing.
    """
    table = contingency(labels=labels, clusters=clusters)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / table.sum())


def nmi(labels: ArrayLike, clusters: ArrayLike) -> float:
    """Normalized mutual information (NMI): how much clusters tell of the labels, and labels of the clusters.

    It divides the mutual information by the arithmetic mean of both entropies. 1 is full agreement, 0 is none. It rises
    slowly with the number of clusters, also by chance. It is 1 if there is a single label and a single cluster.

    Parameters
    ----------
    labels
        Reference label of each cell, shape (n_cells,).
    clusters
        Cluster of each cell, shape (n_cells,).

    Returns
    -------
    Between 0 and 1.

    Raises
    ------
    ValueError
        If lengths differ, there are no cells, or a value is missing.
    """
    return float(normalized_mutual_info_score(*_expanded(labels, clusters)))


def ari(labels: ArrayLike, clusters: ArrayLike) -> float:
    """Adjusted Rand index (ARI): agreement on pairs of cells, corrected for chance.

    A pair agrees if labels and clusters both put its cells together, or both apart. 1 is full agreement, 0 is what chance
    gives. Large types count most.

    Parameters
    ----------
    labels
        Reference label of each cell, shape (n_cells,).
    clusters
        Cluster of each cell, shape (n_cells,).

    Returns
    -------
    At most 1. It is negative if agreement is below chance.

    Raises
    ------
    ValueError
        If lengths differ, there are no cells, or a value is missing.
    """
    return float(adjusted_rand_score(*_expanded(labels, clusters)))


def _expanded(labels: ArrayLike, clusters: ArrayLike) -> tuple:
    # By way of the table, so that all metrics refuse the same inputs with the same words.
    table = contingency(labels=labels, clusters=clusters)
    rows, columns = table.nonzero()
    counts = table[rows, columns]
    return rows.repeat(counts), columns.repeat(counts)
