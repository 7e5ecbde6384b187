"""Files of tensors and settings: tensors as safetensors, all else as JSON in the file's header. Never pickle.

One file, put in place by one rename, cannot be half of each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from scfcmi import _validate
from scfcmi._files import replacing
from scfcmi.errors import ModelFormatError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from torch import Tensor, nn

_FORMAT = 1


def write(path: str | os.PathLike[str], kind: str, tensors: dict[str, Tensor], content: dict[str, Any]) -> None:
    """Write tensors and JSON-able content as one file, atomically."""
    header = {"scfcmi": kind, "format": str(_FORMAT), "content": _as_json(content)}
    with replacing(path) as temporary:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary, header)


def read(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write` wrote.

    Raises
    ------
    TypeError
        If ``path`` is none.
    FileNotFoundError
        If there is no such file.
    ModelFormatError
        If the file is truncated, foreign, of another kind, or of a newer format.
    """
    _validate.path("path", path)
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
            content = json.loads(header["content"])
            if not isinstance(content, dict):
                msg = f"its content is a {type(content).__name__}, not an object"
                raise TypeError(msg)
            return {k: file.get_tensor(k) for k in file.keys()}, content  # noqa: SIM118
    except ModelFormatError:
        raise
    # Brackets nested without end are a RecursionError.
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        msg = f"{str(path)!r} is truncated or no scfcmi {kind}: {error}"
        raise ModelFormatError(msg) from error


def check_run(path: str | os.PathLike[str], theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Raise ``ValueError`` unless a checkpoint, which says whose run it is, is of this run."""
    # Through JSON, as the file's own, so that tuples equal lists.
    ours = json.loads(_as_json(ours))
    differing = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
    if differing:
        msg = f"checkpoint {str(path)!r} is of another run: {differing} differ. Delete it, or name another file."
        raise ValueError(msg)


def network_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return the network's state under names that cannot meet other tensors'."""
    return {f"network.{k}": v for k, v in network.state_dict().items()}


def read_network(
    make: Callable[..., nn.Module],
    architecture: dict[str, Any],
    tensors: dict[str, Tensor],
    path: str | os.PathLike[str],
) -> nn.Module:
    """Build a network from what a file holds.

    Parameters
    ----------
    make
        Makes a network from the entries of ``architecture``.
    architecture
        From the file's header.
    tensors
        From the file.
    path
        Of the file, for the message.

    Raises
    ------
    ModelFormatError
        If the tensors do not fit the architecture.
    """
    try:
        sizes = {k: tuple(v) if isinstance(v, list) else v for k, v in architecture.items()}
        # On the meta device nothing is allocated: sizes claimed by a damaged header meet the real tensors first.
        with torch.device("meta"):
            network = make(**sizes)
        state = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        network.load_state_dict(state, assign=True)
    # A damaged description may claim any sizes and kinds.
    except (TypeError, ValueError, RuntimeError, AttributeError, LookupError, ArithmeticError) as error:
        msg = f"{str(path)!r} holds weights that do not fit its own description: {error}"
        raise ModelFormatError(msg) from error
    return network


def _as_json(content: dict[str, Any]) -> str:
    # Parameters may be numbers of numpy.
    return json.dumps(content, default=lambda value: value.item())
