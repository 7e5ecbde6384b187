from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.cluster import KMeans

from scfcmi import _validate
from scfcmi.baselines._inputs import check_inputs

if TYPE_CHECKING:
    import numpy as np
    import scipy.sparse as sp
    from numpy.typing import ArrayLike

    from scfcmi._random import RandomState


def kmeans(
    X: ArrayLike | sp.spmatrix,
    groups: ArrayLike,
    n_clusters: int,
    random_state: RandomState = 0,
    *,
    n_init: int = 20,
) -> np.ndarray:
    """k-means of the features as they are: what clusters look like without any thought of groups.

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
    return KMeans(inputs.n_clusters, n_init=n_init, random_state=inputs.seed).fit_predict(inputs.X)
