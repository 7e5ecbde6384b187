"""Means of scfcmi beside Harmony + Leiden and PCA + Leiden: of the runs in ``results/single_cell.jsonl``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runs import latest, table
from sets import JOINED, SETS
from single_cell import FREE, KEYS, MEASURES, K

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

METHODS = {
    "**scfcmi**": ["scfcmi"],
    "Harmony + Leiden": ["Harmony, scaled", "Harmony, unscaled"],
    "PCA + Leiden": ["PCA, scaled", "PCA, unscaled"],
}


def tables(path: Path) -> dict[str, str]:
    """Return a row a method and setting; of the two forms of Harmony and of PCA, the one of higher mean NMI.

    Sets on which nothing was chosen are those that are neither ``SETS`` nor ``JOINED``: rows of their own, marked.
    """
    means = latest(path, KEYS).groupby(["method", "dataset"])[[*MEASURES, "seconds"]].mean()
    apart = [name for name in means.index.unique("dataset") if name not in (*SETS, *JOINED)]
    rows = []
    for mark, sets in (("", list(SETS)), (" *", apart)):
        for title, forms in METHODS.items():
            for setting, given in ((FREE, "resolution"), (K, "number of types")):
                names = [form if setting == FREE else f"{form}, K" for form in forms]
                found = [mean for name in names if (mean := _mean(means, name, sets)) is not None]
                if found:
                    best = max(found, key=lambda mean: mean["nmi"])
                    scores = [f"{100 * best[column]:.1f}" for column in MEASURES]
                    rows.append([title + mark, given, *scores, f"{best['seconds']:.0f}"])
    return {"means": table(["method", "given", "NMI", "ARI", "leakage", "seconds"], rows)}


def _mean(means: pd.DataFrame, method: str, sets: list[str]) -> pd.Series | None:
    """Return the mean over sets, or nothing unless a method ran on all of them."""
    if not sets or not all((method, name) in means.index for name in sets):
        return None
    mine = means.loc[method].loc[sets]
    found = mine.mean()
    # What libraries compile falls on whichever large set comes first.
    found["seconds"] = mine["seconds"].median()
    return found
