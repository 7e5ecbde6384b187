"""fair_cluster on real cells beside k-means on principal components, and beside Harmony with k-means and with Leiden.

    python benchmarks/single_cell.py --seeds 5 -o benchmarks/results/single_cell.jsonl
    python benchmarks/single_cell.py --report benchmarks/results/single_cell.jsonl

Reads ``singlecell/*.h5ad`` from the folder named by SCFCMI_DATA_DIR. K is the number of labels, all else the default.
One JSON line a run is appended as it ends; runs already there are skipped. Labels enter the metrics and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import pandas as pd
import scanpy as sc
import scipy.sparse as sp
import torch
from sklearn.cluster import KMeans

from scfcmi import __version__, baselines, metrics, tl

if TYPE_CHECKING:
    import numpy as np

DATASETS = ("human_dc", "pbmc_3tech", "rnamix_2protocol", "kang_ctrl_8donors")
COUNTS = {"kang_ctrl_8donors", "rnamix_2protocol"}
# pbmc_3tech and 3,000 cells of kang_ctrl_8donors together: each laboratory one batch, or each of eleven samples.
JOINED = ("pbmc_2laboratories", "pbmc_11samples")
KANG_NAMES = {
    "CD4 T cells": "T_CD4",
    "CD8 T cells": "T_CD8",
    "CD14+ Monocytes": "Mono_CD14",
    "FCGR3A+ Monocytes": "Mono_CD16",
    "B cells": "B",
    "NK cells": "NK",
    "Dendritic cells": "DC",
    "Megakaryocytes": "MK",
}


def load(name: str) -> ad.AnnData:
    if name in JOINED:
        return joined(name)
    adata = ad.read_h5ad(Path(os.environ["SCFCMI_DATA_DIR"]) / "singlecell" / f"{name}.h5ad")
    if name in COUNTS:
        adata.layers["counts"] = adata.X.copy()
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
    if adata.n_vars > 3000:
        sc.pp.highly_variable_genes(adata, n_top_genes=2000, batch_key="batch")
        adata = adata[:, adata.var["highly_variable"]].copy()
    return adata


def joined(name: str) -> ad.AnnData:
    parts = {part: load(part) for part in ("pbmc_3tech", "kang_ctrl_8donors")}
    parts["kang_ctrl_8donors"] = sc.pp.sample(parts["kang_ctrl_8donors"], n=3000, rng=0, copy=True)
    for part, adata in parts.items():
        adata.obs["label"] = adata.obs["label"].astype(str).replace(KANG_NAMES)
        adata.obs["batch"] = part if name == "pbmc_2laboratories" else part + " " + adata.obs["batch"].astype(str)
    adata = ad.concat(parts.values(), join="inner")
    # Kang et al. name no stem cells.
    adata = adata[adata.obs["label"] != "HSC"].copy()
    adata.obs = adata.obs[["batch", "label"]].astype("category")
    return adata


def components(adata: ad.AnnData) -> np.ndarray:
    scaled = adata.copy()
    scaled.X = scaled.X.toarray() if sp.issparse(scaled.X) else scaled.X
    sc.pp.scale(scaled, max_value=10)
    sc.pp.pca(scaled, n_comps=50, random_state=0)
    return scaled.obsm["X_pca"]


def k_means(X: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    return KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(X)


def pca_kmeans(adata: ad.AnnData, n_clusters: int, seed: int) -> np.ndarray:
    return k_means(components(adata), n_clusters, seed)


def harmony_kmeans(adata: ad.AnnData, n_clusters: int, seed: int) -> np.ndarray:
    return baselines.harmony_kmeans(components(adata), adata.obs["batch"], n_clusters, seed)


def harmony_leiden(adata: ad.AnnData, n_clusters: int, seed: int) -> np.ndarray:
    return baselines.harmony_leiden(components(adata), adata.obs["batch"], n_clusters, seed)


def harmony_leiden_unscaled(adata: ad.AnnData, n_clusters: int, seed: int) -> np.ndarray:
    return baselines.harmony_leiden(adata.X, adata.obs["batch"], n_clusters, seed)


def fair_cluster(*, estimate: bool = False, **settings):
    def run(adata: ad.AnnData, n_clusters: int, seed: int) -> np.ndarray:
        number = None if estimate else n_clusters
        tl.fair_cluster(adata, "batch", n_clusters=number, random_state=seed, progress=False, **settings)
        return adata.obs["fcmi"].to_numpy()

    return run


METHODS = {
    "PCA + k-means": pca_kmeans,
    "Harmony + k-means": harmony_kmeans,
    "Harmony + Leiden": harmony_leiden,
    "Harmony + Leiden, genes not scaled": harmony_leiden_unscaled,
    "FCMI alpha .04 beta .20": fair_cluster(mode="paper", beta=0.20),
    "FCMI alpha .04 beta 0": fair_cluster(mode="paper", beta=0.0),
    "FCMI, beta by composition": fair_cluster(mode="paper"),
    "scfcmi, default": fair_cluster(),
    "scfcmi, default, K estimated": fair_cluster(estimate=True),
}


def run(output: Path, seeds: range, datasets: list[str], methods: list[str]) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    done = set()
    if output.exists():
        done = {(r["dataset"], r["method"], r["seed"]) for r in map(json.loads, output.read_text().splitlines())}
    for name in datasets:
        adata = load(name)
        for method in methods:
            for seed in seeds:
                if (name, method, seed) in done:
                    continue
                cells = adata.copy()
                start = time.perf_counter()
                clusters = METHODS[method](cells, cells.obs["label"].nunique(), seed)
                seconds = time.perf_counter() - start
                scores = metrics.evaluate(cells.obs["label"], clusters, cells.obs["batch"])
                record = {
                    "dataset": name,
                    "method": method,
                    "seed": seed,
                    "seconds": round(seconds, 1),
                    "n_clusters": len(set(clusters)),
                    **scores.round(5).to_dict(),
                    "params": cells.uns["fcmi"]["params"] if "fcmi" in cells.uns else {},
                    "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
                    "version": __version__,
                }
                with output.open("a") as file:
                    file.write(json.dumps(record) + "\n")
                print(name, method, seed, scores.round(3).to_dict(), f"{seconds:.0f} s", flush=True)


def report(path: Path) -> None:
    runs = pd.DataFrame(map(json.loads, path.read_text().splitlines()))
    columns = ["accuracy", "nmi", "ari", "balance", "mnce", "f_beta", "batch_leakage"]
    print("| data | method | seeds | " + " | ".join(columns) + " | seconds |")
    print("| --- | --- | --- |" + " --- |" * (len(columns) + 1))
    for (dataset, method), group in runs.groupby(["dataset", "method"], sort=False):
        cells = [f"{100 * group[c].mean():.1f} ± {100 * group[c].std():.1f}" for c in columns]
        print(f"| {dataset} | {method} | {len(group)} | " + " | ".join(cells) + f" | {group['seconds'].mean():.0f} |")
    for name in runs["dataset"].unique():
        adata = load(name)
        scores = metrics.evaluate(adata.obs["label"], adata.obs["label"], adata.obs["batch"])
        print(f"| {name} | reference labels | | " + " | ".join(f"{100 * scores[c]:.1f}" for c in columns) + " | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--datasets", nargs="+", choices=(*DATASETS, *JOINED), default=list(DATASETS))
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results/single_cell.jsonl"))
    parser.add_argument("--report", type=Path, help="print the table of a file of runs instead")
    options = parser.parse_args()
    if options.report:
        report(options.report)
    else:
        seeds = range(options.first_seed, options.first_seed + options.seeds)
        run(options.output, seeds, options.datasets, options.methods)


if __name__ == "__main__":
    main()
