from __future__ import annotations

from typing import TYPE_CHECKING

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
def dec(
    X: ArrayLike | sp.spmatrix,
    groups: ArrayLike,
    n_clusters: int,
    random_state: RandomState = 0,
    *,
    max_epochs: int = 150,
    pretrain_epochs: int = 100,
    autoencoder: AutoEncoder | None = None,
) -> np.ndarray:
    """Deep embedded clustering (DEC), without any thought of groups.

    From the code z of a pre-trained auto-encoder and the centers mu of k-means (20 seedings), cells are assigned by
    Student's t, q_ij as ``1 / (1 + |z_i - mu_j|^2)``, to be sharpened: p_ij as q_ij^2 / sum_i q_ij, from all cells,
    every 140 steps. Encoder and centers lower KL(P || Q) by gradient descent (rate 0.01, momentum 0.9, 256 cells a
    step), the decoder being dropped, until fewer than 0.1 % of cells change cluster between two targets. The label is
    the largest q.

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
        Number of passes over all cells, at most. The reference sets no limit; the default is that of ClustPy.
    pretrain_epochs
        Number of passes of the auto-encoder; not used where one is given.
    autoencoder
        One of :func:`pretrain_autoencoder`, to share among methods. ``None`` trains one.

    Returns
    -------
    Cluster of each cell, int32, shape (n_cells,).

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.

    References
    ----------
    Xie et al., Unsupervised Deep Embedding for Clustering Analysis, ICML 2016.
    """
    from scfcmi.baselines import _deep

    inputs = check_inputs(flat(X), groups, n_clusters, random_state, dense=True)
    max_epochs = _validate.integer("max_epochs", max_epochs, minimum=1)
    auto = given_or_trained(autoencoder, inputs, pretrain_epochs)
    copied = _deep.copy_of(auto)
    return _deep.refine(copied, auto.prepare(inputs.X), inputs.n_clusters, inputs.seed, max_epochs)[0]
