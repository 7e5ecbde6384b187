from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans

from scfcmi import _validate
from scfcmi._random import RandomState, Stream, torch_stream
from scfcmi.baselines._autoencoder import flat, trains_on_cpu
from scfcmi.baselines._inputs import Inputs, check_inputs

if TYPE_CHECKING:
    import scipy.sparse as sp
    from numpy.typing import ArrayLike
    from torch import Generator, nn

_BATCH = 512
_STEPS = 20_000


@trains_on_cpu
def dfc(
    X: ArrayLike | sp.spmatrix,
    groups: ArrayLike,
    n_clusters: int,
    random_state: RandomState = 0,
    *,
    fairness: float = 1.0,
    structure: float = 1.0,
    learning_rate: float = 1e-4,
    max_epochs: int | None = None,
    pretrain_epochs: int = 50,
) -> np.ndarray:
    """Deep fair clustering of two groups (DFC).

    A variational auto-encoder of all cells and k-means of its code begin; Student's t to the centers gives P. Of each
    group alone a second auto-encoder is trained and clustered by DEC, which gives P' and is then left as it is. A step
    takes up to 512 cells of either group and lowers, by Adam,

    - the sum over groups of KL(Q || P) / 2, Q being DEC's target within the batch of the group;
    - ``structure`` times the sum over groups of ``|P P^T - P' P'^T|^2 / 2``, to keep what is near within a group;
    - ``fairness`` times the cross-entropy of a critic (K-32-32-1, drop-out 0.5) that tells the group from P, with the
      gradient reversed: times c = 2 / (1 + exp(-10 t)) - 1, where t runs from 0 to 1.

    The rate is ``learning_rate`` (1 + 10 t)^-0.75, ten times that for the critic; weight decay is 5e-4. The label is
    the largest P.

    The network is that for features, d-512-64 with batch norm; the reference's convolutions for images of 32 x 32 and
    its published weights, on which its numbers depend, are not here. Others could not reproduce its balance either.

    Parameters
    ----------
    X
        Features, dense or sparse, shape (n_cells, n_features). Sparse ones become dense, images flat.
    groups
        Group of each cell, shape (n_cells,). Two groups.
    n_clusters
        Number of clusters, K.
    random_state
        Seed. An integer gives the same labels again, on the same machine and number of threads.
    fairness
        Weight of the critic's loss.
    structure
        Weight of the loss that keeps the structure of each group.
    learning_rate
        Rate to begin with. That of the reproductions; the authors' code has 0.01.
    max_epochs
        Number of passes over the larger group. ``None`` makes the reference's 20,000 steps of them.
    pretrain_epochs
        Number of passes of each of the three auto-encoders, and at most of DEC in each group.

    Returns
    -------
    Cluster of each cell, int32, shape (n_cells,).

    Raises
    ------
    TypeError, ValueError
        If there are not two groups, or fewer cells of one than clusters, or an argument is not as said.

    References
    ----------
    Li et al., Deep Fair Clustering for Visual Learning, CVPR 2020.
    """
    inputs = check_inputs(flat(X), groups, n_clusters, random_state, dense=True)
    if inputs.n_groups != 2:
        msg = f"DFC serves two groups only, got {inputs.n_groups}."
        raise ValueError(msg)
    sizes = np.bincount(inputs.codes)
    if sizes.min() < max(inputs.n_clusters, 2):
        msg = f"The smaller group has {sizes.min()} cells. It needs as many as clusters, n_clusters={inputs.n_clusters}, and two at least."
        raise ValueError(msg)
    fairness = _validate.number("fairness", fairness)
    structure = _validate.number("structure", structure)
    learning_rate = _validate.number("learning_rate", learning_rate, strict=True)
    pretrain_epochs = _validate.integer("pretrain_epochs", pretrain_epochs, minimum=1)
    steps = _STEPS
    if max_epochs is not None:
        steps = _validate.integer("max_epochs", max_epochs, minimum=1) * -(-int(sizes.max()) // _BATCH)
    return _train(inputs, fairness, structure, learning_rate, steps, pretrain_epochs)


def _train(
    inputs: Inputs, fairness: float, structure: float, learning_rate: float, steps: int, pretrain_epochs: int
) -> np.ndarray:
    import torch
    from torch import nn
    from torch.nn import functional as F

    from scfcmi.baselines import _deep, _variational

    seed, n_clusters = inputs.seed, inputs.n_clusters
    x = _deep.to_tensor(inputs.X) * _deep.unit_scale(inputs.X)
    members = [torch.from_numpy(np.flatnonzero(inputs.codes == group)) for group in (0, 1)]
    # P' of every cell, by the model of its own group.
    own = x.new_empty(len(x), n_clusters)
    for rows in members:
        network = _variational.pretrain(x[rows], seed, pretrain_epochs)
        _, centers = _deep.refine(network, x[rows], n_clusters, seed, pretrain_epochs)
        own[rows] = _deep.student(_deep.evaluate(network, x[rows]), centers)

    network = _variational.pretrain(x, seed, pretrain_epochs)
    start = KMeans(n_clusters, n_init=20, random_state=seed).fit(_deep.evaluate(network, x).numpy())
    centers = nn.Parameter(_deep.to_tensor(start.cluster_centers_))
    critic = _deep.build(lambda: _critic(n_clusters, torch_stream(seed, Stream.DFC_TRAINING)), seed, Stream.DFC_CRITIC)
    optimizer = torch.optim.Adam(
        [{"params": [*network.parameters(), centers], "factor": 1}, {"params": critic.parameters(), "factor": 10}],
        weight_decay=5e-4,
        fused=True,
    )
    generator = torch_stream(seed, Stream.DFC_TRAINING)
    for step in range(steps):
        done = step / steps
        for group in optimizer.param_groups:
            group["lr"] = group["factor"] * learning_rate * (1 + 10 * done) ** -0.75
        drawn = [rows[torch.randperm(len(rows), generator=generator)[:_BATCH]] for rows in members]
        rows, sizes = torch.cat(drawn), [len(part) for part in drawn]
        soft = _deep.student(network(x[rows]), centers)
        loss = soft.new_zeros(())
        for part, fixed in zip(soft.split(sizes), own[rows].split(sizes), strict=True):
            loss = loss + 0.5 * len(part) * _deep.divergence(_deep.target(part.detach()), part)
            loss = loss + 0.5 * structure * (part @ part.T - fixed @ fixed.T).square().sum()
        reversal = 2 / (1 + np.exp(-10 * done)) - 1
        # The value of P, minus its gradient.
        turned = (1 + reversal) * soft.detach() - reversal * soft
        truth = torch.repeat_interleave(torch.arange(2, dtype=torch.float32), torch.tensor(sizes))
        loss = loss + fairness * F.binary_cross_entropy_with_logits(critic(turned).squeeze(1), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    soft = _deep.student(_deep.evaluate(network, x), centers.detach())
    return soft.argmax(dim=1).numpy().astype(np.int32)


def _critic(n_clusters: int, draws: Generator) -> nn.Sequential:
    from torch import nn

    from scfcmi.baselines import _deep

    layers = []
    for width in (n_clusters, 32):
        layers += [nn.Linear(width, 32), nn.ReLU(), _deep.Dropout(0.5, draws)]
    critic = nn.Sequential(*layers, nn.Linear(32, 1))
    for layer in critic:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return critic
