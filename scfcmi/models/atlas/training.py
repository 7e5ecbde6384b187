"""Training of atlas mode: reconstruct, and agree with counterparts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm.auto import tqdm

from scfcmi._random import Stream, stream
from scfcmi.models.atlas.counterparts import find_counterparts
from scfcmi.models.callbacks import Epoch
from scfcmi.models.objective import Weights, agreement_loss, squared_distance, total_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from scfcmi.models.atlas.network import ResidualAutoEncoder

# Counterparts are searched this many times during training, as codes improve.
_ROUNDS = 10
# Mini-batches on which decoders are trained when codes are done.
_DECODER_STEPS = 300


@dataclass(frozen=True)
class AtlasSettings:
    """Settings of one training run, every one decided."""

    weights: Weights
    """Eq. 12 with alpha = beta = 0, and the weight of the agreement term."""
    n_neighbors: int
    learning_rate: float
    batch_size: int
    max_epochs: int
    seed: int


def train_agreement(
    network: ResidualAutoEncoder,
    components: Tensor,
    groups: Tensor,
    settings: AtlasSettings,
    *,
    show_progress: bool | None,
    callbacks: Sequence[Callable[[Epoch], None]] = (),
) -> list[dict[str, float]]:
    """Train a network on components; return one row an epoch.

    Minimizes Eq. 12 with alpha = beta = 0 plus ``kappa L_agr``, as the mean over cells and networks. A cell without a
    counterpart takes part in L_rec only.

    Parameters
    ----------
    network
        Updated in place.
    components
        From ``network.project``, shape (n_cells, n_components).
    groups
        Group codes, shape (n_cells,).
    settings
        Settings of the run.
    show_progress
        Whether to draw a progress bar; ``None`` draws it on a terminal only.
    callbacks
        Called with the epoch that has ended.

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite.
    """
    n_cells, optimizer = len(components), torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)
    history: list[dict[str, float]] = []
    n_batches = max(1, round(n_cells / settings.batch_size))
    every = max(1, n_batches * settings.max_epochs // _ROUNDS)
    codes, step = codes_of(network, components), 0
    origin, members = components.cpu().numpy(), groups.cpu().numpy()
    disable = None if show_progress is None else not show_progress
    with tqdm(total=n_batches * settings.max_epochs, desc="FCMI", unit="batch", disable=disable) as bar:
        for epoch in range(settings.max_epochs):
            rng = stream(settings.seed, Stream.ATLAS_ORDER, epoch)
            total = torch.zeros(3, device=components.device)
            # Each network has its own mini-batches, so that what these do is averaged out, too.
            orders = np.stack([rng.permutation(n_cells) for _ in range(network.architecture.n_networks)])
            for index in np.array_split(orders, n_batches, axis=1):
                if step % every == 0:
                    before, codes = codes, codes_of(network, components)
                    code_shift = agreement_loss(codes, before).item()
                    draws = stream(settings.seed, Stream.COUNTERPARTS, step)
                    found = find_counterparts(codes.cpu().numpy(), members, settings.n_neighbors, draws, origin)
                    pairs = Counterparts(*found, members)
                terms = _terms(network, components, groups, index, pairs.draw(*index.shape, rng), settings.weights)
                optimizer.zero_grad()
                terms[0].backward()
                optimizer.step()
                total += torch.stack(terms).detach() * index.shape[1] / n_cells
                step += 1
                bar.update()
            row = dict(zip(("loss", "L_rec", "L_agr"), total.tolist(), strict=True))
            if not np.isfinite(row["loss"]):
                msg = f"The loss is {row['loss']} after epoch {epoch + 1}. Lower learning_rate, or scale X."
                raise FloatingPointError(msg)
            history.append(row | {"frac_with_counterpart": pairs.share, "code_shift": code_shift})
            for callback in callbacks:
                callback(Epoch(epoch + 1, history[-1], lambda: codes_of(network, components).cpu().numpy(), None))
    # Over a tenth of the training, as those before, or what there was of it.
    history[-1]["code_shift"] = agreement_loss(codes_of(network, components), codes).item()
    _finish_decoder(network, components, groups, settings)
    return history


def _terms(
    network: ResidualAutoEncoder,
    components: Tensor,
    groups: Tensor,
    index: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    weights: Weights,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss of a mini-batch, L_rec and L_agr."""
    cells, first, second = (torch.from_numpy(part).to(components.device) for part in (index, *pairs))
    outputs = network.decode_each(network.encode_each(components[cells]), groups[cells])
    reconstruction = squared_distance(components[cells], outputs)
    agreement = reconstruction.new_zeros(())
    if first.numel():
        n_pairs = first.shape[1]
        both = network.encode_each(components[torch.cat([first, second], dim=1)])
        agreement = n_pairs / cells.shape[1] * agreement_loss(both[:, :n_pairs], both[:, n_pairs:])
    return total_loss(reconstruction, weights, agreement=agreement), reconstruction, agreement


def _finish_decoder(network: ResidualAutoEncoder, components: Tensor, groups: Tensor, settings: AtlasSettings) -> None:
    """Train the decoders on the codes as they are in the end, so that cells can be decoded as of another group."""
    codes, optimizer = codes_of(network, components), torch.optim.Adam(network.decoder.parameters(), fused=True)
    rng = stream(settings.seed, Stream.DECODER)
    for _ in range(_DECODER_STEPS):
        index = rng.choice(len(codes), min(settings.batch_size, len(codes)), replace=False)
        cells = torch.from_numpy(index).to(components.device)
        outputs = network.decode_each(codes[cells].expand(network.architecture.n_networks, -1, -1), groups[cells])
        optimizer.zero_grad()
        squared_distance(components[cells], outputs).backward()
        optimizer.step()


def codes_of(network: ResidualAutoEncoder, components: Tensor) -> Tensor:
    """Return the codes of components, shape (n_cells, n_components), in blocks."""
    with torch.no_grad():
        return torch.cat([network.encode_components(part) for part in components.split(8192)])


class Counterparts:
    """The pairs of one round, and how cells are drawn from them.

    Parameters
    ----------
    first, second, looked_at
        From :func:`scfcmi.models.atlas.counterparts.find_counterparts`.
    groups
        Group codes of all cells.
    """

    def __init__(self, first: np.ndarray, second: np.ndarray, looked_at: np.ndarray, groups: np.ndarray) -> None:
        order = np.lexsort((groups[second], first))
        first, self._second = first[order], second[order]
        # A run of pairs is of one cell, and of counterparts in one group.
        new_cell = np.diff(first, prepend=-1) != 0
        self._starts = np.flatnonzero(new_cell | (np.diff(groups[self._second], prepend=-1) != 0))
        self._counts = np.diff(self._starts, append=len(first))
        self._cells, self._first_run, self._n_runs = np.unique(
            first[self._starts], return_index=True, return_counts=True
        )
        self.share = len(self._cells) / len(looked_at)
        """Share of the cells looked at that have a counterpart."""

    def draw(self, n_networks: int, n_cells: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw cells that have counterparts, as many as there are in so many cells, and for each one of these.

        First its group, any alike, so that groups which are near and have many do not hide those which are far and have
        few. Both of shape (n_networks, n_pairs).
        """
        n_pairs = min(round(self.share * n_cells), len(self._cells))
        drawn = [rng.choice(len(self._cells), n_pairs, replace=False) for _ in range(n_networks)]
        cells = np.stack(drawn).astype(np.int64)
        run, place = np.divmod(rng.random(cells.shape) * self._n_runs[cells], 1)
        runs = self._first_run[cells] + run.astype(np.int64)
        chosen = self._starts[runs] + (place * self._counts[runs]).astype(np.int64)
        return self._cells[cells], self._second[chosen]
