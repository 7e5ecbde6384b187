from __future__ import annotations

import heapq
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.utils import check_array

from scfcmi import _validate
from scfcmi.metrics import mnce

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Scores become integers up to this: sums of floats could make a cycle of moves seem to gain.
_LARGEST_SCORE = 2**40
_NO_WAY = 2**60


def fair_repair(proba: ArrayLike, groups: ArrayLike, *, delta: float = 0.2, fair_enough: float = 0.99) -> np.ndarray:
    """Move the cells that lose least by it, until every cluster has its fair share of every group.

    The largest entry of each row gives the clusters to be repaired and, within the tolerance, their sizes. Of group t,
    with n_t of all n cells, a cluster of size s should hold e = n_t s / n; it is given between (1 - delta) e and
    e / (1 - delta), or where no whole number lies on that side of e, the one next to e. Among all such labels these
    are the ones of the largest sum of ``proba``: an exact transport, one a group, for nothing ties the cells of one
    group to those of another.

    Fairness has its price where groups differ in composition: cells of a type that one group has more of must leave
    its cluster. A small ``delta`` then costs more NMI than it brings MNCE.

    Parameters
    ----------
    proba
        Soft assignment, shape (n_cells, n_clusters). Any finite score will do that is larger where a cell fits better,
        such as minus the squared distances to the means of clusters that came without one. Differences below a millionth
        of a millionth of the range of all scores do not count, so do not mark cells by a huge number.
    groups
        Group of each cell, shape (n_cells,). Any number of groups.
    delta
        Tolerance, at least 0 and below 1; the default is that of FAlg. It was compared with others against labels, on
        nine pairs of methods and data (HAR, PBMC, MNIST-USPS), so these are no independent test of it. There the last
        hundredths of MNCE cost the most quality; where a group is rare, as USPS beside MNIST, 0.02 served better.
    fair_enough
        Clusters of a larger :func:`scfcmi.metrics.mnce` than this are left as they are.

    Returns
    -------
    Cluster of each cell, int32, shape (n_cells,).

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.

    References
    ----------
    The fair assignment of Zhang and Davidson, Deep Fair Discriminative Clustering, 2021, made tolerant.

    Examples
    --------
    >>> import numpy as np
    >>> proba = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.1, 0.9]])
    >>> fair_repair(proba, ["a", "a", "b", "b"], delta=0)
    array([0, 1, 0, 1], dtype=int32)
    """
    _validate.matrix_like(proba, "proba")
    groups = _validate.aligned(groups, proba.index if isinstance(proba, pd.DataFrame) else None, "groups", "proba")
    scores = check_array(proba, dtype=np.float64, input_name="proba")
    codes, names = _validate.group_codes(groups, len(scores))
    delta = _validate.number("delta", delta)
    if delta >= 1:
        msg = f"delta must be below 1, got {delta:g}."
        raise ValueError(msg)
    fair_enough = _validate.number("fair_enough", fair_enough)
    labels = scores.argmax(axis=1).astype(np.int32)
    if len(names) == 1 or mnce(labels, codes) > fair_enough:
        return labels
    with np.errstate(over="ignore"):
        span = np.ptp(scores)
    if not np.isfinite(span):
        msg = f"proba spans from {scores.min():g} to {scores.max():g}, more than a number can hold. Scale it down."
        raise ValueError(msg)
    scores = np.rint((scores - scores.min()) * (_LARGEST_SCORE / (span or 1))).astype(np.int64)
    sizes = np.bincount(labels, minlength=scores.shape[1])
    for group in range(len(names)):
        cells = np.flatnonzero(codes == group)
        fair = len(cells) * sizes / len(labels)
        labels[cells] = _transport(scores[cells], labels[cells], *_bounds(fair, delta))
    return labels


def _bounds(fair: np.ndarray, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return least and largest counts; those next to ``fair`` are always within, for only then can all cells be placed."""
    # Rounded first: 3 * (1 / 3) must not lose a cell.
    least, fair, most = np.round([(1 - delta) * fair, fair, fair / (1 - delta)], 9)
    lower, upper = np.minimum(np.ceil(least), np.floor(fair)), np.maximum(np.floor(most), np.ceil(fair))
    return lower.astype(np.int64), upper.astype(np.int64)


def _transport(scores: np.ndarray, labels: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Bring cluster sizes between bounds at the least loss of score, by successive shortest paths.

    The nodes are the clusters and a store. A cell's move links two clusters and costs what its score loses. A cluster
    links to the store, at no cost, while it may grow, and the store to a cluster while that may shrink. Labels must
    start at the largest scores, where no move gains: then shortest paths end in the best labels (Ahuja et al.,
    Network Flows, 1993, chapter 9).
    """
    n_clusters = scores.shape[1]
    store = n_clusters
    sizes = np.bincount(labels, minlength=n_clusters)
    flow = np.clip(sizes, lower, upper)
    excess = np.append(sizes - flow, flow.sum() - len(labels))
    labels = labels.copy()
    moves = [[_Moves(scores, labels, a, b) for b in range(n_clusters)] for a in range(n_clusters)]
    cost = np.full((n_clusters + 1, n_clusters + 1), _NO_WAY)
    stale = set(range(n_clusters))
    while (excess > 0).any():
        for a in stale:
            cost[a, :store] = [_NO_WAY if a == b else moves[a][b].cheapest(labels)[0] for b in range(n_clusters)]
        cost[:store, store] = np.where(flow < upper, 0, _NO_WAY)
        cost[store, :store] = np.where(flow > lower, 0, _NO_WAY)
        path = _shortest_path(cost, excess)
        excess[path[0]] -= 1
        excess[path[-1]] += 1
        steps = list(pairwise(path))
        cells = [moves[a][b].cheapest(labels)[1] if store not in (a, b) else None for a, b in steps]
        stale = set(path) - {store}
        for (a, b), cell in zip(steps, cells, strict=True):
            if a == store:
                flow[b] -= 1
            elif b == store:
                flow[a] += 1
            else:
                labels[cell] = b
                for c in range(n_clusters):
                    moves[b][c].add(cell)
    return labels


def _shortest_path(cost: np.ndarray, excess: np.ndarray) -> list[int]:
    """Return the nodes from one with too much to one with too little (Bellman and Ford: costs can be negative)."""
    distance = np.where(excess > 0, 0, _NO_WAY)
    before = np.full(len(cost), -1)
    for _ in range(len(cost)):
        through = distance[:, None] + cost
        best = through.argmin(axis=0)
        shorter = through[best, np.arange(len(cost))] < distance
        if not shorter.any():
            break
        before[shorter] = best[shorter]
        distance[shorter] = through[best[shorter], shorter]
    node = int(np.where(excess < 0, distance, 2 * _NO_WAY).argmin())
    path = [node]
    while before[node] >= 0:
        node = int(before[node])
        path.append(node)
    return path[::-1]


class _Moves:
    """Cells of one cluster by what a move to another costs: sorted at the start, a heap of those that come later."""

    def __init__(self, scores: np.ndarray, labels: np.ndarray, a: int, b: int) -> None:
        self._scores, self._a, self._b = scores, a, b
        cells = np.flatnonzero(labels == a)
        loss = scores[cells, a] - scores[cells, b]
        order = np.argsort(loss, kind="stable")
        self._cells, self._loss, self._next = cells[order], loss[order], 0
        self._later: list[tuple[int, int]] = []

    def add(self, cell: int) -> None:
        heapq.heappush(self._later, (int(self._scores[cell, self._a] - self._scores[cell, self._b]), int(cell)))

    def cheapest(self, labels: np.ndarray) -> tuple[int, int]:
        """Return loss and cell, ``_NO_WAY`` if the cluster is empty; cells that have left are passed over."""
        while self._next < len(self._cells) and labels[self._cells[self._next]] != self._a:
            self._next += 1
        while self._later and labels[self._later[0][1]] != self._a:
            heapq.heappop(self._later)
        best = self._later[0] if self._later else (_NO_WAY, -1)
        if self._next < len(self._cells):
            best = min(best, (int(self._loss[self._next]), int(self._cells[self._next])))
        return best
