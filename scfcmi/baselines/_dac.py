from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from scfcmi import _validate
from scfcmi._random import RandomState, Stream, torch_stream
from scfcmi.baselines._autoencoder import flat, trains_on_cpu
from scfcmi.baselines._inputs import Inputs, check_inputs

if TYPE_CHECKING:
    import numpy as np
    import scipy.sparse as sp
    import torch
    from numpy.typing import ArrayLike
    from torch import Tensor, nn

_BLOCK, _BATCH, _PASSES = 1000, 128, 5
_WIDTHS = (512, 512)
_HIGHEST, _LOWEST = 0.9, 0.5
_DROPPED, _NOISE = 0.1, 0.05


@trains_on_cpu
def dac(
    X: ArrayLike | sp.spmatrix,
    groups: ArrayLike,
    n_clusters: int,
    random_state: RandomState = 0,
    *,
    max_epochs: int = 100,
) -> np.ndarray:
    """Deep adaptive clustering (DAC), without any thought of groups.

    A network gives each cell a soft assignment y. Blocks of 1,000 cells are taken in turn. Two cells of a block are
    called alike, r_ij = 1, where the cosine of y_i and y_j is above a threshold. Then the mean of
    (cos(y_i, y_j) - r_ij)^2 over all pairs among 128 cells is lowered by RMSprop at 0.001, in five passes over the
    block, whose cells are perturbed: a tenth of the features set to their mean, and Gaussian noise of 0.05. The
    threshold falls from 0.9 toward 0.5, a step every five passes. The label is the largest y.

    The network is d-512-512-K-K, with batch norm and ReLU after each layer, and a softmax. Its last layer begins as the
    identity, so that fewer cells look alike at first. Features are centered, and scaled to a mean square of one.

    This is the form that the authors released; that of their paper learns only from the pairs it is surest of. It
    depends much on the seed and favors clusters of one size, so rare types are lost. Published numbers cannot be had
    here: those on images are of convolutions, rotations and shifts; those on HAR and the mouse atlas are the FCMI
    authors' own, without a protocol.

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
        Number of passes over all cells.

    Returns
    -------
    Cluster of each cell, int32, shape (n_cells,).

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.

    References
    ----------
    Chang et al., Deep Adaptive Image Clustering, ICCV 2017.
    """
    inputs = check_inputs(flat(X), groups, n_clusters, random_state, dense=True)
    max_epochs = _validate.integer("max_epochs", max_epochs, minimum=1)
    return _train(inputs, max_epochs)


def _train(inputs: Inputs, max_epochs: int) -> np.ndarray:
    import torch

    from scfcmi.baselines import _deep

    centered = inputs.X - inputs.X.mean(axis=0)
    x = _deep.to_tensor(centered) * _deep.unit_scale(centered)
    network = _deep.build(lambda: _network(x.shape[1], inputs.n_clusters), inputs.seed, Stream.DAC_WEIGHTS)
    optimizer = torch.optim.RMSprop(network.parameters(), lr=0.001, alpha=0.9)
    generator = torch_stream(inputs.seed, Stream.DAC_TRAINING)
    for epoch in range(0, max_epochs, _PASSES):
        threshold = _HIGHEST - (_HIGHEST - _LOWEST) * epoch / max_epochs
        for block in _deep.batches(len(x), _BLOCK, generator):
            alike = (_cosines(_deep.evaluate(network, x[block])) > threshold).float()
            for _ in range(min(_PASSES, max_epochs - epoch)):
                for rows in _deep.batches(len(block), _BATCH, generator):
                    cosines = _cosines(network(_perturbed(x[block[rows]], generator)))
                    loss = (cosines - alike[rows][:, rows]).square().mean()
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
    return _deep.evaluate(network, x).argmax(dim=1).numpy().astype("int32")


def _network(n_features: int, n_clusters: int) -> nn.Sequential:
    """Return layers whose outputs are as wide as their inputs, for the first pairs are found by untrained weights."""
    from torch import nn

    layers: list[nn.Module] = []
    for i, o in pairwise((n_features, *_WIDTHS, n_clusters, n_clusters)):
        layers += [nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU()]
        nn.init.kaiming_normal_(layers[-3].weight, nonlinearity="relu")
        nn.init.zeros_(layers[-3].bias)
    nn.init.eye_(layers[-3].weight)
    return nn.Sequential(*layers)


def _cosines(logits: Tensor) -> Tensor:
    from torch.nn import functional as F

    soft = F.normalize(logits.softmax(dim=1), dim=1)
    return soft @ soft.T


def _perturbed(batch: Tensor, generator: torch.Generator) -> Tensor:
    import torch

    kept = torch.rand(batch.shape, generator=generator, dtype=torch.float32) >= _DROPPED
    return batch * kept + _NOISE * torch.randn(batch.shape, generator=generator, dtype=torch.float32)
