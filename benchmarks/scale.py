"""From a file to labels in a file, with expression on disk: seconds, and the memory of every process.

    python benchmarks/scale.py write cells.h5ad --cells 1000000     # or cells.zarr; simulated straight to disk
    python benchmarks/scale.py run cells.h5ad                       # scfcmi cluster, in a process of its own
    python benchmarks/scale.py run cells.h5ad --workers 2           # the same on Dask workers
    python benchmarks/scale.py peer cells.h5ad                      # Harmony, neighbors and Leiden of the same file
    python benchmarks/scale.py rare cells.h5ad                      # what becomes of rare types, by resolution

The simulated atlas has 2,000 genes, 8 % of its entries filled, three batches, eleven types, and four rare ones of 0.2, 0.1, 0.05
and 0.02 % of the cells. ``run`` and ``peer`` append to ``results/scale.jsonl``.
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
from runs import RESULTS, append, version
from sklearn.utils import gen_batches

from scfcmi import metrics, tl
from scfcmi.graph.sample import rare_keeping_sample

N_GENES, N_TYPES, RARE = 2000, 11, (0.002, 0.001, 0.0005, 0.0002)
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
    names = np.array([f"type {i}" for i in range(N_TYPES)] + [f"rare {share:.2%}" for share in RARE])
    obs = pd.DataFrame({"batch": pd.Categorical(batches.astype(str)), "type": pd.Categorical(names[types])})
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


def peer(path: Path) -> None:
    """Harmony, neighbors and Leiden, as scanpy's users run them: all in memory."""
    seconds, peaks = watched([sys.executable, __file__, "peer-here", str(path)])
    keep(
        {
            "what": "peer",
            "file": path.suffix,
            "n_cells": len(read_obs(path)),
            "seconds": round(seconds, 1),
            "peak_mib": peaks[0],
        }
    )


def peer_here(path: Path) -> None:
    import harmonypy
    import scanpy as sc

    adata = ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path)
    sc.pp.pca(adata, n_comps=50)
    adata.obsm["X_harmony"] = np.asarray(
        harmonypy.run_harmony(adata.obsm["X_pca"], adata.obs, "batch", verbose=False).Z_corr
    )
    if len(adata.obsm["X_harmony"]) != adata.n_obs:
        adata.obsm["X_harmony"] = adata.obsm["X_harmony"].T
    sc.pp.neighbors(adata, use_rep="X_harmony")
    sc.tl.leiden(adata, flavor="igraph", n_iterations=2, directed=False)


def rare(path: Path) -> None:
    """What share of each rare type the graph holds, and whether a resolution finds it."""
    root = zarr.open_group(path, mode="r") if path.suffix == ".zarr" else h5py.File(path)
    X, obs = ad.io.sparse_dataset(root["X"]), read_obs(path)
    adata, names = ad.AnnData(X, obs=obs), [f"rare {share:.2%}" for share in RARE]
    for resolution in (0.4, 1.0, 2.0):
        model = tl.fit_model(adata, "batch", resolution=resolution, progress=False)
        if resolution == 0.4:
            n_sample = model.graph_.shape[0]
            sample = rare_keeping_sample(adata.obsm["X_fcmi"], n_sample, np.random.default_rng(0))
            for name in names:
                of_type = (obs["type"] == name).to_numpy()
                print(
                    f"{name}: {of_type.sum()} cells, {of_type[sample].mean() / of_type.mean():.1f} times its share in the sample"
                )
        table = pd.crosstab(obs["type"], adata.obs["fcmi"])
        f1 = 2 * table.div(table.sum(axis=0), axis=1) * table.div(table.sum(axis=1), axis=0)
        f1 /= table.div(table.sum(axis=0), axis=1) + table.div(table.sum(axis=1), axis=0)
        print(
            f"resolution {resolution}: {table.shape[1]} clusters; best F1",
            f1.max(axis=1)[names].round(2).to_dict(),
            flush=True,
        )


def keep(row: dict) -> None:
    row |= {"threads": torch.get_num_threads(), "version": version()}
    print(row, flush=True)
    append(RESULTS / "scale.jsonl", row)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("write", "run", "peer", "peer-here", "rare"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    if options.what == "write":
        write(options.path, options.cells)
    elif options.what == "run":
        run(options.path, options.workers)
    else:
        {"peer": peer, "peer-here": peer_here, "rare": rare}[options.what](options.path)
