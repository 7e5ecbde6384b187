"""Atlas mode on simulated atlases: many cells beside Harmony, neighbours and Leiden; many batches of uneven size;
types that overlap, beside Harmony and Leiden at the same number of clusters; and rare types among 200,000 cells.

    python benchmarks/atlas.py cells --cells 100000
    python benchmarks/atlas.py batches
    python benchmarks/atlas.py types
    python benchmarks/atlas.py rare

Each run is a process of its own, whose peak memory is measured; all read the same file. Simulated cells say nothing about
real ones. They show time, memory, and what many batches, or types that are hard to separate, cost.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc

from scfcmi import baselines, datasets, metrics, tl

# Cells, types, batches and composition, where types overlap.
HARD = (
    (3000, 8, 3, "even"),
    (4000, 15, 5, "even"),
    (4000, 11, 2, "mouse_atlas"),
    (6000, 30, 4, "even"),
    (6000, 30, 60, "even"),
)

# Shares of four rare types among twenty.
RARE = (0.0005, 0.001, 0.002, 0.004)


def log_normalise(path: Path) -> None:
    adata = ad.read_h5ad(path)
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    adata.write_h5ad(path)


def simulate(path: Path, n_cells: int, n_batches: int, *, uneven: bool) -> None:
    """Eleven types; ``uneven``: batches of 20 cells and of a hundred times as many, each without some of the types."""
    weights = np.ones((11, n_batches))
    if uneven:
        weights = np.random.default_rng(n_batches).gamma(1.0, size=weights.shape)
    # A type of 1 % beside one of 30 %.
    weights *= np.geomspace(40, 1, 11)[:, None]
    if uneven:
        weights *= np.geomspace(20, 2000, n_batches) / weights.sum(axis=0)
    datasets.simulate_atlas(n_cells, 11, n_batches, composition=weights, path=path, progress=False)
    log_normalise(path)


def fcmi(adata: ad.AnnData) -> np.ndarray:
    tl.fair_cluster(adata, "group", n_clusters=adata.obs["label"].nunique(), progress=False)
    return adata.obs["fcmi"].to_numpy()


def fcmi_default(adata: ad.AnnData) -> np.ndarray:
    tl.fair_cluster(adata, "group", progress=False)
    return adata.obs["fcmi"].to_numpy()


def harmony_leiden(adata: ad.AnnData) -> np.ndarray:
    import harmonypy

    # As the tutorials of scanpy have it; sparse-aware, without scaling, which would make the matrix dense.
    sc.pp.pca(adata, n_comps=50)
    adata.obsm["X_harmony"] = harmonypy.run_harmony(adata.obsm["X_pca"], adata.obs, "group", verbose=False).Z_corr
    sc.pp.neighbors(adata, use_rep="X_harmony")
    sc.tl.leiden(adata, flavor="igraph", n_iterations=2, directed=False)
    return adata.obs["leiden"].to_numpy()


def harmony_leiden_at_k(adata: ad.AnnData) -> np.ndarray:
    sc.pp.scale(adata, max_value=10)
    sc.pp.pca(adata, n_comps=50)
    return baselines.harmony_leiden(adata.obsm["X_pca"], adata.obs["group"], adata.obs["label"].nunique())


METHODS = {
    "scfcmi": fcmi,
    "scfcmi_default": fcmi_default,
    "harmony_leiden": harmony_leiden,
    "harmony_leiden_at_k": harmony_leiden_at_k,
}


def one(method: str, path: Path) -> None:
    adata = ad.read_h5ad(path)
    # scikit-learn's PCA takes no other.
    adata.X.indices, adata.X.indptr = (part.astype(np.int32) for part in (adata.X.indices, adata.X.indptr))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    clusters = METHODS[method](adata)
    seconds = time.perf_counter() - start
    scores = metrics.evaluate(adata.obs["label"], clusters, adata.obs["group"])
    record = {
        "method": method,
        "cells": adata.n_obs,
        "types": int(adata.obs["label"].nunique()),
        "batches": int(adata.obs["group"].nunique()),
        "smallest_batch": int(adata.obs["group"].value_counts().min()),
        "seconds": round(seconds, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "read_mib": round(before),
        "clusters": len(set(clusters)),
        "rare_overlap": rare_overlap(adata.obs["label"].to_numpy(), clusters),
        **scores[["nmi", "ari", "batch_leakage"]].round(4).to_dict(),
        "machine": platform.machine(),
    }
    print(json.dumps(record))


def rare_overlap(labels: np.ndarray, clusters: np.ndarray) -> list[float]:
    """Return, for each type below 1 % of the cells, cells shared with its best cluster over cells of either."""
    table = pd.crosstab(labels, clusters)
    either = table.sum(axis=1).to_numpy()[:, None] + table.sum(axis=0).to_numpy() - table
    rare = table.sum(axis=1) < len(labels) / 100
    return (table / either).max(axis=1)[rare].round(3).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("cells", "batches", "types", "rare", "one"))
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--cells", type=int)
    parser.add_argument("--batches", type=int, nargs="+")
    parser.add_argument("--methods", nargs="+", choices=METHODS)
    options = parser.parse_args()
    if options.what == "one":
        one(options.rest[0], Path(options.rest[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.what == "types":
            for number, (n_cells, n_types, n_batches, composition) in enumerate(HARD):
                path = Path(folder) / f"{number}.h5ad"
                datasets.simulate_atlas(n_cells, n_types, n_batches, composition=composition, path=path, progress=False)
                log_normalise(path)
                run(options.methods or ["scfcmi", "scfcmi_default", "harmony_leiden_at_k"], path)
            return
        if options.what == "rare":
            path, weights = Path(folder) / "rare.h5ad", np.full((20, 4), (1 - sum(RARE)) / 16)
            weights[: len(RARE)] = np.array(RARE)[:, None]
            n_cells = options.cells or 200_000
            datasets.simulate_atlas(n_cells, 20, 4, composition=weights, path=path, progress=False)
            log_normalise(path)
            run(options.methods or ["scfcmi", "scfcmi_default", "harmony_leiden"], path)
            return
        many = options.what == "batches"
        for n_batches in options.batches or ([3, 30, 300] if many else [4]):
            path = Path(folder) / f"{n_batches}.h5ad"
            simulate(path, options.cells or (30_000 if many else 100_000), n_batches, uneven=many)
            run(options.methods or ["scfcmi", "harmony_leiden"], path)


def run(methods: list[str], path: Path) -> None:
    for method in methods:
        subprocess.run([sys.executable, "-W", "ignore", __file__, "one", method, path], check=True)


if __name__ == "__main__":
    main()
