"""Whether groups are of one composition, judged without labels: what decides the default of beta."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import entropy
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import mutual_info_score

if TYPE_CHECKING:
    from scfcmi.rows import Rows

THRESHOLD = 0.01
_MAX_CELLS = 20_000
# The sample is made dense: ten million float32 are 40 MB.
_MAX_ENTRIES = 10_000_000
_MIN_CLUSTERS = 15


def composition_imbalance(rows: Rows, groups: np.ndarray, n_clusters: int) -> float:
    """Estimate I(G;Y) / H(G), the share of the group that its mixture of cell types Y alone would give away.

    Every feature is standardised within its group, which takes away what shifts or scales a whole group; the
    cells' first principal components are cut into more k-means clusters than there are types; and the mutual
    information of clusters and groups is read off their table, less the (K - 1)(T - 1) / 2n nats that chance gives
    (Miller, 1955). If much is left, groups hold different mixtures of cells, or differ by more than a shift. In both
    cases, clusters should not be forced to be independent of the group.

    Parameters
    ----------
    rows
        Cells. Of these, at most 20,000 and ten million numbers, but no fewer than 1,000
        cells, are drawn at random and looked at.
    groups
        Group codes, shape (n_cells,).
    n_clusters
        Number of clusters wanted. At least 15 are made here.

    Returns
    -------
    Near 0 where groups are of one composition, 1 where they have nothing in common. Depends on nothing but the
    arguments: its random numbers are fixed.
    """
    rng = np.random.default_rng(0)
    n_sample = min(len(groups), _MAX_CELLS, max(_MAX_ENTRIES // math.prod(rows.shape[1:]), 1000))
    sample = np.sort(rng.choice(len(groups), n_sample, replace=False))
    X, groups = rows.take(sample).flatten(1).cpu().numpy(), np.unique(groups[sample], return_inverse=True)[1]
    for group in range(groups.max() + 1):
        rows = groups == group
        # The floor keeps features that hardly vary within a group from being blown up.
        X[rows] = (X[rows] - X[rows].mean(axis=0)) / (X[rows].std(axis=0) + 1e-3)
    np.clip(X, -10, 10, out=X)
    wide = X.shape[1] > 5000
    # arpack finds fewer components than there are cells.
    n_components = max(1, min(30, min(X.shape) - wide))
    components = PCA(n_components, svd_solver="arpack" if wide else "covariance_eigh", random_state=0)
    n_clusters = min(max(n_clusters, _MIN_CLUSTERS), n_sample)
    clusters = KMeans(n_clusters, n_init=5, random_state=0).fit_predict(components.fit_transform(X))

    information = mutual_info_score(groups, clusters)
    group_entropy = entropy(np.bincount(groups))
    chance = groups.max() * (n_clusters - 1) / (2 * n_sample)
    return float(max(information - chance, 0) / group_entropy) if group_entropy > 0 else 0.0
