"""The true labels, moved to fair shares: what bounds F_beta."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog
from sklearn.metrics.cluster import contingency_matrix

from scfcmi import metrics

_DELTAS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)


def oracle_repair(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Move as few samples out of their true class as fair shares ask for, at the tolerance of the best F_beta.

    At tolerance delta group t makes up at least (1 - delta) rho_t of every cluster, rho_t being its share of all samples;
    sizes of clusters are free. No method can be expected to do better without knowing the labels: it bounds what F_beta
    can mean on these data, from below.

    Returns
    -------
    Cluster of each sample, shape (n_samples,).
    """
    truth, side = (np.unique(names, return_inverse=True)[1] for names in (labels, groups))
    counts = contingency_matrix(truth, side, dtype=float)
    # Samples of one class and group are alike here: the program moves numbers, and which of them go is the same.
    cells = np.lexsort((side, truth))
    candidates = []
    for delta in _DELTAS:
        clusters = np.empty(len(truth), dtype=np.int32)
        moved = _whole(_moves(counts, delta))
        clusters[cells] = np.repeat(np.tile(np.arange(moved.shape[2]), counts.size), moved.ravel())
        candidates.append(clusters)
    return max(candidates, key=lambda clusters: metrics.f_beta(labels, clusters, groups))


def _moves(counts: np.ndarray, delta: float) -> np.ndarray:
    """Return how many samples of a class and a group go to which cluster: fractions, shape (K, T, K)."""
    n_classes, n_groups = counts.shape
    shares = counts.sum(axis=0) / counts.sum()
    one = sp.identity(n_classes)
    cost = np.broadcast_to((1 - np.eye(n_classes))[:, None], (n_classes, n_groups, n_classes))
    # Rows of a cluster and a group: (1 - delta) rho_t s_k - m_tk <= 0.
    fair = sp.kron((1 - delta) * np.outer(shares, np.ones(n_groups)) - np.eye(n_groups), one)
    solution = linprog(
        cost.ravel(),
        A_ub=sp.kron(np.ones((1, n_classes)), fair),
        b_ub=np.zeros(n_groups * n_classes),
        A_eq=sp.kron(sp.identity(counts.size), np.ones((1, n_classes))),
        b_eq=counts.ravel(),
        method="highs-ds",
    )
    return solution.x.reshape(n_classes, n_groups, n_classes)


def _whole(moves: np.ndarray) -> np.ndarray:
    """Round to integers that add up as before, those with the largest remainders up."""
    whole = np.floor(moves + 1e-6)
    left = np.rint(moves.sum(axis=2) - whole.sum(axis=2))
    rank = np.argsort(np.argsort(whole - moves, axis=2, kind="stable"), axis=2)
    return (whole + (rank < left[:, :, None])).astype(np.int64)
