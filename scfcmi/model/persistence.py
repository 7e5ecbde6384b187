"""Models and checkpoints as files: tensors as safetensors, all else as JSON in the file's header. Never pickle.

One file, put in place by one rename, cannot be half of each.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from scfcmi._files import replacing
from scfcmi.errors import ModelFormatError
from scfcmi.model.networks import Architecture, AutoEncoder

if TYPE_CHECKING:
    import os

    from torch import Tensor

    from scfcmi.model.training import Progress

_FORMAT = 1


def write(path: str | os.PathLike[str], kind: str, tensors: dict[str, Tensor], content: dict[str, Any]) -> None:
    """Write tensors and JSON-able content as one file, atomically."""
    header = {"scfcmi": kind, "format": str(_FORMAT), "content": json.dumps(content)}
    with replacing(path) as temporary:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary, header)


def read(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFormatError
        If the file is truncated, foreign, of another kind, or of a newer format.
    """
    if not Path(path).is_file():
        msg = f"No file at {str(path)!r}."
        raise FileNotFoundError(msg)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("scfcmi") != kind:
                msg = f"{str(path)!r} is no scfcmi {kind}" + (
                    f" but a {header['scfcmi']}." if "scfcmi" in header else "."
                )
                raise ModelFormatError(msg)
            if int(header["format"]) > _FORMAT:
                msg = f"{str(path)!r} has format {header['format']}; this scfcmi reads up to {_FORMAT}. Update scfcmi."
                raise ModelFormatError(msg)
            return {k: file.get_tensor(k) for k in file.keys()}, json.loads(header["content"])  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        msg = f"{str(path)!r} is truncated or no scfcmi {kind}: {error}"
        raise ModelFormatError(msg) from error


def network_tensors(network: AutoEncoder) -> dict[str, Tensor]:
    """Return the network's state under names that cannot meet other tensors'."""
    return {f"network.{k}": v for k, v in network.state_dict().items()}


def build_network(
    architecture: dict[str, Any], tensors: dict[str, Tensor], path: str | os.PathLike[str]
) -> AutoEncoder:
    """Build a network from what a file holds.

    Raises
    ------
    ModelFormatError
        If the tensors do not fit the architecture.
    """
    try:
        sizes = {k: tuple(v) if isinstance(v, list) else v for k, v in architecture.items()}
        # On the meta device nothing is allocated: sizes claimed by a damaged header meet the real tensors first.
        with torch.device("meta"):
            network = AutoEncoder(Architecture(**sizes))
        state = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        network.load_state_dict(state, assign=True)
    except (TypeError, ValueError, RuntimeError) as error:
        msg = f"{str(path)!r} holds weights that do not fit its own description: {error}"
        raise ModelFormatError(msg) from error
    return network.to(memory_format=torch.channels_last) if network.architecture.convolutional else network


def write_checkpoint(path: str | os.PathLike[str], progress: Progress, run: dict[str, Any]) -> None:
    """Write all that a run has reached; ``run`` says whose it is, and must be equal for it to be taken up again."""
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


def read_checkpoint(path: str | os.PathLike[str], progress: Progress, run: dict[str, Any]) -> None:
    """Put a run back to where a checkpoint left it, in place.

    Raises
    ------
    ModelFormatError
        If the file is no checkpoint.
    ValueError
        If it belongs to a run with other data or settings.
    """
    tensors, content = read(path, "checkpoint")
    # Through JSON, as the file's own, so that tuples equal lists.
    theirs, ours = content["run"], json.loads(json.dumps(run))
    differing = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
    if differing:
        msg = f"checkpoint {str(path)!r} is of another run: {differing} differ. Delete it, or name another file."
        raise ValueError(msg)
    device = progress.centers.device
    network = build_network(content["architecture"], tensors, path)
    progress.network.load_state_dict(network.state_dict())
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, entry = name.split(".", 2)
            states.setdefault(int(number), {})[entry] = value
    progress.optimizer.load_state_dict(progress.optimizer.state_dict() | {"state": states})
    progress.centers, progress.labels = tensors["centers"].to(device), tensors["labels"].to(device)
    progress.epoch, progress.history = content["epoch"], content["history"]
