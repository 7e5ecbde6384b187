"""Fair clustering of single cells by maximising and minimising mutual information (FCMI)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from scfcmi._logging import set_verbosity

if TYPE_CHECKING:
    from scfcmi import baselines, benchmark, datasets, errors, metrics, pl, tl
    from scfcmi._load_model import load_model
    from scfcmi.model import FCMI, AtlasFCMI, consensus

__version__ = "0.1.0.dev0"

__all__ = [
    "FCMI",
    "AtlasFCMI",
    "__version__",
    "baselines",
    "benchmark",
    "consensus",
    "datasets",
    "errors",
    "load_model",
    "metrics",
    "pl",
    "set_verbosity",
    "tl",
]

_SUBPACKAGES = frozenset({"baselines", "benchmark", "datasets", "errors", "metrics", "pl", "tl"})


def __getattr__(name: str) -> object:
    # Loaded on first use: importing scfcmi must not pay for torch, scanpy or matplotlib.
    if name in _SUBPACKAGES:
        return importlib.import_module(f"scfcmi.{name}")
    if name == "load_model":
        return importlib.import_module("scfcmi._load_model").load_model
    if name in {"FCMI", "AtlasFCMI", "consensus"}:
        return getattr(importlib.import_module("scfcmi.model"), name)
    msg = f"module 'scfcmi' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
