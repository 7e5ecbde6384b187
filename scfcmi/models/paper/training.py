"""The training loop: warm-up on reconstruction alone, then the joint objective, centers refreshed every epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm.auto import tqdm

from scfcmi._random import Stream, stream, torch_stream
from scfcmi.models import objective
from scfcmi.models.assignment import soft_assignment
from scfcmi.models.callbacks import Epoch
from scfcmi.models.inference import autocast, encode
from scfcmi.models.paper.centroids import find_centers, nearest_center

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from scfcmi.models.paper.network import AutoEncoder
    from scfcmi.rows import Rows

# Training ends early after epochs in which at most a thousandth of the cells changed cluster: the tolerance of DEC (Xie
# et al., 2016).
_TOLERANCE = 0.001


@dataclass(frozen=True)
class FCMISettings:
    """Settings of one training run, every one decided."""

    n_clusters: int
    weights: objective.Weights
    temperature: float
    learning_rate: float
    batch_size: int
    max_epochs: int
    warmup_epochs: int
    patience: int | None
    """Settled epochs in a row after which training ends early; ``None`` never ends early."""
    seed: int
    chance_corrected: bool
    """Whether I(G;C) of a mini-batch is less what chance gives."""
    half_precision: bool
    """Whether forward and backward passes run in bfloat16; losses, codes and centers stay in float32."""


@dataclass
class Progress:
    """All that a training run has reached; what a checkpoint holds."""

    network: AutoEncoder
    optimizer: torch.optim.Optimizer
    centers: Tensor
    labels: Tensor
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def start(network: AutoEncoder, rows: Rows, settings: FCMISettings) -> Progress:
    """Prepare a run: the optimizer, and first centers from the codes of the untrained network."""
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)
    codes = encode(network, rows)
    centers = find_centers(codes, settings.n_clusters, torch_stream(settings.seed, Stream.CENTERS, 0))
    return Progress(network, optimizer, centers, nearest_center(codes, centers)[0])


def train(
    progress: Progress,
    rows: Rows,
    groups: Tensor,
    n_groups: int,
    settings: FCMISettings,
    *,
    show_progress: bool | None,
    callbacks: Sequence[Callable[[Epoch], None]] = (),
    after_epoch: Callable[[Progress], None] | None = None,
) -> Tensor:
    """Train until ``settings.max_epochs``, or until clusters have settled, updating ``progress`` in place.

    Parameters
    ----------
    progress
        From :func:`start`, or a checkpoint.
    rows
        The cells.
    groups
        Group codes on the device, shape (n_cells,).
    n_groups
        Number of groups.
    settings
        Settings of the run.
    show_progress
        Whether to draw a progress bar; ``None`` draws it on a terminal only.
    callbacks
        The user's: called with the epoch that has ended.
    after_epoch
        Ours: called with ``progress``, after the callbacks.

    Returns
    -------
    The codes under the last state of the network, shape (n_cells, n_dims).

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite.
    """
    # On a terminal only: tqdm reads disable=None so.
    disable = None if show_progress is None else not show_progress
    with tqdm(desc="FCMI", unit="epoch", disable=disable, initial=progress.epoch, total=settings.max_epochs) as bar:
        while not has_ended(progress, settings):
            clustering = progress.epoch >= settings.warmup_epochs
            losses = _train_epoch(progress, rows, groups, n_groups, settings, clustering=clustering)
            codes = encode(progress.network, rows, half_precision=settings.half_precision)
            generator = torch_stream(settings.seed, Stream.CENTERS, progress.epoch + 1)
            progress.centers = find_centers(codes, settings.n_clusters, generator, last=progress.centers)
            progress.history.append(losses | _describe(progress, codes, groups, n_groups, settings))
            progress.epoch += 1
            bar.set_postfix(loss=f"{losses['loss']:.4f}", refresh=False)
            bar.update()
            epoch = Epoch(
                progress.epoch,
                progress.history[-1],
                lambda: encode(progress.network, rows).cpu().numpy(),
                progress.labels.cpu().numpy(),
            )
            for callback in callbacks:
                callback(epoch)
            if after_epoch is not None:
                after_epoch(progress)
    # Codes in half precision do to move the centers on; what is handed out is exact.
    codes = encode(progress.network, rows)
    progress.history[-1] |= _describe(progress, codes, groups, n_groups, settings) | {
        "changed": progress.history[-1]["changed"]
    }
    return codes


def has_ended(progress: Progress, settings: FCMISettings) -> bool:
    """Say whether all epochs are over, or clusters have settled."""
    if progress.epoch >= settings.max_epochs:
        return True
    if settings.patience is None or progress.epoch < settings.warmup_epochs + settings.patience:
        return False
    return all(row["changed"] <= _TOLERANCE for row in progress.history[-settings.patience :])


def _train_epoch(
    progress: Progress, rows: Rows, groups: Tensor, n_groups: int, settings: FCMISettings, *, clustering: bool
) -> dict[str, float]:
    network, optimizer, device = progress.network, progress.optimizer, groups.device
    weights = settings.weights if clustering else objective.Weights()
    network.train()
    total = torch.zeros(4, device=device)
    for index in _mini_batches(len(rows), settings, progress.epoch):
        inputs, batch_groups = rows.take(index), groups[torch.from_numpy(index).to(device)]
        with autocast(device, half=settings.half_precision):
            codes = network.encode(inputs)
            outputs = network.decode(codes, batch_groups)
        assignment = soft_assignment(codes, progress.centers, settings.temperature)
        joint = objective.soft_contingency(assignment, batch_groups, n_groups)
        chance = objective.chance_information(assignment, joint) if settings.chance_corrected else 0.0
        reconstruction = objective.reconstruction_loss(inputs, outputs)
        loss = objective.total_loss(reconstruction, weights, assignment=assignment, joint=joint)
        loss = loss - weights.fairness * chance
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            clustering_loss = objective.clustering_loss(assignment, joint)
            fairness_loss = objective.group_information(joint) - chance
            total += torch.stack([loss, reconstruction, clustering_loss, fairness_loss]) * len(index) / len(rows)
    names = ("loss", "L_rec", "L_clu", "L_fair")
    losses = dict(zip(names, total.tolist(), strict=True))
    if not np.isfinite(losses["loss"]):
        msg = f"The loss is {losses['loss']} after epoch {progress.epoch + 1}. Lower learning_rate, or scale X."
        raise FloatingPointError(msg)
    return losses


def _mini_batches(n: int, settings: FCMISettings, epoch: int) -> Iterator[np.ndarray]:
    # Of even size: no rest of one cell for batch norm to fail on, none whose contingency table is mostly noise.
    n_batches = max(1, min(-(-n // settings.batch_size), n // 2))
    order = stream(settings.seed, Stream.ORDER, epoch).permutation(n)
    yield from np.array_split(order, n_batches)


@torch.no_grad()
def _describe(
    progress: Progress, codes: Tensor, groups: Tensor, n_groups: int, settings: FCMISettings
) -> dict[str, float]:
    """Terms of the objective over all cells, and what the clusters did; brings ``progress`` up to date."""
    labels = nearest_center(codes, progress.centers)[0]
    assignment = soft_assignment(codes, progress.centers, settings.temperature)
    row = objective.information(assignment, groups, n_groups)
    row["changed"] = float((labels != progress.labels).float().mean())
    sizes = torch.bincount(labels, minlength=settings.n_clusters)
    progress.labels = labels
    return row | {f"size_{k}": int(s) for k, s in enumerate(sizes)}
