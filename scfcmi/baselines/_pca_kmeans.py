from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.cluster import KMeans

from scfcmi import _validate
from scfcmi.baselines._inputs import check_inputs, principal_components

if TYPE_CHECKING:
    import numpy as np
    import scipy.sparse as sp
    from numpy.typing import ArrayLike

    from scfcmi._random import RandomState


def pca_kmeans(
    X: ArrayLike | sp.spmatrix,
    groups: ArrayLike,
    n_clusters: int,
    random_state: RandomState = 0,
    *,
    n_components: int = 50,
    n_init: int = 20,
) -> np.ndarray:
    """k-means of principal components, without any thought of groups.

    Parameters
    ----------
    X
        Features, dense or sparse, shape (n_cells, n_features).
    groups
        Group of each cell, shape (n_cells,). Checked, not used.
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
    TypeError, ValueError
        If an argument is not as said.
    """
    inputs = check_inputs(X, groups, n_clusters, random_state)
    n_init = _validate.integer("n_init", n_init, minimum=1)
    components = principal_components(inputs.X, n_components, inputs.seed)
    return KMeans(inputs.n_clusters, n_init=n_init, random_state=inputs.seed).fit_predict(components)
