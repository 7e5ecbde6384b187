"""Embeddings of scfcmi, Harmony and scVI by scib-metrics, on the single-cell sets.

    pip install scib-metrics scvi-tools harmonypy igraph
    python benchmarks/scib.py -o benchmarks/results/scib.jsonl

Genes and components as in single_cell.py and harmony.py. scVI trains with its defaults, on counts, where there are any; its time is
beside it. One line a data set and method; the labels enter the metrics and nothing else.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import harmonypy
from harmony import components, leiden_of
from runs import latest, percent, table
from sets import COUNTS, SETS, load

from scfcmi import metrics, tl

if TYPE_CHECKING:
    import numpy as np

SEEDS = 3


def x_fcmi(adata: ad.AnnData, seed: int) -> np.ndarray:
    tl.fair_cluster(adata, "batch", n_clusters=adata.obs["label"].nunique(), random_state=seed, progress=False)
    return adata.obsm["X_fcmi"]


def x_harmony(adata: ad.AnnData, seed: int) -> np.ndarray:
    found = harmonypy.run_harmony(components(adata), adata.obs, "batch", random_state=seed, verbose=False).Z_corr
    return found if len(found) == adata.n_obs else found.T


def x_pca(adata: ad.AnnData, seed: int) -> np.ndarray:
    return components(adata)


def x_scvi(adata: ad.AnnData, seed: int) -> np.ndarray:
    import scvi

    scvi.settings.seed = seed
    scvi.model.SCVI.setup_anndata(adata, layer="counts", batch_key="batch")
    model = scvi.model.SCVI(adata)
    model.train(enable_progress_bar=False, logger=False)
    return model.get_latent_representation()


METHODS = {"PCA": x_pca, "Harmony": x_harmony, "scVI": x_scvi, "scfcmi": x_fcmi}


def of_leiden(adata: ad.AnnData, embedding: np.ndarray, seed: int) -> dict[str, float]:
    """Scores of Leiden at the resolution of K clusters on any embedding."""
    labels = adata.obs["label"]
    found = metrics.evaluate(labels, leiden_of(embedding, labels.nunique(), seed), adata.obs["batch"])
    return {f"Leiden {name}": round(float(found[name]), 4) for name in ("nmi", "ari", "batch_leakage")}


def scores(adata: ad.AnnData, embedding: np.ndarray) -> dict[str, float]:
    from scib_metrics.benchmark import Benchmarker

    obs = adata.obs[["batch", "label"]].astype(str).astype("category")
    cells = ad.AnnData(adata.X, obs=obs, obsm={"X": embedding, "X_pca": components(adata)})
    bench = Benchmarker(
        cells,
        "batch",
        "label",
        embedding_obsm_keys=["X"],
        pre_integrated_embedding_obsm_key="X_pca",
        progress_bar=False,
    )
    bench.benchmark()
    row = bench.get_results(min_max_scale=False).loc["X"]
    return {name: round(float(value), 4) for name, value in row.items()}


def tables(path: Path) -> dict[str, str]:
    """Return scores of embeddings, in markdown: batch correction / bio conservation."""
    means = (
        latest(path, ["dataset", "method", "seed"]).groupby(["dataset", "method"], sort=False).mean(numeric_only=True)
    )
    scores = ("Batch correction", "Bio conservation")
    names = [name for name in SETS if name in means.index.get_level_values(0)]
    rows = []
    for name in names:
        mine = means.loc[name].reindex(list(METHODS))
        rows.append([f"`{name}`", *(percent(row, *scores) or "not run" for _, row in mine.iterrows())])
    # scVI has not run on all of them.
    of_all = means.loc[names].groupby("method").mean().reindex(list(METHODS))
    of_all.loc["scVI"] = float("nan")
    rows.append(["mean", *(percent(row, *scores) for _, row in of_all.iterrows())])
    return {"embeddings": table(["set", *METHODS], rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in options.datasets:
        for method in options.methods:
            if method == "scVI" and name not in COUNTS:
                continue
            for seed in range(options.seeds if method in ("scfcmi", "Harmony") else 1):
                adata = load(name)
                start = time.perf_counter()
                embedding = METHODS[method](adata, seed)
                seconds = round(time.perf_counter() - start, 1)
                record = {"dataset": name, "method": method, "seed": seed, "seconds": seconds}
                with options.output.open("a") as file:
                    file.write(json.dumps(record | of_leiden(adata, embedding, seed) | scores(adata, embedding)) + "\n")


if __name__ == "__main__":
    main()
