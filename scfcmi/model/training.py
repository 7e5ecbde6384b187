"""The training loop: warm-up on reconstruction alone, then the joint objective, centres refreshed every epoch."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm.auto import tqdm

from scfcmi._random import stream, torch_stream
from scfcmi.model import objective
from scfcmi.model.centroids import find_centers, nearest_center

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from torch import Tensor

    from scfcmi.batches import Rows
    from scfcmi.model.networks import AutoEncoder

# Inference runs in blocks of exactly this many rows, the last one padded: matrix products round differently for
# different numbers of rows, and a cell's code must not depend on which cells it came with.
_BLOCK = 512

# Cells that may change cluster in an epoch that counts as settled: a thousandth, as in DEC (Xie et al., 2016).
_SETTLED = 0.001

# Purposes of the random streams.
_CENTERS, _ORDER = 1, 2


@dataclass(frozen=True)
class Plan:
    """What a training run is told."""

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
    """Whether forward and backward passes run in bfloat16; losses, codes and centres stay in float32."""


@dataclass
class Progress:
    """All that a training run has reached; what a checkpoint holds."""

    network: AutoEncoder
    optimizer: torch.optim.Optimizer
    centers: Tensor
    labels: Tensor
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def encode(network: AutoEncoder, rows: Rows, *, half_precision: bool = False) -> Tensor:
    """Return the codes of all rows, float32, shape (n_cells, n_dims), on the network's device."""

    def codes(inputs: Tensor, _: Tensor) -> Tensor:
        with _precision(inputs.device, half=half_precision):
            return network.encode(inputs)

    return _in_blocks(network, rows, codes)


def reconstruct(network: AutoEncoder, rows: Rows, groups: Tensor) -> np.ndarray:
    """Return all rows encoded and decoded, each by the decoder of its entry in ``groups``."""
    return _in_blocks(
        network, rows, lambda inputs, index: network.decode(network.encode(inputs), groups[index]).cpu()
    ).numpy()


def reconstruction_error(network: AutoEncoder, rows: Rows, groups: Tensor) -> float:
    """Return L_rec of Eq. 11 over all rows, each by the decoder of its own group; memory does not grow with rows."""

    def errors(inputs: Tensor, index: Tensor) -> Tensor:
        outputs = network.decode(network.encode(inputs), groups[index.to(groups.device)])
        return (outputs - inputs).square().flatten(1).mean(dim=1)

    return float(_in_blocks(network, rows, errors).mean())


def _in_blocks(network: AutoEncoder, rows: Rows, function: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    network.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(rows), _BLOCK):
            index = np.minimum(np.arange(start, start + _BLOCK), len(rows) - 1)
            parts.append(function(rows.take(index), torch.from_numpy(index))[: len(rows) - start])
    # Cloned out of inference mode, so that callers may use it in training.
    return torch.cat(parts).clone()


def start(network: AutoEncoder, rows: Rows, plan: Plan) -> Progress:
    """Prepare a run: the optimiser, and first centres from the codes of the untrained network."""
    optimizer = torch.optim.Adam(network.parameters(), lr=plan.learning_rate, fused=True)
    codes = encode(network, rows)
    centers = find_centers(codes, plan.n_clusters, torch_stream(plan.seed, _CENTERS, 0))
    return Progress(network, optimizer, centers, nearest_center(codes, centers)[0])


def train(
    progress: Progress,
    rows: Rows,
    groups: Tensor,
    n_groups: int,
    plan: Plan,
    *,
    show_progress: bool | None,
    after_epoch: Callable[[Progress], None] | None = None,
) -> Tensor:
    """Train until ``plan.max_epochs``, or until clusters have settled, updating ``progress`` in place.

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
    plan
        Settings of the run.
    show_progress
        Whether to draw a progress bar; ``None`` draws it on a terminal only.
    after_epoch
        Called with ``progress`` after each epoch.

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
    with tqdm(desc="FCMI", unit="epoch", disable=disable, initial=progress.epoch, total=plan.max_epochs) as bar:
        while progress.epoch < plan.max_epochs and not _has_settled(progress, plan):
            clustering = progress.epoch >= plan.warmup_epochs
            losses = _train_epoch(progress, rows, groups, n_groups, plan, clustering=clustering)
            codes = encode(progress.network, rows, half_precision=plan.half_precision)
            generator = torch_stream(plan.seed, _CENTERS, progress.epoch + 1)
            progress.centers = find_centers(codes, plan.n_clusters, generator, last=progress.centers)
            progress.history.append(losses | _describe(progress, codes, groups, n_groups, plan))
            progress.epoch += 1
            bar.set_postfix(loss=f"{losses['loss']:.4f}", refresh=False)
            bar.update()
            if after_epoch is not None:
                after_epoch(progress)
    # Codes in half precision do to move the centres on; what is handed out is exact.
    codes = encode(progress.network, rows)
    progress.history[-1] |= _describe(progress, codes, groups, n_groups, plan) | {
        "changed": progress.history[-1]["changed"]
    }
    return codes


def _has_settled(progress: Progress, plan: Plan) -> bool:
    if plan.patience is None or progress.epoch < plan.warmup_epochs + plan.patience:
        return False
    return all(row["changed"] <= _SETTLED for row in progress.history[-plan.patience :])


def _train_epoch(
    progress: Progress, rows: Rows, groups: Tensor, n_groups: int, plan: Plan, *, clustering: bool
) -> dict[str, float]:
    network, optimizer, device = progress.network, progress.optimizer, groups.device
    weights = plan.weights if clustering else objective.Weights(0.0, 0.0, 0.0)
    network.train()
    total = torch.zeros(4, device=device)
    for index in _mini_batches(len(rows), plan, progress.epoch):
        inputs, batch_groups = rows.take(index), groups[torch.from_numpy(index).to(device)]
        with _precision(device, half=plan.half_precision):
            codes = network.encode(inputs)
            outputs = network.decode(codes, batch_groups)
        assignment = objective.soft_assignment(codes, progress.centers, plan.temperature)
        joint = objective.soft_contingency(assignment, batch_groups, n_groups)
        chance = objective.chance_information(assignment, joint) if plan.chance_corrected else 0.0
        reconstruction = objective.reconstruction_loss(inputs, outputs)
        loss = objective.total_loss(reconstruction, assignment, joint, weights) - weights.fairness * chance
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


def _precision(device: torch.device, *, half: bool) -> AbstractContextManager:
    return torch.autocast(device.type, torch.bfloat16) if half else nullcontext()


def _mini_batches(n: int, plan: Plan, epoch: int) -> Iterator[np.ndarray]:
    # Of even size: no rest of one cell for batch norm to fail on, none whose contingency table is mostly noise.
    n_batches = max(1, min(-(-n // plan.batch_size), n // 2))
    order = stream(plan.seed, _ORDER, epoch).permutation(n)
    yield from np.array_split(order, n_batches)


@torch.no_grad()
def _describe(progress: Progress, codes: Tensor, groups: Tensor, n_groups: int, plan: Plan) -> dict[str, float]:
    """Terms of the objective over all cells, and what the clusters did; brings ``progress`` up to date."""
    labels = nearest_center(codes, progress.centers)[0]
    assignment = objective.soft_assignment(codes, progress.centers, plan.temperature)
    joint = objective.soft_contingency(assignment, groups, n_groups)
    row = {
        "H_C": objective.cluster_entropy(joint),
        "H_C_given_X": objective.assignment_entropy(assignment),
        "I_G_C": objective.group_information(joint),
        "I_X_C_given_G": objective.conditional_information(assignment, joint),
        "changed": (labels != progress.labels).float().mean(),
    }
    sizes = torch.bincount(labels, minlength=plan.n_clusters)
    progress.labels = labels
    return {k: float(v) for k, v in row.items()} | {f"size_{k}": int(s) for k, s in enumerate(sizes)}
