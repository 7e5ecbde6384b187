from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.preprocessing import StandardScaler, normalize

from scfcmi import _validate
from scfcmi.baselines._inputs import check_inputs, one_hot

if TYPE_CHECKING:
    import scipy.sparse as sp
    from numpy.typing import ArrayLike

    from scfcmi._random import RandomState

_OUTER = 100
_OUTER_TOLERANCE = 1e-4
_INNER = 10_000
_INNER_TOLERANCE = 1e-5
_RESEEDS = 2
_TINY = 1e-15
_LARGEST_LIPSCHITZ = 1e9


def vfc(
    X: ArrayLike | sp.spmatrix,
    groups: ArrayLike,
    n_clusters: int,
    random_state: RandomState = 0,
    *,
    fairness: float = 50.0,
    lipschitz: float = 2.0,
) -> np.ndarray:
    """Variational fair clustering, the k-means form (VFC).

    Minimizes the k-means objective of soft assignments S plus ``fairness`` times the sum over clusters of
    KL(rho || group shares of the cluster), by bounds that are independent from cell to cell. Features are z-scored and
    rows then set to unit length, without which the method does not converge; sparse features become dense by that.

    No value of ``fairness`` serves all data: Bal grows with it, from none to near the data's own. On HAR 50 gives 0.05
    and 1000 gives 0.44. Compare methods over several.

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
    fairness
        Weight of the KL divergence, the paper's lambda.
    lipschitz
        Constant L of the bound to begin with: the larger, the smaller the steps. Doubled when a step raises the energy,
        which the reference does not do; there a large ``fairness`` needs another L.

    Returns
    -------
    Cluster of each cell, int32, shape (n_cells,).

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.

    References
    ----------
    Ziko et al., Variational Fair Clustering, AAAI 2021.
    """
    inputs = check_inputs(X, groups, n_clusters, random_state, dense=True)
    fairness = _validate.number("fairness", fairness)
    lipschitz = _validate.number("lipschitz", lipschitz, strict=True)
    # scikit-learn leaves constant features at zero.
    X = normalize(StandardScaler().fit_transform(inputs.X))
    n_clusters, membership = inputs.n_clusters, inputs.membership
    shares = membership.sum(axis=0).A1 / len(X)
    centers = kmeans_plusplus(X, n_clusters, random_state=inputs.seed)[0]
    best, last, n_reseeds = None, np.inf, 0
    for iteration in range(_OUTER):
        distances = euclidean_distances(X, centers, squared=True).astype(np.float64)
        soft = _assign(distances, inputs.codes, membership, shares, fairness, lipschitz)
        labels = soft.argmax(axis=1).astype(np.int32)
        sizes = np.bincount(labels, minlength=n_clusters)
        if (sizes == 0).any():
            if n_reseeds == _RESEEDS:
                break
            n_reseeds += 1
            model = KMeans(n_clusters, n_init=1, random_state=(inputs.seed + n_reseeds) % 2**32)
            centers, last = model.fit(X).cluster_centers_, np.inf
            continue
        best = labels
        energy = _energy(soft, distances, membership, shares, fairness)
        if iteration > 1 and abs(last - energy) <= _OUTER_TOLERANCE * abs(last):
            break
        last = energy
        centers = one_hot(labels, n_clusters).T @ X / sizes[:, None]
    # Clusters that stay empty whatever the seeds: the last labels, as they are.
    return labels if best is None else best


def _assign(
    distances: np.ndarray,
    codes: np.ndarray,
    membership: sp.csr_matrix,
    shares: np.ndarray,
    fairness: float,
    lipschitz: float,
) -> np.ndarray:
    """Lower the energy of S with centers as they are; a step's bound leaves every cell to itself."""
    soft = softmax(-distances, axis=1)
    energy = _energy(soft, distances, membership, shares, fairness)
    for _ in range(_INNER):
        # Derivative of the KL divergences by S, a row a group.
        slope = fairness * (1 / np.maximum(soft.sum(axis=0), _TINY) - shares[:, None] / _counts(soft, membership))
        step = softmax(np.log(np.maximum(soft, _TINY)) - (distances + slope[codes]) / lipschitz, axis=1)
        lowered = _energy(step, distances, membership, shares, fairness)
        if lowered > energy:
            # Too long a step: L was no bound. Where fairness is large beside cluster sizes, 2 is not.
            lipschitz *= 2
            if lipschitz > _LARGEST_LIPSCHITZ:
                break
            continue
        settled = energy - lowered <= _INNER_TOLERANCE * abs(energy)
        soft, energy = step, lowered
        if settled:
            break
    return soft


def _counts(soft: np.ndarray, membership: sp.csr_matrix) -> np.ndarray:
    return np.maximum(membership.T @ soft, _TINY)


def _energy(
    soft: np.ndarray, distances: np.ndarray, membership: sp.csr_matrix, shares: np.ndarray, fairness: float
) -> float:
    """Soft k-means objective plus ``fairness`` times the sum over clusters of KL(rho || group shares)."""
    counts = _counts(soft, membership)
    divergences = shares[:, None] * np.log(shares[:, None] * counts.sum(axis=0) / counts)
    return float((soft * distances).sum() + fairness * divergences.sum())
