"""Several training runs from different draws, and the one of them with the lowest objective."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from scfcmi._logging import logger
from scfcmi._random import Stream, stream
from scfcmi.models import inference
from scfcmi.models.paper import training
from scfcmi.models.paper.checkpoint import checkpointing, identity
from scfcmi.models.paper.network import new_network

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from scfcmi.models import objective
    from scfcmi.models.callbacks import Epoch
    from scfcmi.models.paper.network import Architecture
    from scfcmi.rows import Rows


def train_best(
    architecture: Architecture,
    rows: Rows,
    groups: Tensor,
    settings: training.FCMISettings,
    *,
    n_init: int,
    checkpoint: str | os.PathLike[str] | None,
    show_progress: bool | None,
    callbacks: Sequence[Callable[[Epoch], None]],
) -> tuple[training.Progress, Tensor, list[float]]:
    """Train ``n_init`` networks and return the best run, its codes, and Eq. 12 over all cells of every run.

    The first run has the seed of the settings, so that one run is what it would be by itself; the others draw theirs
    from it. The first run's file is ``checkpoint``; the names of the others' end in ``.2`` and so on.

    Raises
    ------
    ValueError
        If a checkpoint belongs to another run.
    FloatingPointError
        If a loss is no longer finite.
    ModelFormatError
        If a file is no checkpoint.
    """
    best: tuple[training.Progress, Tensor] | None = None
    values: list[float] = []
    for number in range(n_init):
        seed = settings.seed if number == 0 else int(stream(settings.seed, Stream.RUN, number).integers(2**32))
        run = replace(settings, seed=seed)
        progress = training.start(new_network(architecture, seed).to(groups.device), rows, run)
        keep = None
        if checkpoint is not None:
            path = Path(checkpoint if number == 0 else f"{checkpoint}.{number + 1}")
            keep = checkpointing(path, progress, run, identity(run, architecture, rows, groups))
        embedding = training.train(
            progress,
            rows,
            groups,
            architecture.n_groups,
            run,
            show_progress=show_progress,
            callbacks=callbacks,
            after_epoch=keep,
        )
        values.append(objective_over_cells(progress, rows, groups, settings.weights))
        if best is None or values[-1] < min(values[:-1]):
            best = progress, embedding
    if n_init > 1:
        logger.info("objective of %d runs: %s; the lowest is kept", n_init, ", ".join(f"{v:.4f}" for v in values))
    return *best, values


def objective_over_cells(progress: training.Progress, rows: Rows, groups: Tensor, weights: objective.Weights) -> float:
    """Return Eq. 12 over all cells at once, in single precision: L_rec + alpha L_clu + beta L_fair.

    No labels enter, and no mini-batch, so that runs can be compared by it.
    """
    last = progress.history[-1]
    return (
        inference.reconstruction_error(progress.network, rows, groups)
        + weights.compactness * last["H_C_given_X"]
        - weights.balance * last["H_C"]
        + weights.fairness * last["I_G_C"]
    )
