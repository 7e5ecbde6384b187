"""The state of a training run on disk: kill it anywhere, and it goes on from there to the same end."""

from __future__ import annotations

import time
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from scfcmi._logging import logger
from scfcmi.models.files import check_run, network_tensors, read, read_network, write
from scfcmi.models.paper.network import Architecture, AutoEncoder
from scfcmi.models.paper.training import has_ended

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from torch import Tensor

    from scfcmi.models.paper.training import FCMISettings, Progress
    from scfcmi.rows import CSRRows, DenseRows

_SECONDS = 60


def identity(
    settings: FCMISettings, architecture: Architecture, rows: CSRRows | DenseRows, groups: Tensor
) -> dict[str, Any]:
    """Say whose run it is: settings, network and data.

    The number of epochs is left out: more may be asked for later, if ``warmup_epochs`` is given, or stays the same.
    """
    run = asdict(settings) | {
        "network": asdict(architecture),
        "data": rows.fingerprint(),
        "shape": list(rows.shape),
        "groups": zlib.crc32(groups.cpu().numpy()),
    }
    del run["max_epochs"], run["patience"]
    return run


def checkpointing(
    path: str | os.PathLike[str], progress: Progress, settings: FCMISettings, run: dict[str, Any]
) -> Callable[[Progress], None]:
    """Take up a checkpoint if there is one; return what writes the next, at most once a minute and at the end.

    Parameters
    ----------
    path
        File of the checkpoint.
    progress
        A run that has just started; brought to where the checkpoint left it.
    settings
        Of the run; they say when it ends.
    run
        Whose run it is, from :func:`identity`.

    Raises
    ------
    ModelFormatError
        If the file is no checkpoint.
    ValueError
        If it belongs to a run with other data or settings, or has more epochs than there shall be.
    """
    if Path(path).exists():
        _read(path, progress, run, settings.max_epochs)
        logger.info("took up %s after epoch %d", path, progress.epoch)
    last = time.monotonic()

    def write_now_and_then(progress: Progress) -> None:
        nonlocal last
        if has_ended(progress, settings) or time.monotonic() - last > _SECONDS:
            _write(path, progress, run)
            last = time.monotonic()

    return write_now_and_then


def _write(path: str | os.PathLike[str], progress: Progress, run: dict[str, Any]) -> None:
    tensors = network_tensors(progress.network) | {"centers": progress.centers, "labels": progress.labels}
    for number, state in progress.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    content = {
        "run": run,
        "epoch": progress.epoch,
        "history": progress.history,
        "architecture": asdict(progress.network.architecture),
    }
    write(path, "checkpoint", tensors, content)


def _read(path: str | os.PathLike[str], progress: Progress, run: dict[str, Any], max_epochs: int) -> None:
    tensors, content = read(path, "checkpoint")
    check_run(path, content["run"], run)
    if content["epoch"] > max_epochs:
        msg = (
            f"{path} has {content['epoch']} epochs, more than max_epochs={max_epochs}. Raise it, or give another file."
        )
        raise ValueError(msg)
    device = progress.centers.device
    network = read_network(lambda **a: AutoEncoder(Architecture(**a)), content["architecture"], tensors, path)
    progress.network.load_state_dict(network.state_dict())
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, entry = name.split(".", 2)
            states.setdefault(int(number), {})[entry] = value
    progress.optimizer.load_state_dict(progress.optimizer.state_dict() | {"state": states})
    # Moments lie in memory as their weights do: of images, Adam would pair them wrongly otherwise.
    for weights, state in progress.optimizer.state.items():
        for moment in ("exp_avg", "exp_avg_sq"):
            state[moment] = torch.empty_like(weights).copy_(state[moment])
    progress.centers, progress.labels = tensors["centers"].to(device), tensors["labels"].to(device)
    progress.epoch, progress.history = content["epoch"], content["history"]
