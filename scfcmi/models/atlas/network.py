"""The networks of atlas mode: components, moved no further than counterparts ask."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfcmi.models.atlas.projection import CLIP

_WIDTH = 256


@dataclass(frozen=True)
class ResidualArchitecture:
    """All that decides the shapes of the weights; stored with a model so that it can be built again."""

    n_features: int
    n_components: int
    n_groups: int
    projected: bool
    """Whether inputs are expression, projected to components, or components themselves."""
    n_networks: int


class Perceptrons(nn.Module):
    """Networks of one hidden layer, side by side in one product."""

    def __init__(self, n_networks: int, n_inputs: int, n_outputs: int, *, start_at_zero: bool = False) -> None:
        super().__init__()
        self.hidden, self.hidden_bias = _weights(n_networks, n_inputs, _WIDTH)
        self.output, self.output_bias = _weights(n_networks, _WIDTH, n_outputs)
        if start_at_zero:
            nn.init.zeros_(self.output)
            nn.init.zeros_(self.output_bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs, shape (n_networks, n_cells, n_outputs), from inputs of the same first axis."""
        hidden = torch.baddbmm(self.hidden_bias, inputs, self.hidden).relu()
        return torch.baddbmm(self.output_bias, hidden, self.output)


def _weights(n_networks: int, n_inputs: int, n_outputs: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Weights and biases as ``nn.Linear`` draws them."""
    bound = n_inputs**-0.5
    return tuple(
        nn.Parameter(torch.empty(n_networks, rows, n_outputs).uniform_(-bound, bound)) for rows in (n_inputs, 1)
    )


class ResidualAutoEncoder(nn.Module):
    """Code ``normalize(z + f(z))`` of components z, f starting at zero; a decoder of components, told the group.

    Several such networks from different weights, trained side by side; the code of a cell is the mean direction of
    theirs. All start at z, so that their codes are of one space.
    """

    def __init__(self, architecture: ResidualArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        if a.projected:
            for name, shape in (
                ("mean", (a.n_features,)),
                ("scale", (a.n_features,)),
                ("center", (a.n_features,)),
                ("loadings", (a.n_features, a.n_components)),
            ):
                self.register_buffer(name, torch.zeros(shape))
        # One factor for all components: their sizes beside each other say what matters.
        self.register_buffer("unit", torch.ones(()))
        self.shift = Perceptrons(a.n_networks, a.n_components, a.n_components, start_at_zero=True)
        self.decoder = Perceptrons(a.n_networks, a.n_components + a.n_groups, a.n_components)

    def project(self, inputs: Tensor) -> Tensor:
        """Return components in units of their root mean square length, shape (n_cells, n_components)."""
        if self.architecture.projected:
            scaled = ((inputs - self.mean) / self.scale).clamp(-CLIP, CLIP)
            inputs = (scaled - self.center) @ self.loadings
        return inputs / self.unit

    def encode_each(self, components: Tensor) -> Tensor:
        """Return the codes of each network, of unit length, shape (n_networks, n_cells, n_components).

        Components are those of the same cells for all networks, or have the networks as first axis.
        """
        components = components.expand(self.architecture.n_networks, -1, -1)
        return F.normalize(components + self.shift(components), dim=2)

    def decode_each(self, codes: Tensor, groups: Tensor) -> Tensor:
        """Return components by each network from codes of the shape of :meth:`encode_each`, as of their groups."""
        told = F.one_hot(groups, self.architecture.n_groups).to(codes.dtype).expand(*codes.shape[:2], -1)
        return self.decoder(torch.cat([codes, told], dim=2))

    def encode_components(self, components: Tensor) -> Tensor:
        """Return codes of unit length, shape (n_cells, n_components)."""
        return F.normalize(self.encode_each(components).mean(dim=0), dim=1)

    def encode(self, inputs: Tensor) -> Tensor:
        """Return codes of unit length from the features of ``fit``."""
        return self.encode_components(self.project(inputs))

    def decode(self, codes: Tensor, groups: Tensor) -> Tensor:
        """Return reconstructions in the features of ``fit``: what the components hold of them."""
        each = codes.expand(self.architecture.n_networks, -1, -1)
        components = self.decode_each(each, groups).mean(dim=0) * self.unit
        if not self.architecture.projected:
            return components
        scaled = components @ self.loadings.T + self.center
        # Features left out have infinite scale; they are decoded as their mean.
        return torch.where(self.scale.isinf(), self.mean, scaled * self.scale + self.mean)
