"""From a file to labels in a file, with expression on disk: seconds, and the memory of every process.

    python benchmarks/scale.py write cells.h5ad --cells 1000000     # or cells.zarr; simulated straight to disk
    python benchmarks/scale.py run cells.h5ad                       # scfcmi cluster, in a process of its own
    python benchmarks/scale.py run cells.h5ad --workers 2           # the same on Dask workers
    python benchmarks/scale.py peer cells.h5ad                      # Harmony, neighbors and Leiden of the same file
    python benchmarks/scale.py peer cells.h5ad --method scVI        # scVI instead of Harmony: pip install scvi-tools
    python benchmarks/scale.py passes cells.h5ad                    # seconds of reading expression, in one thread
    python benchmarks/scale.py rare cells.h5ad                      # what becomes of rare types, by resolution

The simulated atlas has 2,000 genes, 8 % of its entries filled, three batches, eleven types, and four rare ones of 0.2, 0.1, 0.05
and 0.02 % of the cells. All but ``write`` append to ``results/scale.jsonl``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import psutil
import scipy.sparse as sp
import torch
import zarr
from runs import RESULTS, append, latest, table, version
from sklearn.utils import gen_batches

from scfcmi import AtlasFCMI, metrics, tl
from scfcmi.graph.sample import rare_keeping_sample
from scfcmi.rows import outside, summarize

N_GENES, N_TYPES, RARE = 2000, 11, (0.002, 0.001, 0.0005, 0.0002)
RARE_NAMES = [f"rare {share:.2%}" for share in RARE]
PER_BLOCK = 20_000


def write(path: Path, n_cells: int) -> None:
    """Simulate cells, a block at a time, and append each to the file."""
    rng = np.random.default_rng(0)
    n_types = N_TYPES + len(RARE)
    rates = rng.gamma(0.6, 0.13, N_GENES) * np.exp(
        rng.normal(0, 0.9, (n_types, N_GENES)) * (rng.random((n_types, N_GENES)) < 0.25)
    )
    shifts = np.exp(rng.normal(0, 0.35, (3, N_GENES)))
    shares = np.r_[rng.dirichlet(np.full(N_TYPES, 3)) * (1 - sum(RARE)), RARE]
    types, batches = rng.choice(n_types, n_cells, p=shares), rng.integers(3, size=n_cells)
    names_of = np.array([f"type {i}" for i in range(N_TYPES)] + RARE_NAMES)
    obs = pd.DataFrame({"batch": pd.Categorical(batches.astype(str)), "type": pd.Categorical(names_of[types])})
    obs.index = np.arange(n_cells).astype(str)
    warnings.filterwarnings("ignore", "zarr v3 autosharding|Writing zarr v2")
    root = zarr.open_group(path, mode="w", zarr_format=2) if path.suffix == ".zarr" else h5py.File(path, "w")
    for number, rows in enumerate(gen_batches(n_cells, PER_BLOCK)):
        block = expression(rates[types[rows]], shifts, batches[rows], rng)
        if number == 0:
            ad.io.write_elem(root, "/", ad.AnnData(block, obs=obs[rows]))
            del root["obs"]
            ad.io.write_elem(root, "obs", obs)
            stored = ad.io.sparse_dataset(root["X"])
        else:
            stored.append(block)
        print(f"\r{rows.stop:,} of {n_cells:,} cells", end="", flush=True)
    if path.suffix == ".zarr":
        zarr.consolidate_metadata(path)


def expression(rates: np.ndarray, shifts: np.ndarray, batches: np.ndarray, rng: np.random.Generator) -> sp.csr_matrix:
    filled = rng.random(rates.shape, dtype=np.float32) < rates * shifts[batches]
    block = sp.csr_matrix(filled, dtype=np.float32)
    batch = np.repeat(batches, np.diff(block.indptr))
    block.data[:] = np.log1p(rng.gamma(1.5, 1, block.nnz) + 0.3 * shifts[batch, block.indices])
    # Appending more than 2^31 values needs wide ends of rows from the start.
    block.indptr = block.indptr.astype(np.int64)
    return block


def watched(command: list[str]) -> tuple[float, list[int]]:
    """Run a command; return its seconds, and the highest memory of it and each of its children, in MiB."""
    start, process = time.perf_counter(), subprocess.Popen(command)
    peaks: dict[int, int] = {}

    def watch() -> None:
        while process.poll() is None:
            for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
                try:
                    peaks[one.pid] = max(peaks.get(one.pid, 0), one.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue
            time.sleep(0.1)

    thread = threading.Thread(target=watch)
    thread.start()
    code = process.wait()
    seconds = time.perf_counter() - start
    thread.join()
    if code:
        sys.exit(f"{command} ended with {code}")
    return seconds, sorted((peak // 2**20 for peak in peaks.values()), reverse=True)


def run(path: Path, n_workers: int | None) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        output = Path(folder) / f"out{path.suffix}"
        command = [str(Path(sys.executable).with_name("scfcmi")), "cluster", str(path), "--batch-key", "batch"]
        workers = [] if n_workers is None else ["--workers", str(n_workers)]
        seconds, peaks = watched([*command, "-o", str(output), *workers])
        obs = read_obs(output)
    common = ~obs["type"].str.startswith("rare")
    row = {"what": "run", "file": path.suffix, "n_cells": len(obs), "workers": n_workers or 0}
    row |= {"seconds": round(seconds, 1), "peak_mib": peaks[0], "others_mib": peaks[1:][: n_workers or 0]}
    row |= {"ari": round(metrics.ari(obs["type"][common], obs["fcmi"][common]), 4), "n_clusters": obs["fcmi"].nunique()}
    keep(row)


def read_obs(path: Path) -> pd.DataFrame:
    root = zarr.open_group(path, mode="r") if path.suffix == ".zarr" else h5py.File(path)
    return ad.io.read_elem(root["obs"]).astype({"type": str})


def peer(path: Path, method: str) -> None:
    """Another method, then neighbors and Leiden, as scanpy's users run them: all in memory."""
    seconds, peaks = watched([sys.executable, __file__, "peer-here", str(path), "--method", method])
    row = {"what": "peer", "method": method, "file": path.suffix, "n_cells": len(read_obs(path))}
    keep(row | {"seconds": round(seconds, 1), "peak_mib": peaks[0]})


def peer_here(path: Path, method: str) -> None:
    import harmony

    adata = ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path)
    if method == "Harmony":
        # scikit-learn wants both of one kind.
        adata.X.indptr = adata.X.indptr.astype(adata.X.indices.dtype)
        harmony.leiden(adata, None, 0, scaled=False)
    else:
        import scib

        # Whole numbers, as scVI wants them.
        adata.X.data = np.rint(np.expm1(adata.X.data))
        adata.layers["counts"] = adata.X
        harmony.leiden_of(scib.x_scvi(adata, 0), None, 0)


def passes(path: Path) -> None:
    """Seconds of each pass over expression, in one thread: what workers share."""
    torch.set_num_threads(1)
    X, obs = sparse(path), read_obs(path)
    rows = outside(X, "adata.X")
    model = AtlasFCMI(max_epochs=1, progress=False).fit(X[:5000], groups=obs["batch"][:5000])
    sample = np.sort(np.random.default_rng(0).choice(len(rows), min(len(rows), 20_000), replace=False))
    seconds, parts = {}, {"moments": lambda: summarize(rows), "projection": lambda: model.transform(rows)}
    for name, work in (parts | {"sample": lambda: rows.subset(sample, np.arange(rows.shape[1]))}).items():
        start = time.perf_counter()
        work()
        seconds[name] = round(time.perf_counter() - start, 1)
    keep({"what": "passes", "file": path.suffix, "n_cells": len(rows)} | seconds)


def rare(path: Path) -> None:
    """What share of each rare type the graph holds, whether a resolution finds it, and whether a second look does."""
    obs = read_obs(path)
    adata, row = ad.AnnData(sparse(path), obs=obs), {"what": "rare", "file": path.suffix, "n_cells": len(obs)}
    for resolution in (4.0, 2.0, 1.0):
        model = tl.fit_model(adata, "batch", resolution=resolution, progress=False)
        row[f"f1 at {resolution}"] = f1(obs["type"], adata.obs["fcmi"])
    sample = rare_keeping_sample(adata.obsm["X_fcmi"], model.graph_.shape[0], np.random.default_rng(0))
    types = obs["type"].to_numpy()
    row["n_of"] = {name: int((types == name).sum()) for name in RARE_NAMES}
    row["times"] = {
        name: round(float((types[sample] == name).mean() / (types == name).mean()), 1) for name in RARE_NAMES
    }
    # The smallest cluster of the last fit, at resolution 1, once more, by itself.
    inside = (adata.obs["fcmi"] == adata.obs["fcmi"].value_counts().idxmin()).to_numpy()
    small = ad.AnnData(adata.X[np.flatnonzero(inside)], obs=obs[inside].copy())
    tl.fair_cluster(small, "batch", progress=False)
    again = pd.Series("none", obs.index)
    again[inside] = small.obs["fcmi"].astype(str)
    row["f1 at 1.0, smallest cluster clustered again"] = f1(obs["type"], again)
    keep(row)


def f1(types: pd.Series, clusters: pd.Series) -> dict[str, float]:
    """Return, for each rare type, the best F1 of any cluster."""
    counts = pd.crosstab(types, clusters)
    of_cluster, of_type = counts / counts.sum(axis=0), counts.div(counts.sum(axis=1), axis=0)
    best = (2 * of_cluster * of_type / (of_cluster + of_type)).max(axis=1)
    return {name: round(float(best[name]), 2) for name in RARE_NAMES}


def sparse(path: Path) -> object:
    root = zarr.open_group(path, mode="r") if path.suffix == ".zarr" else h5py.File(path)
    return ad.io.sparse_dataset(root["X"])


def tables(path: Path) -> dict[str, str]:
    """Return the tables of docs/scaling.md: of runs of the same kind, the last."""
    runs = latest(path, ["what", "method", "file", "n_cells", "workers"]).sort_values(["n_cells", "what", "workers"])
    mib = lambda sizes: ", ".join(f"{size:,.0f} MiB" for size in sizes)
    rows = [
        [
            f"{r.n_cells:,.0f}",
            names(r),
            f"{r.seconds:.0f} s",
            mib([r.peak_mib, *(r.others_mib if r.what == "run" else [])]),
        ]
        for r in runs[runs["what"].isin(["run", "peer"])].itertuples()
    ]
    columns = ["cells", "what", "seconds", "memory"]
    found = {
        "scale": table(columns, rows),
        "scale_short": table(columns, [row for row in rows if "workers" not in row[1] and "zarr" not in row[1]]),
    }
    measured = runs[runs["what"] == "rare"]
    if len(measured):
        one = measured.iloc[-1].dropna()
        scores = [column for column in one.index if column.startswith("f1")]
        found["rare"] = table(
            [f"type (of {one['n_cells']:,.0f} cells)", "cells", "times its share", *(f"F1 {c[3:]}" for c in scores)],
            [[name, one["n_of"][name], one["times"][name], *(one[c][name] for c in scores)] for name in RARE_NAMES],
        )
    return found | model_table(runs)


def names(run: object) -> str:
    if run.what == "peer":
        first = "scVI" if run.method == "scVI" else "PCA, Harmony"
        return f"{first}, neighbors, Leiden, in memory"
    return f"from {run.file} to {run.file}" + (f", {run.workers:.0f} workers" if run.workers else "")


def model_table(runs: pd.DataFrame) -> dict[str, str]:
    """Seconds for other numbers of cells: of one process, a line through two of its runs; with workers, passes shared."""
    # Of one kind of file: zarr takes longer to read than h5ad.
    runs = runs[runs["file"] == ".zarr"]
    alone = runs[(runs["what"] == "run") & (runs["workers"] == 0)].set_index("n_cells")["seconds"]
    of_passes = runs[runs["what"] == "passes"]
    if not {200_000, 1_000_000} <= set(alone.index) or not len(of_passes):
        return {}
    last = of_passes.iloc[-1]
    per_cell = (alone[1_000_000] - alone[200_000]) / 800_000
    fixed = alone[1_000_000] - 1_000_000 * per_cell
    read = (last["moments"] + last["projection"] + last["sample"]) / last["n_cells"]
    rows = []
    for n_cells, n_workers in ((1_000_000, 0), (5_000_000, 0), (10**8, 0), (10**8, 16), (10**8, 64)):
        seconds = fixed + n_cells * per_cell
        if n_workers:
            # Components, 400 bytes a cell, travel to the client: a gigabyte a second.
            seconds += n_cells * (read / n_workers - read / 2 + 400 / 10**9)
        known = f"{alone[n_cells]:.0f} s" if n_workers == 0 and n_cells in alone.index else ""
        # What ``--memory`` reserves for 2,000 genes.
        memory = f"{(1500e6 + 250 * n_cells + 24 * 2000**2) / 1e9:.1f} GB"
        where = f"{n_workers} workers of one core" if n_workers else "two cores"
        shown = f"{seconds:,.0f} s" if seconds < 3600 else f"{seconds / 3600:.1f} h"
        rows.append([f"{n_cells:,}", where, shown, known, memory])
    return {"model": table(["cells", "on", "seconds, by the model", "measured", "memory of the client"], rows)}


def keep(row: dict) -> None:
    row |= {"threads": torch.get_num_threads(), "version": version()}
    print(row, flush=True)
    append(RESULTS / "scale.jsonl", row)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("write", "run", "peer", "peer-here", "passes", "rare"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--method", choices=("Harmony", "scVI"), default="Harmony", help="of peer")
    options = parser.parse_args()
    commands = {
        "write": (write, options.cells),
        "run": (run, options.workers),
        "peer": (peer, options.method),
        "peer-here": (peer_here, options.method),
        "passes": (passes,),
        "rare": (rare,),
    }
    command, *more = commands[options.what]
    command(options.path, *more)
