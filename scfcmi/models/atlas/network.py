"""The networks of atlas mode: for each view an encoder that adds to components, and a decoder that knows the group."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfcmi.models.inference import in_blocks
from scfcmi.models.products import batched_linear, product
from scfcmi.rows import DenseRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from scfcmi.rows import Rows

_WIDTH = 256


@dataclass(frozen=True)
class AtlasArchitecture:
    """All that decides the shapes of the weights; stored with a model so that it can be built again."""

    n_features: int
    n_components: int
    n_groups: int
    n_views: int
    projected: bool
    """Whether inputs are expression, projected to components, or components themselves."""


class Perceptrons(nn.Module):
    """Networks of one hidden layer, one a view, side by side in one product."""

    def __init__(self, n_views: int, n_inputs: int, n_outputs: int, *, start_at_zero: bool = False) -> None:
        super().__init__()
        self.hidden, self.hidden_bias = _weights(n_views, n_inputs, _WIDTH)
        self.output, self.output_bias = _weights(n_views, _WIDTH, n_outputs)
        if start_at_zero:
            nn.init.zeros_(self.output)
            nn.init.zeros_(self.output_bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs, shape (n_views, n_cells, n_outputs), from inputs of the same first axes."""
        hidden = batched_linear(self.hidden_bias, inputs, self.hidden).relu()
        return batched_linear(self.output_bias, hidden, self.output)


def _weights(n_views: int, n_inputs: int, n_outputs: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Weights and biases as ``nn.Linear`` draws them."""
    bound = n_inputs**-0.5
    return tuple(nn.Parameter(torch.empty(n_views, rows, n_outputs).uniform_(-bound, bound)) for rows in (n_inputs, 1))


class AtlasNetwork(nn.Module):
    """Code ``normalize(z + f(z))`` of components z, f starting at zero; a decoder of components, told the group.

    Every view of the cells has its own f and its own decoder. The embedding of a cell holds its codes in all views, one
    after the other, divided by the square root of their number, so that it has unit length.
    """

    def __init__(self, architecture: AtlasArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        if a.projected:
            for name, shape in (
                ("mean", (a.n_features,)),
                ("scale", (a.n_views, a.n_features)),
                ("clip", (a.n_views,)),
                ("center", (a.n_views, a.n_features)),
                ("loadings", (a.n_views, a.n_features, a.n_components)),
            ):
                self.register_buffer(name, torch.zeros(shape))
        # One scale for all components of a view keeps their variances relative to each other.
        self.register_buffer("unit", torch.ones(a.n_views))
        self.shift = Perceptrons(a.n_views, a.n_components, a.n_components, start_at_zero=True)
        self.decoder = Perceptrons(a.n_views, a.n_components + a.n_groups, a.n_components)

    @cached_property
    def _projected_centers(self) -> Tensor:
        """Shape (n_views, 1, n_components). Kept, since it costs half as much as the cells of a block."""
        pairs = zip(self.center, self.loadings, strict=True)
        return torch.stack([product(center[None], loadings) for center, loadings in pairs])

    def _apply(self, *args: Any, **kwargs: Any) -> Self:
        # Moving parameters to another device does not move what is derived from them.
        self.__dict__.pop("_projected_centers", None)
        return super()._apply(*args, **kwargs)

    def project(self, inputs: Tensor) -> Tensor:
        """Return components in units of their root mean square length, shape (n_views, n_cells, n_components)."""
        if not self.architecture.projected:
            return inputs[None] / self.unit[:, None, None]
        centered, views = inputs - self.mean, []
        # The same as scaling and clipping the cells, in one pass over them instead of three.
        pairs = zip(self.scale, self.clip, self._projected_centers, self.loadings, strict=True)
        for scale, clip, center, loadings in pairs:
            clipped = centered if clip.isinf() else centered.clamp(-clip * scale, clip * scale)
            views.append(product(clipped, loadings / scale[:, None]) - center)
        return torch.stack(views) / self.unit[:, None, None]

    def encode_views(self, components: Tensor) -> Tensor:
        """Return codes of unit length, shape (n_views, n_cells, n_components)."""
        return F.normalize(components + self.shift(components), dim=2)

    def decode_views(self, codes: Tensor, groups: Tensor) -> Tensor:
        """Return components from codes of the shape of :meth:`encode_views`; groups of shape (n_views, n_cells)."""
        told = F.one_hot(groups, self.architecture.n_groups).to(codes.dtype)
        return self.decoder(torch.cat([codes, told], dim=2))

    def embed(self, codes: Tensor) -> Tensor:
        """Return embeddings of unit length, shape (n_cells, n_views * n_components), from codes of all views."""
        return codes.transpose(0, 1).flatten(1) / self.architecture.n_views**0.5

    def encode(self, inputs: Tensor) -> Tensor:
        """Return embeddings from the features of ``fit``."""
        return self.embed(self.encode_views(self.project(inputs)))

    def decode(self, embedding: Tensor, groups: Tensor) -> Tensor:
        """Return reconstructions in the features of ``fit``: what the components of unscaled features hold of them."""
        a = self.architecture
        codes = embedding.unflatten(1, (a.n_views, a.n_components)).transpose(0, 1) * a.n_views**0.5
        components = self.decode_views(codes, groups.expand(a.n_views, -1))[-1] * self.unit[-1]
        if not a.projected:
            return components
        # Features left out are decoded as their mean.
        return components @ self.loadings[-1].T + self.center[-1] + self.mean


def components_of(network: AtlasNetwork, rows: Rows, tracked: Callable[[Iterator], Iterator] = iter) -> Tensor:
    """Return what :meth:`AtlasNetwork.project` returns for all rows; ``tracked`` is as for :func:`in_blocks`."""
    project = lambda inputs, _: network.project(inputs).transpose(0, 1).contiguous()
    return in_blocks(network, rows, project, tracked=tracked).transpose(0, 1)


def embed_in_place(network: AtlasNetwork, components: Tensor) -> Tensor:
    """Turn the components of cells, from :func:`components_of`, into their embeddings, in the same memory.

    The embeddings equal those that the features of the cells give, to the last bit.
    """
    by_cell = components.transpose(0, 1)
    rows = DenseRows(by_cell.cpu().numpy(), components.device)
    return in_blocks(
        network,
        rows,
        lambda inputs, _: network.embed(network.encode_views(inputs.transpose(0, 1).contiguous())),
        out=by_cell.flatten(1),
    )
