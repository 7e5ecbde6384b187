"""Atlas mode on eight real sets, beside Harmony + Leiden and beside itself with a part changed or left out.

    python benchmarks/single_cell.py --seeds 3
    python benchmarks/single_cell.py --report

Labels enter the metrics and nothing else. A line a run is appended to ``results/single_cell.jsonl``; runs that are there
are skipped, unless the package has changed since. Rows of one set and seed share a training.
"""

from __future__ import annotations

import argparse
import functools
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import harmony
import pandas as pd
from codes import FIVE, FOUR, Codes
from runs import RESULTS, append, keep_latest, latest, percent, table, version
from scib import x_scvi
from sets import COUNTS, JOINED, SETS, load
from sklearn.cluster import KMeans

from scfcmi import baselines, metrics, tl

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad
    import numpy as np

KEYS = ["dataset", "method", "seed"]
MEASURES = ["nmi", "ari", "batch_leakage"]
K, FREE = "K", "K not given"
SUMMARY = {
    "**scfcmi, default**": "scfcmi",
    "Harmony + Leiden, genes not scaled": "Harmony, unscaled",
    "Harmony + Leiden, scaled genes": "Harmony, scaled",
}
TWO = (("weighted", 50), ("unscaled", 50))
GRAPHS = {
    "weighted, one graph": FOUR[:1],
    "unscaled, one graph": FOUR[2:3],
    "weighted, two graphs": FOUR[:2],
    "unscaled, two graphs": FOUR[2:],
    "both, two graphs": TWO,
}


class Cells:
    """A set without its labels, a seed, and the trainings that rows share."""

    def __init__(self, adata: ad.AnnData, seed: int) -> None:
        self.n_clusters, self.seed = adata.obs["label"].nunique(), seed
        self.adata = adata.copy()
        del self.adata.obs["label"]
        self.codes = functools.cache(functools.partial(Codes, self.adata, seed))

    @functools.cached_property
    def scvi(self) -> tuple[np.ndarray, float]:
        """Embedding of scVI, and the seconds of its training."""
        start = time.perf_counter()
        return x_scvi(self.adata, self.seed), time.perf_counter() - start


class Row(NamedTuple):
    setting: str
    run: Callable[[Cells], np.ndarray]
    """Clusters of a set."""
    training: dict[str, float] | None = None
    """Settings of the training that the row shares with others; its seconds are added."""


def from_harmony(setting: str, **form: bool) -> Row:
    return Row(setting, lambda c: harmony.leiden(c.adata, c.n_clusters if setting == K else None, c.seed, **form))


def from_codes(setting: str, run: Callable[[Codes, Cells], np.ndarray], **training: float) -> Row:
    return Row(setting, lambda c: run(c.codes(**training), c), training)


def paper_mode(**settings: float) -> Row:
    def run(cells: Cells) -> np.ndarray:
        adata = cells.adata.copy()
        settings_ = {"mode": "paper", "random_state": cells.seed, "progress": False} | settings
        tl.fair_cluster(adata, "batch", n_clusters=cells.n_clusters, **settings_)
        return adata.obs["fcmi"].to_numpy()

    return Row(K, run)


def k_means(cells: Cells) -> np.ndarray:
    return KMeans(cells.n_clusters, n_init=10, random_state=cells.seed).fit_predict(harmony.components(cells.adata))


def harmony_k_means(cells: Cells) -> np.ndarray:
    return baselines.harmony_kmeans(
        harmony.components(cells.adata), cells.adata.obs["batch"], cells.n_clusters, cells.seed
    )


ROWS = {
    "scfcmi, K": from_codes(K, lambda codes, c: codes.at_k(c.n_clusters)),
    "scfcmi": from_codes(FREE, lambda codes, c: codes.model.labels_),
    "Harmony, scaled, K": from_harmony(K, scaled=True),
    "Harmony, unscaled, K": from_harmony(K, scaled=False),
    "Harmony, scaled": from_harmony(FREE, scaled=True),
    "Harmony, unscaled": from_harmony(FREE, scaled=False),
    "PCA, scaled, K": from_harmony(K, scaled=True, corrected=False),
    "PCA, unscaled, K": from_harmony(K, scaled=False, corrected=False),
    "PCA, scaled": from_harmony(FREE, scaled=True, corrected=False),
    "PCA, unscaled": from_harmony(FREE, scaled=False, corrected=False),
}
# Methods; the rows below are the default with one thing changed.
N_MAIN = len(ROWS)
for value in (0.2, 0.4, 0.5):
    ROWS[f"resolution {value}"] = from_codes(FREE, lambda codes, c, value=value: codes.at(value))
for name, parts in GRAPHS.items():
    ROWS[f"{name}, K"] = from_codes(K, lambda codes, c, parts=parts: codes.at_k(c.n_clusters, parts))
    ROWS[name] = from_codes(FREE, lambda codes, c, parts=parts: codes.at(parts=parts))
ROWS["both, four graphs"] = from_codes(FREE, lambda codes, c: codes.at(parts=FOUR))
ROWS["both, five graphs, K"] = from_codes(K, lambda codes, c: codes.at_k(c.n_clusters, FIVE))
ROWS["genes not weighted, K"] = from_codes(K, lambda codes, c: codes.at_k(c.n_clusters), weighted=False)
ROWS["genes not weighted"] = from_codes(FREE, lambda codes, c: codes.model.labels_, weighted=False)
for value in (0.0, 0.25):
    ROWS[f"smoothness {value}, K"] = from_codes(K, lambda codes, c: codes.at_k(c.n_clusters), smoothness=value)
    ROWS[f"smoothness {value}"] = from_codes(FREE, lambda codes, c: codes.model.labels_, smoothness=value)
ROWS["agreement 0, K"] = from_codes(K, lambda codes, c: codes.at_k(c.n_clusters), agreement=0.0)
ROWS["agreement 0"] = from_codes(FREE, lambda codes, c: codes.model.labels_, agreement=0.0)
# Run when asked for by name; results/paper_mode.jsonl has them.
OTHERS = {
    "PCA + k-means": Row(K, k_means),
    "Harmony + k-means": Row(K, harmony_k_means),
    "FCMI alpha .04 beta .20": paper_mode(beta=0.20),
    "FCMI alpha .04 beta 0": paper_mode(beta=0.0),
    "FCMI default": paper_mode(),
}
# The same, on sets with counts only.
SCVI = {
    "scVI, K": Row(K, lambda c: harmony.leiden_of(c.scvi[0], c.n_clusters, c.seed)),
    "scVI": Row(FREE, lambda c: harmony.leiden_of(c.scvi[0], None, c.seed)),
}
# Settings of one constant, as rows; the default among them.
CONSTANTS = {
    "Resolution": {"0.2": "resolution 0.2", "0.3": "scfcmi", "0.4": "resolution 0.4", "0.5": "resolution 0.5"},
    "Views, K not given": {
        "weighted": "weighted, two graphs",
        "unscaled": "unscaled, two graphs",
        "both": "both, four graphs",
    },
    "Views, at K": {
        "weighted": "weighted, two graphs, K",
        "unscaled": "unscaled, two graphs, K",
        "both": "scfcmi, K",
    },
    "Graphs, K not given": {
        "one, weighted": "weighted, one graph",
        "one, unscaled": "unscaled, one graph",
        "two": "both, two graphs",
        "four": "both, four graphs",
        "five": "scfcmi",
    },
    "Graphs, at K": {
        "one, weighted": "weighted, one graph, K",
        "one, unscaled": "unscaled, one graph, K",
        "two": "both, two graphs, K",
        "four": "scfcmi, K",
        "five": "both, five graphs, K",
    },
    "Weights of genes, K not given": {"none": "genes not weighted", "weights": "scfcmi"},
    "Weights of genes, at K": {"none": "genes not weighted, K", "weights": "scfcmi, K"},
    "Smoothness, K not given": {"0": "smoothness 0.0", "1/8": "scfcmi", "1/4": "smoothness 0.25"},
    "Smoothness, at K": {"0": "smoothness 0.0, K", "1/8": "scfcmi, K", "1/4": "smoothness 0.25, K"},
    "Agreement, K not given": {"0": "agreement 0", "4": "scfcmi"},
}


def run(output: Path, seeds: range, datasets: list[str], methods: list[str]) -> None:
    harmony.warm_up()
    now, rows = version(), ROWS | OTHERS | SCVI
    for name in datasets:
        adata = load(name)
        for seed in seeds:
            done = latest(output, KEYS).query("dataset == @name and seed == @seed and method in @rows")
            stale = done["method"].map(lambda method: rows[method].training is not None) & (done["version"] != now)
            pending = [method for method in methods if method not in set(done.loc[~stale, "method"])]
            cells = Cells(adata, seed)
            if name not in COUNTS:
                pending = [method for method in pending if method not in SCVI]
            for method in pending:
                record = {"dataset": name, "method": method, "seed": seed} | measured(rows[method], cells, adata)
                append(output, record | {"version": now})
                print(*record.values(), flush=True)
    keep_latest(output, KEYS)


def measured(row: Row, cells: Cells, adata: ad.AnnData) -> dict[str, float]:
    trained = 0.0 if row.training is None else cells.codes(**row.training).seconds
    if row in SCVI.values():
        trained = cells.scvi[1]
    start = time.perf_counter()
    clusters = row.run(cells)
    seconds = time.perf_counter() - start + trained
    scores = metrics.evaluate(adata.obs["label"], clusters, adata.obs["batch"])
    return {"seconds": round(seconds, 1), "n_clusters": len(set(clusters)), **scores.round(5).to_dict()}


def tables(path: Path) -> dict[str, str]:
    """Return the tables of a file by name, in markdown."""
    runs = latest(path, KEYS)
    # Old runs of paper mode do not say how many clusters they found.
    runs = runs.reindex(columns=runs.columns.union(["n_clusters"], sort=False))
    means = runs.groupby(["method", "dataset"], sort=False)[[*MEASURES, "n_clusters", "seconds"]].mean()
    spread = runs.groupby(["method", "dataset"])[MEASURES].std()
    better = {
        setting: means[means.index.get_level_values(0).isin(forms)].groupby("dataset")[["nmi", "ari"]].max()
        for setting, forms in (
            (K, ["Harmony, scaled, K", "Harmony, unscaled, K"]),
            (FREE, ["Harmony, scaled", "Harmony, unscaled"]),
        )
    }
    return {
        "methods": _methods(means, better, runs, [*list(ROWS)[:N_MAIN], *OTHERS]),
        "ablations": _methods(means, better, runs, [*list(ROWS)[:2], *list(ROWS)[N_MAIN:]]),
        "sets": _sets(means, spread, better),
        "summary": _summary(means),
        "default": _default(means),
        "constants": "\n\n".join(
            f"{title}:\n\n{found}"
            for title, settings in CONSTANTS.items()
            if (found := _left_out(means, {label: row for label, row in settings.items() if row in means.index}))
        ),
    }


def _methods(means: pd.DataFrame, better: dict[str, pd.DataFrame], runs: pd.DataFrame, methods: list[str]) -> str:
    """Return a row a method, means over the sets that all of them ran on, and how these means differ between seeds."""
    methods = [name for name in methods if name in means.index]
    if len(methods) < 3:
        return ""
    sets = [name for name in runs["dataset"].unique() if all((method, name) in means.index for method in methods)]
    rows = []
    for method in methods:
        mine, of_method = means.loc[method].loc[sets], runs[(runs["method"] == method) & runs["dataset"].isin(sets)]
        seeds = of_method.groupby("dataset")["seed"].nunique()
        of_seed = of_method.groupby("seed")
        sd = 100 * of_seed[MEASURES].mean()[of_seed["dataset"].nunique() == len(sets)].std()
        differences = 100 * (mine[["nmi", "ari"]] - better[(ROWS | OTHERS)[method].setting]).dropna()
        scores = [
            f"{100 * mine[column].mean():.1f}" + ("" if pd.isna(sd[column]) else f" ± {sd[column]:.1f}")
            for column in MEASURES
        ]
        against = ["", "", ""]
        if len(differences):
            worst = differences["nmi"].idxmin()
            against = [*(f"{value:+.1f}" for value in differences.mean()), f"{worst} {differences['nmi'].min():+.1f}"]
        n_seeds = "" if seeds.empty else " to ".join(map(str, sorted({seeds.min(), seeds.max()})))
        rows.append([method, len(mine), n_seeds, *scores, f"{mine['seconds'].mean():.0f}", *against])
    return table(
        ["method", "sets", "seeds", "NMI", "ARI", "leakage", "s", "+NMI", "+ARI", "worst set, NMI"],
        rows,
    )


def _summary(means: pd.DataFrame) -> str:
    """Return means over the eight sets, without and with the number of types."""
    rows = []
    for name, method in SUMMARY.items():
        found = [means.loc[row].reindex(list(SETS)) for row in (method, f"{method}, K") if row in means.index]
        if len(found) == 2:
            rows.append([name, *(percent(scores[MEASURES].mean(skipna=False), *MEASURES) for scores in found)])
    return table(["method", "fixed resolution", "true number of types"], rows)


def _default(means: pd.DataFrame) -> str:
    """Return the default set by set."""
    if "scfcmi" not in means.index:
        return ""
    scores = means.loc["scfcmi"].reindex(list(SETS)).dropna(how="all")
    rows = [[f"`{name}`", percent(row, *MEASURES), f"{row['n_clusters']:.0f}"] for name, row in scores.iterrows()]
    return table(["data set", "NMI / ARI / leakage", "clusters"], rows)


def _sets(means: pd.DataFrame, spread: pd.DataFrame, better: dict[str, pd.DataFrame]) -> str:
    names = ["better Harmony, K", "scfcmi, K", "better Harmony", "scfcmi"]
    rows, columns = [], {name: {} for name in names}
    for dataset in [name for name in SETS if ("scfcmi", name) in means.index]:
        row = [dataset]
        for name, setting in zip(names, (K, K, FREE, FREE), strict=True):
            if name.startswith("better"):
                best = better[setting]
                row.append(percent(best.loc[dataset], "nmi", "ari") if dataset in best.index else "")
                columns[name][dataset] = best.loc[dataset] if dataset in best.index else None
                continue
            if (name, dataset) not in means.index:
                row.append("")
                continue
            columns[name][dataset] = mine = means.loc[(name, dataset)]
            sd = spread.loc[(name, dataset)]
            parts = [
                f"{100 * mine[column]:.1f}" + ("" if pd.isna(sd[column]) else f" ± {100 * sd[column]:.1f}")
                for column in MEASURES
            ]
            row.append(" / ".join(parts) + f" ({mine['n_clusters']:.0f})")
        rows.append(row)
    if not rows:
        return ""
    last = ["mean"]
    for name in names:
        found = pd.DataFrame({key: value for key, value in columns[name].items() if value is not None}).T
        last.append(percent(found.mean(), *(column for column in MEASURES if column in found)))
    return table(["set", *names], [*rows, last])


def _left_out(means: pd.DataFrame, settings: dict[str, str]) -> str:
    """Return what each setting gives on a set, which of them the other sets choose, and what that gives on this one."""
    if len(settings) < 2:
        return ""
    scores = {
        column: pd.DataFrame({label: means.loc[row][column] for label, row in settings.items()}).dropna()
        for column in ("nmi", "ari")
    }
    scores["both"] = (scores["nmi"] + scores["ari"]) / 2
    rows, chosen_scores = [], []
    for dataset in scores["nmi"].index:
        chosen = {measure: values.drop(dataset).mean().idxmax() for measure, values in scores.items()}
        on_this = pd.DataFrame({column: scores[column].loc[dataset] for column in ("nmi", "ari")})
        chosen_scores.append(on_this.loc[chosen["both"]])
        each = [percent(on_this.loc[label], "nmi", "ari") for label in settings]
        rows.append([dataset, *each, *chosen.values(), percent(chosen_scores[-1], "nmi", "ari")])
    over_sets = pd.DataFrame({column: scores[column].mean() for column in ("nmi", "ari")})
    each = [percent(over_sets.loc[label], "nmi", "ari") for label in settings]
    rows.append(["mean", *each, "", "", "", percent(pd.DataFrame(chosen_scores).mean(), "nmi", "ari")])
    heads = ["set left out", *settings, "NMI chooses", "ARI chooses", "their mean chooses", "on this set"]
    return table(heads, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", choices=ROWS | OTHERS | SCVI, default=list(ROWS), metavar="NAME")
    parser.add_argument("--datasets", nargs="+", choices=(*SETS, *JOINED), default=list(SETS), metavar="NAME")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "single_cell.jsonl")
    parser.add_argument("--report", action="store_true", help="print the tables of the output file instead")
    options = parser.parse_args()
    if options.report:
        print("\n\n".join(filter(None, tables(options.output).values())))
        return
    warnings.simplefilter("ignore")
    run(
        options.output, range(options.first_seed, options.first_seed + options.seeds), options.datasets, options.methods
    )


if __name__ == "__main__":
    main()
