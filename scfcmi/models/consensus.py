"""One clustering of several: the mean of soft assignments, their clusters matched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from scfcmi.models.base import GroupedClusterer

_MAX_ITER = 100


def consensus(assignments: Sequence[ArrayLike]) -> np.ndarray:
    """Join several clusterings of the same cells into one: the mean of their probabilities.

    Each run numbers its clusters in its own way, so clusters are matched first. Two steps alternate: each run is renumbered
    to overlap most with the mean, and the mean is computed again. The run that overlaps most with all others is the start.
    Runs with other seeds err on other cells. So the mean of a few is often better than most of them, and it varies less.

    Parameters
    ----------
    assignments
        Probabilities of clusters, each of shape (n_cells, n_clusters): ``predict_proba`` of models that were fitted with
        other seeds, or one-hot clusters. To cluster new cells along, append their rows to each.

    Returns
    -------
    The mean probabilities, shape (n_cells, n_clusters), with clusters numbered as in the run it started from. The clusters
    are ``argmax(axis=1)``.

    Raises
    ------
    TypeError
        If ``assignments`` is no list.
    ValueError
        If the list is empty, shapes differ, or a value is not finite.

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
    if not all(np.isfinite(assignment).all() for assignment in soft):
        msg = "assignments must hold probabilities, got NaN or infinite values."
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


def joined(
    models: Sequence[GroupedClusterer],
) -> tuple[GroupedClusterer, np.ndarray, np.ndarray, np.ndarray | None]:
    """Return one of several fitted models, labels, probabilities, and how many runs agree on each cell.

    Labels are those of the consensus, the model is the run that agrees with it on most cells. Both number clusters alike, so
    that the model labels new cells. Of one model, they are its own, and nothing is said of agreement.
    """
    soft = [model.assignment_of(model.embedding_) for model in models]
    if len(models) == 1:
        return models[0], models[0].labels_, soft[0], None
    mean = consensus(soft).astype(np.float32)
    agreed = agreement(soft, mean)
    best = int(agreed.mean(axis=1).argmax())
    mean = _renumbered(mean, soft[best])
    return models[best], mean.argmax(axis=1).astype(np.int32), mean, agreed.mean(axis=0)


def _renumbered(assignment: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Return an assignment with its clusters in the order in which they overlap most with those of another."""
    return assignment[:, linear_sum_assignment(to.T @ assignment, maximize=True)[1]]
