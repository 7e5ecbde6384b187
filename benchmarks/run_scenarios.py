"""Methods on the scenarios of ``scenarios.py``, and the table that compares them with Harmony + Leiden.

    python benchmarks/run_scenarios.py                 # makes all 62 and runs scfcmi
    python benchmarks/run_scenarios.py --methods harmony harmony_unscaled pca pca_unscaled
    python benchmarks/run_scenarios.py --method my_module:my_function -o my.jsonl
    python benchmarks/run_scenarios.py --report

A method is a function of an AnnData, the number of clusters (or ``None``) and a seed; it returns a cluster a cell. It gets
no labels. It runs twice on the same AnnData, given K and not ("default"), and may keep in ``uns`` what both need, with
its seconds in ``uns["shared_seconds"]``. A line a run is appended to ``results/scenarios.jsonl``; runs that are there are
skipped, failed ones included, unless they are of scfcmi and the package has changed since. "scfcmi-before" is the default
before two views.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import itertools
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import harmony
import numpy as np
from codes import Codes
from runs import RESULTS, append, keep_latest, latest, percent, table, version
from scenarios import SCENARIOS, kind, load
from sets import JOINED, SETS

from scfcmi import metrics

if TYPE_CHECKING:
    import pandas as pd

Method = Callable[[ad.AnnData, int | None, int], np.ndarray]
KEYS = ["scenario", "method", "seed", "setting"]
SETTINGS = ["K", "default"]
HARMONY = ["harmony", "harmony_unscaled"]
# Worse by more than this in NMI counts as worse.
MARGIN = 0.02


def scfcmi(adata: ad.AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    if "codes" not in adata.uns:
        adata.uns["codes"] = Codes(adata, seed)
        adata.uns["shared_seconds"] = adata.uns["codes"].seconds
    codes = adata.uns["codes"]
    return codes.model.labels_ if n_clusters is None else codes.at_k(n_clusters)


METHODS: dict[str, Method] = {
    "scfcmi": scfcmi,
    "harmony": functools.partial(harmony.leiden, scaled=True),
    "harmony_unscaled": functools.partial(harmony.leiden, scaled=False),
    "pca": functools.partial(harmony.leiden, scaled=True, corrected=False),
    "pca_unscaled": functools.partial(harmony.leiden, scaled=False, corrected=False),
}


def named(text: str) -> Method:
    if text in METHODS:
        return METHODS[text]
    module, _, function = text.partition(":")
    return getattr(importlib.import_module(module), function)


def run(options: argparse.Namespace) -> None:
    harmony.warm_up()
    now, methods = version(), {text: named(text) for text in [*options.methods, *options.method]}
    runs = latest(options.output, KEYS)
    stale = (runs["method"] == "scfcmi") & (runs.get("version") != now)
    done = set(runs.loc[~stale, KEYS].itertuples(index=False, name=None))
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for scenario in options.scenarios:
        wanted = itertools.product([scenario], methods, seeds, options.settings)
        pending = [one for one in wanted if one not in done]
        adata = load(scenario) if pending else None
        for (text, seed), group in itertools.groupby(pending, key=lambda one: one[1:3]):
            cells = adata.copy()
            del cells.obs["label"]
            for *_, setting in group:
                record = dict(zip(KEYS, (scenario, text, seed, setting), strict=True))
                record |= measured(methods[text], adata, cells, setting, seed)
                append(options.output, record | {"version": now})
                print(*record.values(), flush=True)
    keep_latest(options.output, KEYS)


def measured(method: Method, adata: ad.AnnData, cells: ad.AnnData, setting: str, seed: int) -> dict:
    labels, groups = adata.obs["label"], adata.obs["batch"]
    shared, start = cells.uns.get("shared_seconds", 0.0), time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clusters = method(cells, labels.nunique() if setting == "K" else None, seed)
    # What a method raises is a result, too.
    except Exception as error:  # noqa: BLE001
        return {"error": f"{type(error).__name__}: {error}"}
    return {
        "nmi": round(metrics.nmi(labels, clusters), 5),
        "ari": round(metrics.ari(labels, clusters), 5),
        "leakage": round(metrics.batch_leakage(labels, clusters, groups), 5),
        "n_clusters": len(set(clusters)),
        "n_types": labels.nunique(),
        "seconds": round(time.perf_counter() - start + shared, 2),
    }


def tables(path: Path, n_worst: int = 8) -> dict[str, str]:
    """Return the tables of a file by name, in markdown."""
    runs = latest(path, KEYS)
    runs["kind"] = runs["scenario"].map(kind)
    runs = runs[runs["kind"] != "full"]
    if "error" in runs:
        runs = runs[runs["error"].isna()]
    columns = ["nmi", "ari", "leakage", "n_clusters", "seconds"]
    means = runs.groupby(["setting", "method", "scenario"])[columns].mean()
    best = {setting: means.loc[setting].loc[HARMONY].groupby("scenario")[["nmi", "ari"]].max() for setting in SETTINGS}
    order = ["scfcmi", *runs["method"].unique()]
    present = set(means.index.droplevel("scenario"))
    pairs = [(setting, text) for setting in SETTINGS for text in dict.fromkeys(order) if (setting, text) in present]
    against = {pair: 100 * (means.loc[pair][["nmi", "ari"]] - best[pair[0]]).dropna() for pair in pairs}
    return {
        "scenarios": _methods(means, against),
        "kinds": _kinds(means, best, [pair for pair in pairs if pair[1] == "scfcmi"]),
        "worst": _worst({pair: found for pair, found in against.items() if pair[1] == "scfcmi"}, n_worst),
    }


def _methods(means: pd.DataFrame, against: dict[tuple[str, str], pd.DataFrame]) -> str:
    rows = []
    for (setting, text), found in against.items():
        mine, n_worse = means.loc[(setting, text)], int((found["nmi"] < -100 * MARGIN).sum())
        scores = [f"{100 * mine[column].mean():.1f}" for column in ("nmi", "ari", "leakage")]
        differences = [f"{found[column].mean():+.1f}" for column in ("nmi", "ari")]
        share = f"{n_worse} of {len(found)} ({n_worse / max(len(found), 1):.0%})"
        rows.append([text, setting, len(mine), *scores, f"{mine['seconds'].median():.1f}", *differences, share])
    heads = ["method", "setting", "scenarios", "NMI", "ARI", "leakage", "median s", "+NMI", "+ARI", "worse by over 2"]
    return table(heads, rows)


def _kinds(means: pd.DataFrame, best: dict[str, pd.DataFrame], pairs: list[tuple[str, str]]) -> str:
    if not pairs:
        return ""
    rows, names = [], dict.fromkeys(kind(name) for name in SCENARIOS if kind(name) != "full")
    for name in names:
        row = [name, None]
        for pair in pairs:
            mine = means.loc[pair]
            mine = mine[mine.index.map(kind) == name]
            row[1] = len(mine)
            row += [percent(found.mean(), "nmi", "ari") for found in (best[pair[0]].reindex(mine.index), mine)]
        rows.append(row)
    heads = [head for setting, _ in pairs for head in (f"better Harmony, {setting}", f"scfcmi, {setting}")]
    return table(["kind", "scenarios", *heads], rows)


def _worst(against: dict[tuple[str, str], pd.DataFrame], n_worst: int) -> str:
    texts = []
    for (setting, text), found in against.items():
        lowest = found["nmi"].sort_values().head(n_worst)
        names = ", ".join(f"{name} {value:+.1f}" for name, value in lowest[lowest < 0].items())
        texts.append(f"* {text}, {setting}: {names}")
    return "\n".join(texts)


def main() -> None:
    # The sets that are fast come first.
    order = {name: number for number, name in enumerate((*SETS, *JOINED))}
    scenarios = [name for name in SCENARIOS if kind(name) != "full"]
    scenarios.sort(key=lambda name: order[name.partition("/")[0]])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", choices=METHODS, help="scfcmi, unless others are given")
    parser.add_argument("--method", action="append", default=[], metavar="MODULE:FUNCTION")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=scenarios, metavar="NAME")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=SETTINGS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "scenarios.jsonl")
    parser.add_argument("--report", action="store_true", help="print the tables of the output file instead")
    options = parser.parse_args()
    if options.methods is None:
        options.methods = [] if options.method else ["scfcmi"]
    if options.report:
        print("\n\n".join(filter(None, tables(options.output).values())))
    else:
        run(options)


if __name__ == "__main__":
    # Modules of methods are looked for where the command was given.
    sys.path.append("")
    main()
