from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.cluster import KMeans

from scfcmi import _validate
from scfcmi.baselines._harmony import harmonized
from scfcmi.baselines._inputs import check_inputs

if TYPE_CHECKING:
    import numpy as np
    import scipy.sparse as sp
    from numpy.typing import ArrayLike

    from scfcmi._random import RandomState


def harmony_kmeans(
    X: ArrayLike | sp.spmatrix,
    groups: ArrayLike,
    n_clusters: int,
    random_state: RandomState = 0,
    *,
    n_components: int = 50,
    n_init: int = 20,
) -> np.ndarray:
    """k-means of principal components that Harmony has corrected for the group.

    Parameters
    ----------
    X
        Features, dense or sparse, shape (n_cells, n_features).
    groups
        Group of each cell, shape (n_cells,).
    n_clusters
        Number of clusters, K.
    random_state
        Seed. An integer gives the same labels again.
    n_components
        Number of principal components, at most. Fewer features than these are taken as they are.
    n_init
        Number of k-means++ seedings. The tightest result is taken.

    Returns
    -------
    Cluster of each cell, int32, shape (n_cells,).

    Raises
    ------
    ImportError
        If harmonypy is not installed.
    TypeError, ValueError
        If an argument is not as said.

    References
    ----------
    Korsunsky et al., Fast, sensitive and accurate integration of single-cell data with Harmony, Nature Methods, 2019.
    """
    inputs = check_inputs(X, groups, n_clusters, random_state)
    n_init = _validate.integer("n_init", n_init, minimum=1)
    components = harmonized(inputs, n_components, "harmony_kmeans")
    return KMeans(inputs.n_clusters, n_init=n_init, random_state=inputs.seed).fit_predict(components)
