"""Means of scfcmi beside Harmony + Leiden and PCA + Leiden: of the runs in ``results/single_cell.jsonl``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runs import latest, table
from sets import JOINED, SETS
from single_cell import KEYS, MEASURES

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

METHODS = {
    "**scfcmi**": ["scfcmi"],
    "Harmony + Leiden": ["Harmony, scaled", "Harmony, unscaled"],
    "PCA + Leiden": ["PCA, scaled", "PCA, unscaled"],
}


def tables(path: Path) -> dict[str, str]:
    """Return a row a method, without and with the number of types; of two forms, the one of higher mean NMI.

    Sets on which nothing was chosen are those that are neither ``SETS`` nor ``JOINED``: rows of their own, marked.
    """
    means = latest(path, KEYS).groupby(["method", "dataset"])[[*MEASURES, "seconds"]].mean()
    apart = [name for name in means.index.unique("dataset") if name not in (*SETS, *JOINED)]
    rows = []
    for mark, sets in (("", list(SETS)), (" *", apart)):
        for title, forms in METHODS.items():
            free, given = (_best(means, [form + words for form in forms], sets) for words in ("", ", K"))
            if free is not None and given is not None:
                scores = (f"{100 * found[column]:.1f}" for found in (free, given) for column in MEASURES)
                rows.append([title + mark, *scores, f"{free['seconds']:.0f}"])
    heads = ["method", "NMI", "ARI", "leakage", "K: NMI", "K: ARI", "K: leakage", "seconds"]
    return {"means": table(heads, rows)}


def _best(means: pd.DataFrame, methods: list[str], sets: list[str]) -> pd.Series | None:
    """Return the highest mean, by NMI, of methods that ran on all sets."""
    found = [mean for method in methods if (mean := _mean(means, method, sets)) is not None]
    return max(found, key=lambda mean: mean["nmi"], default=None)


def _mean(means: pd.DataFrame, method: str, sets: list[str]) -> pd.Series | None:
    """Return the mean over sets, or nothing unless a method ran on all of them."""
    if not sets or not all((method, name) in means.index for name in sets):
        return None
    mine = means.loc[method].loc[sets]
    found = mine.mean()
    # What libraries compile falls on whichever large set comes first.
    found["seconds"] = mine["seconds"].median()
    return found
