"""Training of atlas mode: reconstruct, and agree with counterparts."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from scfcmi._random import Stream, some_cells, stream
from scfcmi._scratch import taken
from scfcmi._threads import side_by_side
from scfcmi.graph.neighbors import N_NEIGHBORS, nearest
from scfcmi.models.atlas.counterparts import Counterparts, find_counterparts
from scfcmi.models.callbacks import Epoch
from scfcmi.models.objective import Weights, agreement_loss, smoothness_loss, squared_distance, total_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from scfcmi.models.atlas.network import AtlasNetwork
    from scfcmi.models.progress import Stages

# Counterparts are searched this many times during training, as codes improve.
_ROUNDS = 5
# Cells matched in a round, drawn anew in each: time and memory do not grow with the number of cells beyond it.
_MAX_MATCHED = 5000
# Weight of L_smooth as a share of that of L_agr. With 1/4, batches that lack types are corrected worse.
_SMOOTHNESS = 1 / 8
# Cells of a mini-batch for each pair of neighbors that L_smooth is measured on.
_CELLS_PER_PAIR = 2
# Mini-batches on which decoders are trained when codes are done, and the most cells that these are drawn from.
_DECODER_STEPS, _MAX_DECODED = 300, 20_000
# Mini-batches of a training, if the number of epochs is not given, and of one epoch at most.
MAX_STEPS = 300
# Cells encoded at a time.
_BLOCK = 8192


@dataclass(frozen=True)
class AtlasSettings:
    """Settings of one training run, every one decided."""

    agreement: float
    """Weight of L_agr, kappa, and eight times that of L_smooth. Alpha and beta of Eq. 12 are 0."""
    n_neighbors: int
    learning_rate: float
    batch_size: int
    max_epochs: int
    random_state: int

    def n_batches(self, n_cells: int) -> int:
        """Return the number of mini-batches an epoch."""
        return min(MAX_STEPS, max(1, round(n_cells / self.batch_size)))


def train_agreement(
    network: AtlasNetwork,
    components: Tensor,
    groups: Tensor,
    settings: AtlasSettings,
    *,
    stages: Stages,
    callbacks: Sequence[Callable[[Epoch], None]] = (),
) -> list[dict[str, float]]:
    """Train a network, in place, on components of shape (n_views, n_cells, n_components); return one row an epoch.

    Minimizes Eq. 12 with alpha = beta = 0 plus ``kappa (L_agr + L_smooth / 8)``, as the mean over cells and views. A cell
    without a counterpart takes part in L_rec and in L_smooth only. Raises ``FloatingPointError`` if the loss is no longer
    finite.
    """
    n_views, n_cells, _ = components.shape
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)
    history: list[dict[str, float]] = []
    n_batches = settings.n_batches(n_cells)
    # An epoch passes over all cells, or over as many as its mini-batches hold.
    n_seen = min(n_cells, MAX_STEPS * settings.batch_size)
    every = -(-n_batches * settings.max_epochs // _ROUNDS)
    members = groups.cpu().numpy()
    step = 0
    sample = some_cells(n_cells, _MAX_MATCHED, stream(settings.random_state, Stream.SAMPLE))
    watched = _of_cells(components, sample)
    neighbors = _find_neighbors(watched, members[sample])
    codes = codes_of(network, watched)
    with stages.stage("training", n_batches * settings.max_epochs, "batch") as bar:
        for epoch in range(settings.max_epochs):
            rng = stream(settings.random_state, Stream.ATLAS_ORDER, epoch)
            total = torch.zeros(4, device=components.device)
            # Each view draws its own mini-batches, so their noise averages out.
            orders = np.stack([rng.permutation(n_cells)[:n_seen] for _ in range(n_views)])
            inputs = torch.stack([taken(view, order) for view, order in zip(components, orders, strict=True)])
            parts = zip(inputs.tensor_split(n_batches, dim=1), np.array_split(orders, n_batches, axis=1), strict=True)
            for part, cells in parts:
                if step % every == 0:
                    before, codes = codes, codes_of(network, watched)
                    code_shift = agreement_loss(codes, before).mean().item()
                    matched = _match(network, components, members, settings, step)
                of_cells = groups[torch.from_numpy(cells).to(groups.device)]
                terms = _terms(network, part.contiguous(), of_cells, matched, neighbors, rng, settings.agreement)
                optimizer.zero_grad()
                terms[0].backward()
                optimizer.step()
                total += torch.stack(terms).detach() * cells.shape[1] / n_seen
                step += 1
                bar.update()
            row = dict(zip(("loss", "L_rec", "L_agr", "L_smooth"), total.tolist(), strict=True))
            if not np.isfinite(row["loss"]):
                msg = f"The loss is {row['loss']} after epoch {epoch + 1}. Lower learning_rate, or scale X."
                raise FloatingPointError(msg)
            share = float(np.mean([found.share for found in matched.pairs]))
            history.append(row | {"frac_with_counterpart": share, "code_shift": code_shift})
            codes_now = lambda: network.embed(codes_of(network, components)).cpu().numpy()
            for callback in callbacks:
                callback(Epoch(epoch + 1, history[-1], codes_now, None))
    # The shift since the last search for counterparts.
    history[-1]["code_shift"] = agreement_loss(codes_of(network, watched), codes).mean().item()
    return history


def _of_cells(components: Tensor, cells: np.ndarray) -> Tensor:
    return taken(components.transpose(0, 1), cells).transpose(0, 1).contiguous()


class _Neighbors(NamedTuple):
    """Some of the cells, and which of them are neighbors."""

    components: Tensor
    """Shape (n_views, n_cells, n_components)."""
    of_cells: np.ndarray
    """The nearest of each cell in its group, itself among them, by components: shape (n_views, n_cells, n_neighbors)."""


def _find_neighbors(components: Tensor, groups: np.ndarray) -> _Neighbors:
    def in_view(origin: np.ndarray) -> np.ndarray:
        found = np.empty((len(origin), N_NEIGHBORS), np.int64)
        for group in np.unique(groups):
            cells = np.flatnonzero(groups == group)
            of_group = cells[nearest(origin[cells], N_NEIGHBORS)[1]]
            # In a group of few cells, all are neighbors, some of them more than once.
            found[cells] = np.resize(of_group.T, (N_NEIGHBORS, len(cells))).T
        return found

    return _Neighbors(components, np.stack(side_by_side(in_view, components.cpu().numpy())))


class _Matched(NamedTuple):
    """Some of the cells, drawn anew in each round, and their counterparts among them."""

    components: Tensor
    """Shape (n_views, n_cells, n_components)."""
    pairs: list[Counterparts]
    """In each view."""


def _match(
    network: AtlasNetwork, components: Tensor, groups: np.ndarray, settings: AtlasSettings, step: int
) -> _Matched:
    cells = some_cells(len(groups), _MAX_MATCHED, stream(settings.random_state, Stream.COUNTERPARTS, step))
    origins, groups = _of_cells(components, cells), groups[cells]
    codes = codes_of(network, origins).cpu().numpy()
    if not np.isfinite(codes).all():
        msg = f"Codes are no longer finite after {step} mini-batches. Lower learning_rate, or scale X."
        raise FloatingPointError(msg)

    def in_view(view: int) -> Counterparts:
        rng, origin = stream(settings.random_state, Stream.COUNTERPARTS, step, 1 + view), origins[view].cpu().numpy()
        first, second = find_counterparts(codes[view], groups, settings.n_neighbors, rng, origin)
        return Counterparts(first, second, len(cells), groups)

    # Most of the search has one thread. Each view has draws of its own, so it does not matter which is done first.
    return _Matched(origins, side_by_side(in_view, range(len(codes))))


def _terms(
    network: AtlasNetwork,
    inputs: Tensor,
    groups: Tensor,
    matched: _Matched,
    neighbors: _Neighbors,
    rng: np.random.Generator,
    weight: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the loss of a mini-batch, L_rec, L_agr and L_smooth."""
    outputs = network.decode_views(network.encode_views(inputs), groups)
    reconstruction = squared_distance(inputs, outputs)
    agreement = smoothness = reconstruction.new_zeros(())
    if any(found.share for found in matched.pairs):
        n_views, n_pairs, _ = inputs.shape
        view = np.arange(n_views)[:, None]
        pairs = np.concatenate([found.draw(n_pairs, rng) for found in matched.pairs]).reshape(n_views, -1)
        # Any cells, so that those without a counterpart follow, too.
        cells = rng.integers(neighbors.components.shape[1], size=(n_views, -(-n_pairs // _CELLS_PER_PAIR)))
        one_of = rng.integers(neighbors.of_cells.shape[2], size=cells.shape)
        cells = np.concatenate([cells, neighbors.of_cells[view, cells, one_of]], axis=1)
        origins = torch.cat([_at(matched.components, pairs), _at(neighbors.components, cells)], dim=1)
        codes = network.encode_views(origins)
        share = torch.tensor([found.share for found in matched.pairs], device=inputs.device, dtype=inputs.dtype)
        # Cells without a counterpart have no agreement to lose: they count as zero.
        agreement = (share * agreement_loss(*codes[:, : 2 * n_pairs].chunk(2, dim=1))).mean()
        moved = (codes - F.normalize(origins, dim=2))[:, 2 * n_pairs :]
        smoothness = smoothness_loss(*moved.chunk(2, dim=1)).mean()
    weights = Weights(agreement=weight, smoothness=weight * _SMOOTHNESS)
    loss = total_loss(reconstruction, weights, agreement=agreement, smoothness=smoothness)
    return loss, reconstruction, agreement, smoothness


def _at(components: Tensor, cells: np.ndarray) -> Tensor:
    """Return the components of other cells in each view; ``cells`` has the shape (n_views, n_cells)."""
    index = torch.from_numpy(cells).to(components.device)
    return components[torch.arange(len(cells), device=components.device)[:, None], index]


def decoder_training(components: Tensor, groups: Tensor, settings: AtlasSettings) -> partial[AtlasNetwork]:
    """Return what trains the decoders of a network on codes as they are in the end, with at most 20,000 of the cells.

    This takes a quarter of the time of a small fit, and few users decode cells as members of another group. So training waits
    until someone does.
    """
    cells = some_cells(len(groups), _MAX_DECODED, stream(settings.random_state, Stream.DECODER, 1))
    return partial(
        with_trained_decoders, components=_of_cells(components, cells), groups=groups[cells], settings=settings
    )


def with_trained_decoders(
    network: AtlasNetwork, *, components: Tensor, groups: Tensor, settings: AtlasSettings
) -> AtlasNetwork:
    """Return a copy of a network with its decoders trained."""
    network = deepcopy(network).train()
    optimizer = torch.optim.Adam(network.decoder.parameters(), fused=True)
    rng, n_cells, device = stream(settings.random_state, Stream.DECODER), len(groups), network.unit.device
    for _ in range(_DECODER_STEPS):
        index = rng.choice(n_cells, min(settings.batch_size, n_cells), replace=False)
        cells = torch.from_numpy(index).to(components.device)
        inputs, of_cells = components[:, cells].to(device), groups[cells].to(device)
        outputs = network.decode_views(codes_of(network, inputs), of_cells.expand(len(inputs), -1))
        optimizer.zero_grad()
        squared_distance(inputs, outputs).backward()
        optimizer.step()
    return network.eval()


def codes_of(network: AtlasNetwork, components: Tensor) -> Tensor:
    """Return the codes of components, shape (n_views, n_cells, n_components), in blocks."""
    with torch.no_grad():
        return torch.cat([network.encode_views(part) for part in components.split(_BLOCK, dim=1)], dim=1)
