"""Plots of what the tools stored.

All draw into ``ax`` where it is given and into a figure of their own otherwise, at the size of a paper's column; return
axes, or the figure with ``return_fig=True``; and save nothing: ``figure.savefig`` does. Colours are taken from
``adata.uns[column + "_colors"]`` and kept there; those that are made can be told apart by people of any colour vision.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scfcmi.pl._composition import composition
    from scfcmi.pl._confidence import confidence
    from scfcmi.pl._confusion import confusion
    from scfcmi.pl._history import history
    from scfcmi.pl._n_clusters import n_clusters
    from scfcmi.pl._umap import umap

__all__ = [
    "composition",
    "confidence",
    "confusion",
    "history",
    "n_clusters",
    "umap",
]


def __getattr__(name: str) -> object:
    # Loaded on first use: the command line must not pay for pandas and scikit-learn to print its help.
    if name in __all__:
        return getattr(importlib.import_module(f"scfcmi.pl._{name}"), name)
    msg = f"module 'scfcmi.pl' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
