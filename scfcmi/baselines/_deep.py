"""What the deep baselines share: auto-encoder, Student-t assignment, refinement of centers, mini-batches.

The other modules import this one inside functions, because it imports torch.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import nn
from torch.nn import functional as F

from scfcmi._initialization import initialized
from scfcmi._random import Stream, torch_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    # Added to the KL divergence of DEC: rows of the mini-batch, their codes, the centers.
    AddedLoss = Callable[[Tensor, Tensor, Tensor], Tensor]

_BATCH = 256
_CHUNK = 4096
_UPDATE_STEPS = 140
_SETTLED = 0.001
_TINY = 1e-8

M = TypeVar("M", bound=nn.Module)


class AutoEncoder(nn.Module):
    """Fully connected, mirrored, with ReLU on all but the code and the output layers.

    Inputs are multiplied by one number for all, which sets their mean square to one (Xie et al., 2016).
    """

    def __init__(self, n_features: int, widths: tuple[int, ...], scale: float) -> None:
        super().__init__()
        self.n_features, self.scale = n_features, scale
        self.encoder = mlp((n_features, *widths))
        self.decoder = mlp((*reversed(widths), n_features))

    def prepare(self, X: np.ndarray) -> Tensor:
        return to_tensor(X) * self.scale

    def forward(self, inputs: Tensor) -> Tensor:
        """Return codes."""
        return self.encoder(inputs)


def mlp(widths: tuple[int, ...], *, batch_norm: bool = False, leak: float = 0.0) -> nn.Sequential:
    """Return linear layers of these widths; between them batch norm, if so wished, and ReLU of slope ``leak`` below 0."""
    layers: list[nn.Module] = []
    for i, o in pairwise(widths):
        layers += [nn.Linear(i, o), *([nn.BatchNorm1d(o)] if batch_norm else []), nn.LeakyReLU(leak)]
    return nn.Sequential(*layers[: -3 if batch_norm else -2], nn.Linear(*widths[-2:]))


def build(make: Callable[[], M], seed: int, purpose: int = Stream.AUTOENCODER_WEIGHTS) -> M:
    """Return a network with the first weights of a seed."""
    return initialized(make, torch_stream(seed, purpose))


class Dropout(nn.Module):
    """Drop-out that draws from a generator of its own: torch's draws from the global one."""

    def __init__(self, share: float, generator: torch.Generator) -> None:
        super().__init__()
        self._kept, self._generator = 1 - share, generator

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the inputs, in training a random share of them zero and the rest raised to the same mean."""
        if not self.training:
            return inputs
        return inputs * torch.empty_like(inputs).bernoulli_(self._kept, generator=self._generator) / self._kept


def unit_scale(X: np.ndarray) -> float:
    """Return the number that brings the mean square of X to one."""
    return 1 / (float(np.sqrt(np.square(X, dtype=np.float64).mean())) or 1.0)


def to_tensor(X: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(X, dtype=np.float32))


def batches(n_cells: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield rows in random order; a single left-over joins the last batch, because batch norm needs two rows."""
    order = torch.randperm(n_cells, generator=generator)
    ends = list(range(size, n_cells - 1, size))
    yield from torch.tensor_split(order, ends)


def evaluate(network: nn.Module, inputs: Tensor) -> Tensor:
    """Return the outputs for all cells, in chunks, with batch norm as in inference."""
    network.eval()
    with torch.no_grad():
        outputs = torch.cat([network(chunk) for chunk in inputs.split(_CHUNK)])
    network.train()
    return outputs


def pretrain(X: np.ndarray, seed: int, epochs: int, widths: tuple[int, ...]) -> AutoEncoder:
    """Train an auto-encoder by the mean squared error, Adam at 1e-3, 256 cells a step."""
    auto = build(lambda: AutoEncoder(X.shape[1], widths, unit_scale(X)), seed)
    inputs = auto.prepare(X)
    optimizer = torch.optim.Adam(auto.parameters(), lr=1e-3, fused=True)
    generator = torch_stream(seed, Stream.AUTOENCODER_TRAINING)
    for _ in range(epochs):
        for rows in batches(len(inputs), _BATCH, generator):
            batch = inputs[rows]
            loss = F.mse_loss(auto.decoder(auto.encoder(batch)), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return auto


def student(codes: Tensor, centers: Tensor) -> Tensor:
    """Assign softly by Student's t of one degree of freedom: q_ij as 1 / (1 + |z_i - mu_j|^2), rows summing to one."""
    # Not torch.cdist, whose gradient is not finite where a code is on its center.
    squared = codes.square().sum(1, keepdim=True) - 2 * codes @ centers.T + centers.square().sum(1)
    kernel = 1 / (1 + squared.clamp_min(0))
    return kernel / kernel.sum(dim=1, keepdim=True)


def target(soft: Tensor) -> Tensor:
    """Sharpen an assignment: p_ij as q_ij^2 / sum_i q_ij, rows summing to one."""
    sharp = soft.square() / soft.sum(dim=0).clamp_min(_TINY)
    return sharp / sharp.sum(dim=1, keepdim=True)


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q), summed over clusters, mean over cells."""
    return (p * (p.clamp_min(_TINY).log() - q.clamp_min(_TINY).log())).sum(dim=1).mean()


def refine(
    network: nn.Module,
    inputs: Tensor,
    n_clusters: int,
    seed: int,
    epochs: int,
    *,
    added: AddedLoss | None = None,
    each_epoch: Callable[[nn.Module], object] | None = None,
) -> tuple[np.ndarray, Tensor]:
    """Train a network, which returns codes, and centers toward their own sharpened assignment, the second stage of DEC.

    The target is computed from all cells every 140 steps; training ends when fewer than 0.1 % of cells have changed
    cluster since the last time. ``added`` is a loss to add; what it trains besides must be in ``network``.

    Returns
    -------
    Cluster of each cell, and the centers; the network is changed.
    """
    codes = evaluate(network, inputs)
    start = KMeans(n_clusters, n_init=20, random_state=seed).fit(codes.numpy())
    centers = nn.Parameter(to_tensor(start.cluster_centers_))
    labels = torch.from_numpy(start.labels_.astype(np.int64))
    optimizer = torch.optim.SGD([*network.parameters(), centers], lr=0.01, momentum=0.9, fused=True)
    generator = torch_stream(seed, Stream.REFINEMENT)
    step = 0
    for _ in range(epochs):
        if each_epoch is not None:
            each_epoch(network)
        for rows in batches(len(inputs), _BATCH, generator):
            if step % _UPDATE_STEPS == 0:
                soft = student(evaluate(network, inputs), centers.detach())
                goal, before, labels = target(soft), labels, soft.argmax(dim=1)
                if step and (labels != before).float().mean() < _SETTLED:
                    return labels.numpy().astype(np.int32), centers.detach()
            codes = network(inputs[rows])
            loss = divergence(goal[rows], student(codes, centers))
            if added is not None:
                loss = loss + added(rows, codes, centers)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
    labels = student(evaluate(network, inputs), centers.detach()).argmax(dim=1)
    return labels.numpy().astype(np.int32), centers.detach()


def copy_of(network: M) -> M:
    """Copy a network, so that a shared one stays as it was pre-trained."""
    return copy.deepcopy(network)
