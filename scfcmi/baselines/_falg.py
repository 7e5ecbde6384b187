from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog
from sklearn.cluster import KMeans

from scfcmi import _validate
from scfcmi.baselines._inputs import check_inputs

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from scfcmi._random import RandomState

_INTEGRAL = 1e-6


def falg(
    X: ArrayLike | sp.spmatrix,
    groups: ArrayLike,
    n_clusters: int,
    random_state: RandomState = 0,
    *,
    delta: float = 0.2,
    n_init: int = 10,
) -> np.ndarray:
    """Fair assignment to the centers of k-means (FAlg).

    A linear program assigns cells to centers, at the least squared distance, so that group t makes up between
    (1 - delta) rho_t and rho_t / (1 - delta) of every cluster, rho_t being its share of all cells. The fractions that
    are left are rounded such that no count of a group in a cluster, and no cluster size, changes by one cell or more.
    The centers stay those of k-means, which caps the quality; one whose cells are nearly all of one group may be left
    without any. The program takes seconds for some 10,000 cells and minutes for 60,000.

    With two groups the least Bal is (1 - delta) rho / (1 - (1 - delta) rho), with rho the smaller group's share: the
    values published for FAlg at delta 0.2.

    Parameters
    ----------
    X
        Features, dense or sparse, shape (n_cells, n_features).
    groups
        Group of each cell, shape (n_cells,). Any number of groups.
    n_clusters
        Number of clusters, K.
    random_state
        Seed. An integer gives the same labels again.
    delta
        Tolerance of the shares, at least 0 and below 1.
    n_init
        Number of k-means++ seedings. The tightest result is taken.

    Returns
    -------
    Cluster of each cell, int32, shape (n_cells,).

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.
    RuntimeError
        If the linear program is not solved.

    References
    ----------
    Bera et al., Fair Algorithms for Clustering, NeurIPS 2019: FA-LP, and the rounding of Bercea et al. (MBDMB).
    """
    inputs = check_inputs(X, groups, n_clusters, random_state)
    delta = _validate.number("delta", delta)
    if delta >= 1:
        msg = f"delta must be below 1, got {delta:g}."
        raise ValueError(msg)
    n_init = _validate.integer("n_init", n_init, minimum=1)
    model = KMeans(inputs.n_clusters, n_init=n_init, random_state=inputs.seed).fit(inputs.X)
    cost = model.transform(inputs.X).astype(np.float64) ** 2
    # The solver's tolerances are absolute.
    cost /= cost.mean() or 1.0
    return _rounded(_fractional(cost, inputs.membership, delta), cost, inputs.membership)


def _fractional(cost: np.ndarray, membership: sp.csr_matrix, delta: float) -> np.ndarray:
    """Solve FA-LP; the counts m_tk and sizes s_k are variables too, so that no row holds a whole group a cluster."""
    (n_cells, n_clusters), n_groups = cost.shape, membership.shape[1]
    shares = membership.sum(axis=0).A1 / n_cells
    one = sp.identity(n_clusters)
    n_counts = n_groups * n_clusters
    equal = sp.block_array(
        [
            [sp.kron(sp.identity(n_cells), np.ones((1, n_clusters))), None, None],
            [sp.kron(membership.T, one), -sp.identity(n_counts), None],
            [None, sp.kron(np.ones((1, n_groups)), one), -one],
        ],
        format="csr",
    )
    below = sp.block_array(
        [
            [sp.csr_matrix((n_counts, cost.size)), -sp.identity(n_counts), sp.kron((1 - delta) * shares[:, None], one)],
            [None, sp.identity(n_counts), sp.kron(-shares[:, None] / (1 - delta), one)],
        ],
        format="csr",
    )
    solution = _solve(
        np.concatenate([cost.ravel(), np.zeros(n_counts + n_clusters)]),
        A_ub=below,
        b_ub=np.zeros(2 * n_counts),
        A_eq=equal,
        b_eq=np.concatenate([np.ones(n_cells), np.zeros(n_counts + n_clusters)]),
    )
    return solution[: cost.size].reshape(cost.shape)


def _rounded(x: np.ndarray, cost: np.ndarray, membership: sp.csr_matrix) -> np.ndarray:
    """Round x so that sizes and counts go to their floor or ceiling (MBDMB).

    Groups are a partition of the cells, so cell to group in cluster to cluster is a flow: its rows are totally
    unimodular, the first linear program of MBDMB is integral already and no bound has to be dropped.
    """
    labels = x.argmax(axis=1).astype(np.int32)
    loose = np.flatnonzero(x.max(axis=1) < 1 - _INTEGRAL)
    if not len(loose):
        return labels
    n_clusters = x.shape[1]
    one = sp.identity(n_clusters)
    fixed = x.round()
    fixed[loose] = 0
    taken = np.concatenate([(membership.T @ fixed).ravel(), fixed.sum(axis=0)])
    target = np.concatenate([(membership.T @ x).ravel(), x.sum(axis=0)])
    counts = sp.vstack([sp.kron(membership[loose].T, one), sp.kron(np.ones((1, len(loose))), one)]).tocsr()
    used = np.flatnonzero(x[loose].ravel() > _INTEGRAL)
    rows = counts[:, used]
    whole = _solve(
        cost[loose].ravel()[used],
        A_ub=sp.vstack([rows, -rows]),
        b_ub=np.concatenate([np.ceil(target - _INTEGRAL) - taken, taken - np.floor(target + _INTEGRAL)]),
        A_eq=sp.kron(sp.identity(len(loose)), np.ones((1, n_clusters))).tocsr()[:, used],
        b_eq=np.ones(len(loose)),
    )
    labels[loose[used[whole > 0.5] // n_clusters]] = used[whole > 0.5] % n_clusters
    return labels


def _solve(cost: np.ndarray, **rows: object) -> np.ndarray:
    # The simplex, for it ends in a corner: few fractions, and none in the second program.
    solution = linprog(cost, bounds=(0, None), method="highs-ds", **rows)
    if solution.status != 0:
        msg = f"The linear program of FAlg was not solved: {solution.message}"
        raise RuntimeError(msg)
    return solution.x
