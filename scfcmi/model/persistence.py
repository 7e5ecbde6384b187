"""Files of tensors and settings: tensors as safetensors, all else as JSON in the file's header. Never pickle.

One file, put in place by one rename, cannot be half of each.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from scfcmi._files import replacing
from scfcmi.errors import ModelFormatError
from scfcmi.model.networks import Architecture, AutoEncoder
from scfcmi.model.residual import ResidualArchitecture, ResidualAutoEncoder

if TYPE_CHECKING:
    import os

    from torch import Tensor

    from scfcmi.model.fcmi import FCMI

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


def network_tensors(network: AutoEncoder | ResidualAutoEncoder) -> dict[str, Tensor]:
    """Return the network's state under names that cannot meet other tensors'."""
    return {f"network.{k}": v for k, v in network.state_dict().items()}


def build_network(
    architecture: dict[str, Any], tensors: dict[str, Tensor], path: str | os.PathLike[str]
) -> AutoEncoder | ResidualAutoEncoder:
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
            if "projected" in sizes:
                network = ResidualAutoEncoder(ResidualArchitecture(**sizes))
            else:
                network = AutoEncoder(Architecture(**sizes))
        state = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        network.load_state_dict(state, assign=True)
    except (TypeError, ValueError, RuntimeError) as error:
        msg = f"{str(path)!r} holds weights that do not fit its own description: {error}"
        raise ModelFormatError(msg) from error
    return network.to(memory_format=torch.channels_last) if network.architecture.convolutional else network


def write_model(path: str | os.PathLike[str], model: FCMI) -> None:
    """Write a fitted model, without what belongs to the cells it was fitted on."""
    params = {k: v for k, v in model.get_params().items() if k not in ("random_state", "progress", "checkpoint")}
    content = {
        "estimator": type(model).__name__,
        "params": params | {"device": str(model.device)},
        "architecture": asdict(model._network.architecture),
        "groups": [name.item() if isinstance(name, np.generic) else name for name in model.groups_],
        "feature_names": list(getattr(model, "feature_names_in_", [])),
        "var_names": list(getattr(model, "var_names_", [])),
        "precision": model.precision_,
        "temperature": model.temperature_,
        "history": model.history_.to_dict("list"),
    }
    tensors = network_tensors(model._network) | {"centers": torch.from_numpy(model.cluster_centers_)}
    write(path, "model", tensors, content)


def read_model(path: str | os.PathLike[str], estimators: dict[str, type[FCMI]]) -> FCMI:
    """Return the model that :func:`write_model` wrote, of the one of the estimators that it names.

    Raises
    ------
    FileNotFoundError, ModelFormatError
        As :func:`read` and :func:`build_network`, and if anything is missing.
    """
    tensors, content = read(path, "model")
    try:
        model = estimators[content.get("estimator", "FCMI")]()
        model.set_params(**content["params"])
        model._network = build_network(content["architecture"], tensors, path)
        model.cluster_centers_ = tensors["centers"].numpy()
        model.groups_ = pd.Index(content["groups"]).to_numpy()
        model.precision_ = content["precision"]
        model.temperature_ = content.get("temperature", model.temperature)
        model.n_iter_ = len(content["history"]["loss"])
        model.history_ = pd.DataFrame(content["history"], index=pd.RangeIndex(1, model.n_iter_ + 1, name="epoch"))
        if content["feature_names"]:
            model.feature_names_in_ = np.array(content["feature_names"], dtype=object)
        if content.get("var_names"):
            model.var_names_ = np.array(content["var_names"], dtype=object)
    except ModelFormatError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{str(path)!r} is no complete scfcmi model: {error}"
        raise ModelFormatError(msg) from error
    model.decoder_ = model._network.architecture.decoder
    model.n_features_in_ = model._network.architecture.n_features
    return model
