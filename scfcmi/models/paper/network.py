"""Encoder and decoders of FCMI (section 4 of the paper, layer sizes of the authors' published settings).

The encoder maps a cell to a code of unit length. The decoder must be told the group, so that the code need not
carry it: either by one branch a group (Eq. 11, ``"branches"``) or by a group-specific bias (``"shared"``), whose
cost does not grow with the number of groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.nn import functional as F

from scfcmi._initialization import initialized
from scfcmi._random import Stream, torch_stream
from scfcmi.models.products import Linear, batched_linear

if TYPE_CHECKING:
    from torch import Tensor

IMAGE_SHAPE = (1, 28, 28)
_STEM_IMAGE = (16, 7, 7)


@dataclass(frozen=True)
class Architecture:
    """All that decides the shapes of the weights; stored with a model so that it can be built again."""

    n_features: int
    n_groups: int
    n_dims: int
    convolutional: bool
    decoder: Literal["branches", "shared"]
    bounded: bool
    """Whether inputs lie in [-1, 1]: the output then ends in tanh."""
    encoder_widths: tuple[int, ...] = (1024, 1024, 512, 256)
    """Widths of the hidden layers; the last one has no batch norm."""
    stem_widths: tuple[int, ...] = (256, 512)
    branch_widths: tuple[int, ...] = (1024, 1024)


class AutoEncoder(nn.Module):
    """Encoder to unit-length codes, decoder told the group."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        a = architecture
        if a.convolutional:
            self.encoder = _convolutional_encoder(a.n_dims)
            self.stem = nn.Sequential(Linear(a.n_dims, 256), nn.ReLU(), Linear(256, 784), nn.ReLU())
            branches, shared = ConvolutionalBranches, ConvolutionalShared
        else:
            self.encoder = _fully_connected_encoder(a)
            widths = (a.n_dims, *a.stem_widths)
            self.stem = nn.Sequential(*(layer for i, o in pairwise(widths) for layer in (Linear(i, o), nn.ReLU())))
            branches, shared = FullyConnectedBranches, FullyConnectedShared
        self.branches = (branches if a.decoder == "branches" else shared)(a)

    def encode(self, inputs: Tensor) -> Tensor:
        """Return codes of unit length in float32, shape (n_cells, n_dims)."""
        if self.architecture.convolutional:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return F.normalize(self.encoder(inputs).float(), dim=1)

    def decode(self, codes: Tensor, groups: Tensor) -> Tensor:
        """Return reconstructions in float32, of the shape of the inputs, each by the decoder of its group."""
        outputs = self.branches(self.stem(codes), groups).float()
        return outputs.tanh() if self.architecture.bounded else outputs


def new_network(architecture: Architecture, seed: int) -> AutoEncoder:
    """Return a network with the first weights of a seed."""
    return initialized(lambda: AutoEncoder(architecture), torch_stream(seed, Stream.WEIGHTS))


def _fully_connected_encoder(a: Architecture) -> nn.Sequential:
    layers: list[nn.Module] = []
    width = a.n_features
    for out in a.encoder_widths[:-1]:
        layers += [Linear(width, out), BatchNorm(out), nn.ReLU()]
        width = out
    last = a.encoder_widths[-1]
    return nn.Sequential(*layers, Linear(width, last), nn.ReLU(), Linear(last, a.n_dims))


def _convolutional_encoder(n_dims: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, o, stride in ((1, 16, 1), (16, 32, 2), (32, 32, 1), (32, 16, 2)):
        layers += [nn.Conv2d(i, o, 3, stride, padding=1), nn.ReLU()]
    layers += [nn.Flatten(), Linear(math.prod(_STEM_IMAGE), 256), nn.ReLU(), Linear(256, n_dims)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


class FullyConnectedBranches(nn.Module):
    """One fully connected decoder a group, computed for all groups at once.

    Cells are sorted by group into a padded block of shape (n_groups present, cells of the largest group, width), so
    that a layer is one batched matrix product however many groups there are.
    """

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        widths = (a.stem_widths[-1], *a.branch_widths)
        self.hidden = nn.ModuleList()
        for i, o in pairwise(widths):
            self.hidden += [GroupedLinear(a.n_groups, i, o), GroupedBatchNorm(a.n_groups, o)]
        self.output = GroupedLinear(a.n_groups, widths[-1], a.n_features)

    def forward(self, stem: Tensor, groups: Tensor) -> Tensor:
        present, codes, counts = groups.unique(return_inverse=True, return_counts=True)
        order = codes.argsort(stable=True)
        starts = counts.cumsum(0) - counts
        slot = torch.empty_like(codes)
        slot[order] = torch.arange(len(codes), device=codes.device) - starts[codes[order]]
        block = stem.new_zeros((len(present), int(counts.max()), stem.shape[1])).index_put((codes, slot), stem)
        for hidden, norm in zip(self.hidden[::2], self.hidden[1::2], strict=True):
            block = F.relu(norm(hidden(block, present), present, counts))
        return self.output(block, present)[codes, slot]


class GroupedLinear(nn.Module):
    """A linear layer a group, initialized as :class:`torch.nn.Linear`."""

    def __init__(self, n_groups: int, n_in: int, n_out: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(n_in)
        self.weight = nn.Parameter(torch.empty(n_groups, n_in, n_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_groups, 1, n_out).uniform_(-bound, bound))

    def forward(self, block: Tensor, present: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        if len(present) < len(weight):
            weight, bias = weight[present], bias[present]
        return batched_linear(bias, block, weight)


class BatchNorm(nn.BatchNorm1d):
    """Batch norm whose results do not depend on the number of threads.

    torch divides the cells of a batch among threads, but does not divide the cells of one channel of an image. So features
    are given to it as channels.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.T.contiguous()[None])[0].T


class GroupedBatchNorm(nn.Module):
    """Batch norm a group over a padded block. A group of one cell has no variance: its running statistics serve."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, n_groups: int, width: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(n_groups, 1, width))
        self.bias = nn.Parameter(torch.zeros(n_groups, 1, width))
        self.register_buffer("running_mean", torch.zeros(n_groups, 1, width))
        self.register_buffer("running_var", torch.ones(n_groups, 1, width))

    def forward(self, block: Tensor, present: Tensor, counts: Tensor) -> Tensor:
        block = block.float()
        mean, var = self.running_mean[present], self.running_var[present]
        if self.training:
            real = (torch.arange(block.shape[1], device=block.device) < counts[:, None])[:, :, None]
            n = counts[:, None, None]
            batch_mean = (block * real).sum(dim=1, keepdim=True) / n
            batch_var = ((block - batch_mean).square() * real).sum(dim=1, keepdim=True) / n
            several = n > 1
            with torch.no_grad():
                unbiased = batch_var * n / (n - 1).clamp_min(1)
                self.running_mean[present] = torch.where(several, mean.lerp(batch_mean, self.momentum), mean)
                self.running_var[present] = torch.where(several, var.lerp(unbiased, self.momentum), var)
            mean, var = torch.where(several, batch_mean, mean), torch.where(several, batch_var, var)
        return (block - mean) * (var + self.eps).rsqrt() * self.weight[present] + self.bias[present]


class FullyConnectedShared(nn.Module):
    """One fully connected decoder for all groups; its first layer has a bias a group, as if given a one-hot group."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        widths = (a.stem_widths[-1], *a.branch_widths)
        self.group_bias = nn.Embedding(a.n_groups, widths[1])
        nn.init.uniform_(self.group_bias.weight, -1 / math.sqrt(widths[0]), 1 / math.sqrt(widths[0]))
        self.input = Linear(widths[0], widths[1], bias=False)
        rest: list[nn.Module] = [BatchNorm(widths[1]), nn.ReLU()]
        for i, o in pairwise(widths[1:]):
            rest += [Linear(i, o), BatchNorm(o), nn.ReLU()]
        self.rest = nn.Sequential(*rest, Linear(widths[-1], a.n_features))

    def forward(self, stem: Tensor, groups: Tensor) -> Tensor:
        return self.rest(self.input(stem) + self.group_bias(groups))


class ConvolutionalBranches(nn.Module):
    """One stack of transposed convolutions a group.

    Image sets have few groups of very uneven size: a pass a group costs less than padding all to the largest.
    """

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.stacks = nn.ModuleList(_transposed_convolutions() for _ in range(a.n_groups))

    def forward(self, stem: Tensor, groups: Tensor) -> Tensor:
        images = stem.view(-1, *_STEM_IMAGE).contiguous(memory_format=torch.channels_last)
        outputs = images.new_empty((len(images), *IMAGE_SHAPE))
        for group in groups.unique().tolist():
            rows = torch.nonzero(groups == group).flatten()
            outputs = outputs.index_copy(0, rows, self.stacks[group](images[rows]))
        return outputs


class ConvolutionalShared(nn.Module):
    """One stack of transposed convolutions for all groups, on a stem shifted by a bias a group."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.group_bias = nn.Embedding(a.n_groups, math.prod(_STEM_IMAGE))
        nn.init.uniform_(self.group_bias.weight, -1 / 16, 1 / 16)
        self.stack = _transposed_convolutions()

    def forward(self, stem: Tensor, groups: Tensor) -> Tensor:
        images = (stem + self.group_bias(groups)).view(-1, *_STEM_IMAGE)
        return self.stack(images.contiguous(memory_format=torch.channels_last))


def _transposed_convolutions() -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(16, 32, 3, 2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 32, 3, 1, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 3, 2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 3, 1, padding=1),
    ).to(memory_format=torch.channels_last)
