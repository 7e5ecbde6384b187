"""The benchmarks, each as one AnnData; and atlases made up for scale."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scfcmi.datasets._digits import mnist_usps, reverse_mnist
    from scfcmi.datasets._har import har
    from scfcmi.datasets._images import mtfl, office31
    from scfcmi.datasets._simulate import simulate_atlas
    from scfcmi.datasets._tran import human_dc, mouse_atlas, pancreas

__all__ = [
    "har",
    "human_dc",
    "mnist_usps",
    "mouse_atlas",
    "mtfl",
    "office31",
    "pancreas",
    "reverse_mnist",
    "simulate_atlas",
]

_MODULES = {
    "_digits": ("mnist_usps", "reverse_mnist"),
    "_har": ("har",),
    "_images": ("mtfl", "office31"),
    "_simulate": ("simulate_atlas",),
    "_tran": ("human_dc", "mouse_atlas", "pancreas"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    # Loaded on first use: the command line must not pay for scanpy and anndata to say which data sets there are.
    if name in _HOMES:
        return getattr(importlib.import_module(f"scfcmi.datasets.{_HOMES[name]}"), name)
    msg = f"module 'scfcmi.datasets' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
