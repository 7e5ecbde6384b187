"""One clustering of several: the mean of soft assignments, their clusters matched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

_MAX_ITER = 100


def consensus(assignments: Sequence[ArrayLike]) -> np.ndarray:
    """Return the mean of several soft assignments of the same cells, their clusters matched.

    It minimizes the sum of squared distances to the assignments over their numberings. Two steps alternate: every
    assignment is renumbered to overlap most with the mean, and the mean is computed again. The start is the assignment
    that overlaps most with all others. Runs from other seeds err on other cells, so the mean of a few is often better than
    most of them, and varies less.

    Parameters
    ----------
    assignments
        Soft assignments, each of shape (n_cells, n_clusters): ``predict_proba`` of models fitted with other seeds, or
        one-hot clusters. Rows of new cells may follow, in each, to be clustered along.

    Returns
    -------
    Their mean, numbered as the one that it started from, shape (n_cells, n_clusters); the clusters are its ``argmax``
    along the second axis.

    Raises
    ------
    TypeError
        If it is no list.
    ValueError
        If there is none, or their shapes differ.

    References
    ----------
    Dimitriadou, Weingessel and Hornik, A combination scheme for fuzzy clustering, International Journal of Pattern
    Recognition and Artificial Intelligence 16, 2002.
    """
    if isinstance(assignments, (str, bytes)) or not np.iterable(assignments):
        msg = f"assignments must be a list of arrays of shape (n_cells, n_clusters), got {assignments!r}."
        raise TypeError(msg)
    soft = [np.asarray(assignment) for assignment in assignments]
    shapes = {assignment.shape for assignment in soft}
    if len(shapes) != 1 or len(*shapes) != 2:
        msg = f"assignments must be of one shape (n_cells, n_clusters), got {sorted(shapes) or 'none'}."
        raise ValueError(msg)
    mean = max(soft, key=lambda start: sum(float((start * _renumbered(other, start)).sum()) for other in soft))
    for _ in range(_MAX_ITER):
        before, mean = mean, np.mean([_renumbered(assignment, mean) for assignment in soft], axis=0)
        if np.array_equal(mean, before):
            break
    return mean


def agreement(assignments: Sequence[np.ndarray], mean: np.ndarray) -> np.ndarray:
    """Return whether each run gives each cell the cluster of the consensus: booleans, shape (n_runs, n_cells).

    Parameters
    ----------
    assignments
        As :func:`consensus`.
    mean
        What that returned.
    """
    labels = mean.argmax(axis=1)
    return np.stack([_renumbered(assignment, mean).argmax(axis=1) == labels for assignment in assignments])


def _renumbered(assignment: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Return an assignment with its clusters in the order in which they overlap most with those of another."""
    return assignment[:, linear_sum_assignment(to.T @ assignment, maximize=True)[1]]
