"""Clustering quality, fairness, and both at once: label arrays in, numbers out.

Labels, clusters and groups are arrays (or pandas Series, or categoricals) with one entry a cell, any kind of value. Several
Series are matched by their index; a ``ValueError`` says so if they have other labels. All else is matched by position.
Clusters or groups without cells do not exist here; a missing value is a ``ValueError``. For the columns of an AnnData:
:func:`scfcmi.tl.evaluate`, here also by the name ``evaluate_adata``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from scfcmi.metrics._evaluate import evaluate
from scfcmi.metrics._fairness import balance, batch_leakage, f_beta, mnce
from scfcmi.metrics._quality import accuracy, ari, nmi

if TYPE_CHECKING:
    from scfcmi.tl import evaluate as evaluate_adata

__all__ = ["accuracy", "ari", "balance", "batch_leakage", "evaluate", "evaluate_adata", "f_beta", "mnce", "nmi"]


def __getattr__(name: str) -> object:
    # It reads AnnData and lives in tl, a layer above: metrics must not import it before someone asks.
    if name == "evaluate_adata":
        return importlib.import_module("scfcmi.tl").evaluate
    msg = f"module 'scfcmi.metrics' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
