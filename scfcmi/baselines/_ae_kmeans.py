from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.cluster import KMeans

from scfcmi import _validate
from scfcmi.baselines._autoencoder import flat, given_or_trained, trains_on_cpu
from scfcmi.baselines._inputs import check_inputs

if TYPE_CHECKING:
    import numpy as np
    import scipy.sparse as sp
    from numpy.typing import ArrayLike

    from scfcmi._random import RandomState
    from scfcmi.baselines._deep import AutoEncoder


@trains_on_cpu
def ae_kmeans(
    X: ArrayLike | sp.spmatrix,
    groups: ArrayLike,
    n_clusters: int,
    random_state: RandomState = 0,
    *,
    max_epochs: int = 100,
    n_init: int = 20,
    autoencoder: AutoEncoder | None = None,
) -> np.ndarray:
    """k-means of the code of an auto-encoder, without any thought of groups.

    The auto-encoder is d-500-500-2000-10 and its mirror, fully connected for images too.

    Parameters
    ----------
    X
        Features, dense or sparse, shape (n_cells, n_features). Sparse ones become dense, images flat.
    groups
        Group of each cell, shape (n_cells,). Checked, not used.
    n_clusters
        Number of clusters, K.
    random_state
        Seed. An integer gives the same labels again, on the same machine and number of threads.
    max_epochs
        Number of passes of the auto-encoder over all cells; not used where one is given.
    n_init
        Number of k-means++ seedings. The tightest result is taken.
    autoencoder
        One of :func:`pretrain_autoencoder`, to share among methods. ``None`` trains one.

    Returns
    -------
    Cluster of each cell, int32, shape (n_cells,).

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.
    """
    from scfcmi.baselines import _deep

    inputs = check_inputs(flat(X), groups, n_clusters, random_state, dense=True)
    n_init = _validate.integer("n_init", n_init, minimum=1)
    max_epochs = _validate.integer("max_epochs", max_epochs, minimum=1)
    auto = given_or_trained(autoencoder, inputs, max_epochs)
    codes = _deep.evaluate(auto.encoder, auto.prepare(inputs.X)).numpy()
    return KMeans(inputs.n_clusters, n_init=n_init, random_state=inputs.seed).fit_predict(codes)
