"""Several training runs from different draws, and the one of them with the lowest objective."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from scfcmi import _validate
from scfcmi._logging import logger
from scfcmi._random import stream
from scfcmi.batches import rows_of
from scfcmi.model import objective, training
from scfcmi.model.checkpoint import checkpointing, identity
from scfcmi.model.networks import new_network

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import scipy.sparse as sp
    from torch import Tensor

    from scfcmi.batches import Rows
    from scfcmi.model.fcmi import FCMI
    from scfcmi.model.networks import Architecture

# Purpose of the random stream.
_RUN = 3


def train_best(
    model: FCMI,
    architecture: Architecture,
    X: np.ndarray | sp.csr_matrix | sp.csr_array,
    codes: np.ndarray,
    plan: training.Plan,
    device: torch.device,
) -> tuple[training.Progress, Tensor, list[float]]:
    """Train ``model.n_init`` networks and return the best run, its codes, and Eq. 12 over all cells of every run.

    The first run has the seed of the plan, so that one run is what it would be by itself; the others draw theirs from
    it. The first run's checkpoint is ``model.checkpoint``; the names of the others' end in ``.2`` and so on.

    Raises
    ------
    TypeError, ValueError
        If ``n_init`` is no positive integer, or a checkpoint belongs to another run.
    FloatingPointError
        If a loss is no longer finite.
    ModelFormatError
        If a file is no checkpoint.
    """
    n_init = _validate.integer("n_init", model.n_init, minimum=1)
    rows, groups, n_groups = rows_of(X, device), torch.from_numpy(codes).to(device), int(codes.max()) + 1
    best: tuple[training.Progress, Tensor] | None = None
    values: list[float] = []
    for number in range(n_init):
        seed = plan.seed if number == 0 else int(stream(plan.seed, _RUN, number).integers(2**32))
        run = replace(plan, seed=seed)
        progress = training.start(new_network(architecture, seed).to(device), rows, run)
        watchers: list[Callable[[training.Progress], None]] = [model._on_epoch]
        if model.checkpoint is not None:
            path = Path(model.checkpoint if number == 0 else f"{model.checkpoint}.{number + 1}")
            watchers.append(checkpointing(path, progress, plan.max_epochs, identity(run, X, codes)))
        embedding = training.train(
            progress,
            rows,
            groups,
            n_groups,
            run,
            show_progress=model.progress,
            after_epoch=lambda state, watchers=watchers: [watch(state) for watch in watchers],
        )
        values.append(objective_over_cells(progress, rows, groups, plan.weights))
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
        training.reconstruction_error(progress.network, rows, groups)
        + weights.compactness * last["H_C_given_X"]
        - weights.balance * last["H_C"]
        + weights.fairness * last["I_G_C"]
    )
