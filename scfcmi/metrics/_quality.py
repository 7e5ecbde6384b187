from __future__ import annotations

from typing import TYPE_CHECKING

from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from scfcmi.metrics._contingency import contingency

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def accuracy(labels: ArrayLike, clusters: ArrayLike) -> float:
    """Share of cells on the best one-to-one matching of clusters to labels (Hungarian).

    Where there are more clusters than labels, the cells of unmatched clusters count as wrong, and the other way round.

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
    """Mutual information of labels and clusters over the arithmetic mean of their entropies.

    One where both are a single class.

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
    """Adjusted Rand index of labels and clusters: 0 is what chance gives, 1 identity; it can be negative.

    Parameters
    ----------
    labels
        Reference label of each cell, shape (n_cells,).
    clusters
        Cluster of each cell, shape (n_cells,).

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
