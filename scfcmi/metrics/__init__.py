"""How good and how fair clusters are: arrays of labels in, numbers out.

Labels, clusters and groups (batches) are arrays, pandas Series or categoricals with one entry for each cell, of any kind of
value. Several Series are matched by their index. If their indexes hold other cells, that is a ``ValueError``. All else is
matched by position. A missing value is a ``ValueError``. Categories without cells are not counted. For columns of an AnnData
use :func:`scfcmi.tl.evaluate`, here also by the name ``evaluate_adata``.
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
