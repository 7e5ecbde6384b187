"""Tables of paper mode beside the numbers of Zeng et al., CVPR 2023: of the runs in ``results/runs.jsonl``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runs import latest, table

from scfcmi.benchmark import paper_table

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

KEYS = ["dataset", "method", "seed", "epochs", "subset"]
MEASURES = {"accuracy": "ACC", "nmi": "NMI", "balance": "Bal", "mnce": "MNCE", "f_beta": "F_beta"}
TITLES = {
    "mnist_usps": "MNIST-USPS",
    "reverse_mnist": "Color Reverse MNIST",
    "har": "HAR",
    "office31": "Office-31",
    "mtfl": "MTFL",
    "mouse_atlas": "Mouse atlas",
}
# Rows of scfcmi by data set, and what they are called.
METHODS = {"fcmi": "scfcmi", "fcmi+consensus": "scfcmi, consensus of five runs"}
HAR = {
    **METHODS,
    "fcmi-branches": "scfcmi, one decoder a person, as in the paper",
    "harmony_leiden": "Harmony + Leiden",
    "kmeans": "k-means",
}


def tables(path: Path) -> dict[str, str]:
    """Return the tables of a file by name, in markdown."""
    runs = latest(path, KEYS)
    runs = runs[(runs["status"] == "done") & runs["subset"].isna()]
    return {"paper": _paper(runs), "paper_short": _short(runs), "har": _rows(runs, "har", HAR), "seeds": _seeds(runs)}


def _paper(runs: pd.DataFrame) -> str:
    """Return every data set of the paper: its own row, and ours where it was run at full size."""
    published, rows = paper_table().set_index(["dataset", "method"]), []
    for dataset, title in TITLES.items():
        mine = [[f"{title}, {words}", n, *scores] for words, n, *scores in _means(runs, dataset, METHODS)]
        theirs = published.loc[(dataset, "fcmi")]
        fixed = dict(part.split("=") for part in str(theirs["misprint"]).split(";") if "=" in part)
        scores = [f"{float(fixed.get(name, theirs[name])):.1f}" for name in MEASURES]
        rows += [[f"{title}, paper", 1, *scores], *(mine or [[f"{title}, scfcmi", "not run", *[""] * 5]])]
    return table(["data set", "seeds", *MEASURES.values()], rows)


def _short(runs: pd.DataFrame) -> str:
    """Return NMI and F_beta where scfcmi was run at full size, beside the paper's."""
    published, rows = paper_table().set_index(["dataset", "method"]), []
    for dataset, title in TITLES.items():
        theirs = [f"{published.loc[(dataset, 'fcmi')][name]:.1f}" for name in ("nmi", "f_beta")]
        for words, n, _, nmi, *_, f_beta in _means(runs, dataset, METHODS):
            rows.append([title + words.removeprefix("scfcmi"), theirs[0], nmi, theirs[1], f_beta, n])
    return table(["data set", "NMI: paper", "scfcmi", "F_beta: paper", "scfcmi", "seeds"], rows)


def _rows(runs: pd.DataFrame, dataset: str, methods: dict[str, str]) -> str:
    return table(["method", "seeds", *MEASURES.values()], _means(runs, dataset, methods))


def _means(runs: pd.DataFrame, dataset: str, methods: dict[str, str]) -> list[list[str]]:
    rows = []
    for method, words in methods.items():
        found = 100 * runs[(runs["dataset"] == dataset) & (runs["method"] == method)][list(MEASURES)]
        if len(found):
            rows.append([words, len(found), *(_spread(found[name]) for name in MEASURES)])
    return rows


def _seeds(runs: pd.DataFrame) -> str:
    """Return F_beta of every seed of HAR, five in a row."""
    found = runs[(runs["dataset"] == "har") & (runs["method"] == "fcmi")].set_index("seed")["f_beta"].sort_index()
    groups = [found.iloc[start : start + 5] for start in range(0, len(found), 5)]
    rows = [
        [f"{part.index[0]} to {part.index[-1]}", ", ".join(f"{100 * value:.1f}" for value in part), _spread(100 * part)]
        for part in groups
    ]
    return table(["seeds", "F_beta", "mean"], [*rows, ["all", "", _spread(100 * found)]])


def _spread(values: pd.Series) -> str:
    """Return the mean, and the standard deviation if there are several values."""
    return f"{values.mean():.1f}" + (f" ± {values.std():.1f}" if len(values) > 1 else "")
