"""Means of scfcmi beside Harmony + Leiden and PCA + Leiden: of the runs in ``results/single_cell.jsonl``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runs import latest, percent, table
from sets import COUNTS, JOINED, SETS
from single_cell import KEYS, MEASURES

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

METHODS = {
    "**scfcmi**": ["scfcmi"],
    "Harmony + Leiden": ["Harmony, scaled", "Harmony, unscaled"],
    "PCA + Leiden": ["PCA, scaled", "PCA, unscaled"],
}
HEADS = ["method", "NMI", "ARI", "leakage", "K: NMI", "K: ARI", "K: leakage", "seconds"]


def tables(path: Path) -> dict[str, str]:
    """Return a row a method, without and with the number of types; of two forms, the one of higher mean NMI.

    Less than a second counts as one. Two kinds of sets have rows of their own, marked: those with counts, which scVI needs;
    and those on which nothing was chosen, which are neither ``SETS`` nor ``JOINED``.
    """
    means = latest(path, KEYS).groupby(["method", "dataset"])[[*MEASURES, "seconds"]].mean()
    apart = [name for name in means.index.unique("dataset") if name not in (*SETS, *JOINED)]
    everywhere = _rows(means, METHODS, list(SETS)) + _rows(means, METHODS, apart, " *")
    counted = _rows(means, METHODS | {"scVI + Leiden": ["scVI"]}, sorted(COUNTS), " †")
    beside_scvi = [row for row in counted if row[0].startswith(("**scfcmi**", "scVI"))]
    methods = ("scVI, K", "scfcmi, K", "scVI", "scfcmi")
    of_sets = [
        [f"`{name}`", *(percent(means.loc[method, name], "nmi", "ari") for method in methods)]
        for name in sorted(COUNTS)
        if all((method, name) in means.index for method in methods)
    ]
    return {
        "means": table(HEADS, everywhere + beside_scvi),
        "counts": table(HEADS, counted),
        "counts_sets": table(("set", *methods), of_sets),
    }


def _rows(means: pd.DataFrame, methods: dict[str, list[str]], sets: list[str], mark: str = "") -> list[list[str]]:
    rows = []
    for title, forms in methods.items():
        free, given = (_best(means, [form + words for form in forms], sets) for words in ("", ", K"))
        if free is not None and given is not None:
            scores = (f"{100 * found[column]:.1f}" for found in (free, given) for column in MEASURES)
            rows.append([title + mark, *scores, f"{max(free['seconds'], 1):.0f}"])
    return rows


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
