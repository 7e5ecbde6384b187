from __future__ import annotations

from typing import TYPE_CHECKING

from scfcmi import _validate
from scfcmi.baselines._autoencoder import flat, given_or_trained, trains_on_cpu
from scfcmi.baselines._inputs import check_inputs

if TYPE_CHECKING:
    import numpy as np
    import scipy.sparse as sp
    from numpy.typing import ArrayLike
    from torch import Tensor

    from scfcmi._random import RandomState
    from scfcmi.baselines._deep import AutoEncoder


@trains_on_cpu
def towards(
    X: ArrayLike | sp.spmatrix,
    groups: ArrayLike,
    n_clusters: int,
    random_state: RandomState = 0,
    *,
    fairness: float = 1.0,
    max_epochs: int = 150,
    pretrain_epochs: int = 100,
    autoencoder: AutoEncoder | None = None,
) -> np.ndarray:
    """Deep fair clustering toward centers equally far from all groups (Towards).

    DEC with two more terms. The fairoid pi_t is the mean code of group t, computed from all cells each epoch. Its
    nearness to the center mu_j is phi_jt, as ``1 / (1 + |mu_j - pi_t|^2)``, adding up to one over groups. The loss is
    KL(P || Q) + ``fairness`` sum_j KL(phi_j || 1 / T) + the mean squared error of the decoder.

    The authors published no code, and the paper's equations were not at hand: this follows descriptions in later
    papers. The decoder is kept, as in IDEC; without it the means of all groups could fall together. Centers that are equally
    far from all fairoids do not make assignments fair: expect little. Many groups in a code of ten
    dimensions leave the centers little room.

    Parameters
    ----------
    X
        Features, dense or sparse, shape (n_cells, n_features). Sparse ones become dense, images flat.
    groups
        Group of each cell, shape (n_cells,). Any number of groups.
    n_clusters
        Number of clusters, K.
    random_state
        Seed. An integer gives the same labels again, on the same machine and number of threads.
    fairness
        Weight of the second term, the paper's gamma. Published comparisons chose among 0.1, 1, 10 and 100.
    max_epochs
        Number of passes over all cells, at most.
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
    Wang and Davidson, Towards Fair Deep Clustering With Multi-State Protected Variables, 2019.
    """
    import torch

    from scfcmi.baselines import _deep

    inputs = check_inputs(flat(X), groups, n_clusters, random_state, dense=True)
    max_epochs = _validate.integer("max_epochs", max_epochs, minimum=1)
    fairness = _validate.number("fairness", fairness)
    auto = given_or_trained(autoencoder, inputs, pretrain_epochs)
    copied = _deep.copy_of(auto)
    x = auto.prepare(inputs.X)
    groups_of = torch.from_numpy(inputs.codes)
    sizes = torch.bincount(groups_of)[:, None]
    fairoids = torch.empty(0)

    def find_fairoids(network: AutoEncoder) -> None:
        nonlocal fairoids
        codes = _deep.evaluate(network, x)
        fairoids = codes.new_zeros(inputs.n_groups, codes.shape[1]).index_add(0, groups_of, codes) / sizes

    def added(rows: Tensor, codes: Tensor, centers: Tensor) -> Tensor:
        nearness = _deep.student(centers, fairoids)
        even = torch.full_like(nearness, 1 / inputs.n_groups)
        unfair = len(centers) * _deep.divergence(nearness, even)
        return fairness * unfair + (copied.decoder(codes) - x[rows]).square().mean()

    return _deep.refine(copied, x, inputs.n_clusters, inputs.seed, max_epochs, added=added, each_epoch=find_fairoids)[0]
