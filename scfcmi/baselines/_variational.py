"""The variational auto-encoder that DFC starts from. Imports torch: to be imported inside functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from scfcmi._random import Stream, torch_stream
from scfcmi.baselines import _deep

if TYPE_CHECKING:
    from torch import Tensor

_HIDDEN, _DIMS = 512, 64
_BATCH = 64


class Variational(nn.Module):
    """d-512-64 with batch norm; its code is the mean of the posterior."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(n_features, _HIDDEN), nn.BatchNorm1d(_HIDDEN), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(_HIDDEN, _DIMS), nn.Linear(_HIDDEN, _DIMS)
        self.decoder = _deep.mlp((_DIMS, _HIDDEN, n_features), batch_norm=True)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.mean(self.trunk(inputs))


def pretrain(x: Tensor, seed: int, epochs: int) -> Variational:
    """Train by half the squared error plus KL(posterior || N(0, I)), summed over dimensions, Adam at 1e-3."""
    network = _deep.build(lambda: Variational(x.shape[1]), seed, Stream.VARIATIONAL_WEIGHTS)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    generator = torch_stream(seed, Stream.VARIATIONAL_TRAINING)
    for _ in range(epochs):
        for rows in _deep.batches(len(x), _BATCH, generator):
            hidden = network.trunk(x[rows])
            mean, log_variance = network.mean(hidden), network.log_variance(hidden)
            noise = torch.randn(mean.shape, generator=generator, dtype=torch.float32)
            outputs = network.decoder(mean + (log_variance / 2).exp() * noise)
            error = 0.5 * (outputs - x[rows]).square().sum(dim=1)
            apart = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
            loss = (error + apart).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network
