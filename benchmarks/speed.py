"""Seconds and peak memory, each beside a yardstick of the same run.

    python benchmarks/speed.py pipeline        # fair_cluster beside Harmony + Leiden, in fresh processes, cold and warm
    python benchmarks/speed.py cells --cells 1000000   # fair_cluster on simulated cells x 2,000 genes, and predict
    python benchmarks/speed.py har             # an epoch of 10,299 x 561, 30 groups, both decoders
    python benchmarks/speed.py mnist           # an epoch of 10,000 images 28 x 28, two groups

The yardstick of an epoch is a bare loop of forward pass, backward pass and Adam over the same mini-batches with the same
network and precision: the ratio is what sampling, the clustering terms, encoding all cells and refreshing the centres
cost. That of memory is the size of the matrix, sparse as it is. ``pipeline`` and ``cells`` append to
``results/speed.jsonl``.
"""

from __future__ import annotations

import argparse
import gzip
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
import sets
import torch
from runs import RESULTS, append, latest, table, version
from sklearn.utils import gen_batches
from torch.nn import functional as F

import scfcmi
from scfcmi import FCMI, metrics


def bare_epoch(model: FCMI, X: np.ndarray, groups: np.ndarray) -> float:
    """Seconds of one epoch of nothing but reconstruction, with the model's own network."""
    network, half = model._network.train(), model.precision_ == "bfloat16"
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    X, groups = torch.from_numpy(X), torch.from_numpy(groups)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        for inputs, batch_groups in zip(X.split(512), groups.split(512), strict=True):
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                outputs = network.decode(network.encode(inputs), batch_groups)
            optimizer.zero_grad()
            F.mse_loss(outputs, inputs).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def measure(name: str, X: np.ndarray, groups: np.ndarray, n_clusters: int, **settings) -> None:
    fit = lambda n: FCMI(n_clusters, max_epochs=n, warmup_epochs=0, progress=False, **settings).fit(X, groups=groups)
    fit(1)
    start = time.perf_counter()
    fit(1)
    one = time.perf_counter()
    model = fit(4)
    epoch = (time.perf_counter() - one - (one - start)) / 3
    bare = bare_epoch(model, X, groups)
    print(f"{name}, {settings}: {epoch:.2f} s an epoch, bare loop {bare:.2f} s, ratio {epoch / bare:.2f}", flush=True)


def data(*parts: str) -> Path:
    return Path(os.environ["SCFCMI_DATA_DIR"]).joinpath(*parts)


def har_cells() -> tuple[str, np.ndarray, np.ndarray, int]:
    """Return name, features, groups and number of clusters."""
    arrays = np.load(data("har", "har561.npz"))
    return "HAR", arrays["X"], np.unique(arrays["subject"], return_inverse=True)[1], 6


def mnist_images() -> tuple[str, np.ndarray, np.ndarray, int]:
    """Return the same of 5,000 images and their inverse."""
    with gzip.open(data("mnist", "train-images-idx3-ubyte.gz")) as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)[:5000]
    images = (pixels / 127.5 - 1).astype(np.float32)
    images, groups = np.concatenate([images, -images]), np.repeat([0, 1], 5000)
    order = np.random.default_rng(0).permutation(10_000)
    return "10,000 images", images[order], groups[order], 10


def har() -> None:
    for decoder in ("shared", "branches"):
        for precision in ("float32", "bfloat16"):
            measure(*har_cells(), decoder=decoder, precision=precision)


def mnist() -> None:
    for precision in ("float32", "bfloat16"):
        measure(*mnist_images(), decoder="branches", precision=precision)


def resident(field: str) -> float:
    """MiB of memory that the kernel counts for this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 2**10


def simulate(n_cells: int, path: str, n_batches: int = 3) -> None:
    """Write sparse log-normalized cells of eleven types in several batches, 8 % of the entries filled."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(0.6, 0.13, 2000) * np.exp(rng.normal(0, 0.9, (11, 2000)) * (rng.random((11, 2000)) < 0.25))
    shifts = np.exp(rng.normal(0, 0.35, (n_batches, 2000)))
    types, batches = rng.choice(11, n_cells, p=rng.dirichlet(np.full(11, 3))), rng.integers(n_batches, size=n_cells)
    blocks = []
    for rows in gen_batches(n_cells, 20_000):
        filled = rng.random((len(types[rows]), 2000), dtype=np.float32) < rates[types[rows]] * shifts[batches[rows]]
        block = sp.csr_matrix(filled, dtype=np.float32)
        block.data[:] = np.log1p(
            rng.gamma(1.5, 1, block.nnz) + 0.3 * shifts[np.repeat(batches[rows], np.diff(block.indptr)), block.indices]
        )
        blocks.append(block)
    obs = pd.DataFrame({"batch": batches.astype(str), "type": types.astype(str)}, index=np.arange(n_cells).astype(str))
    ad.AnnData(sp.vstack(blocks, format="csr"), obs=obs).write_h5ad(path)


def cells(n_cells: int) -> None:
    with tempfile.NamedTemporaryFile(suffix=".h5ad") as file:
        # In a process of its own: what making them took is not memory of this one.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            pool.submit(simulate, n_cells, file.name).result()
        adata = ad.read_h5ad(file.name)
    scfcmi.FCMI  # noqa: B018  # torch is loaded before the base is read
    # The high-water mark starts anew (Linux only).
    Path("/proc/self/clear_refs").write_text("5")
    base, start = resident("VmHWM"), time.perf_counter()
    model = scfcmi.tl.fit_model(adata, "batch", progress=False)
    seconds, above = time.perf_counter() - start, resident("VmHWM") - base
    start = time.perf_counter()
    model.predict(adata.X)
    size = (adata.X.data.nbytes + adata.X.indices.nbytes + adata.X.indptr.nbytes) / 2**20
    row = {"what": "cells", "n_cells": n_cells, "seconds": round(seconds, 1), "matrix_mib": round(size)}
    row |= {"above_mib": round(above), "ari": round(metrics.ari(adata.obs["type"], adata.obs["fcmi"]), 3)}
    keep(row | {"predicted_a_second": round(n_cells / (time.perf_counter() - start))})


def keep(row: dict) -> None:
    """Print a row and append it to the results."""
    row |= {"threads": torch.get_num_threads(), "version": version()}
    print(row, flush=True)
    append(RESULTS / "speed.jsonl", row)


def pipeline(n_runs: int) -> None:
    """Seconds of labels on two real sets, imports included, in fresh processes; then again in the same process."""
    for name in ("pbmc_3tech", "kang_ctrl_8donors"):
        with tempfile.NamedTemporaryFile(suffix=".h5ad") as file:
            sets.load(name).write_h5ad(file.name)
            found = {method: [fresh(method, file.name) for _ in range(n_runs)] for method in METHODS}
        cold, warm = ({m: float(np.median(runs, axis=0)[i]) for m, runs in found.items()} for i in (0, 1))
        for when, seconds in (("cold", cold), ("warm", warm)):
            ratio = seconds["scfcmi"] / seconds["Harmony"]
            keep({"what": "pipeline", "set": name, "when": when} | seconds | {"ratio": round(ratio, 2)})


def fresh(method: str, path: str) -> tuple[float, float]:
    """Return seconds from the start of a process to its first labels, and seconds of a second call."""
    done = subprocess.run(
        [sys.executable, "-c", _PROCESS.format(*METHODS[method]), path, str(time.time())],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    return tuple(float(word) for word in done.stdout.split()[-2:])


_PROCESS = """
import sys, time
import anndata
import {}
adata = anndata.read_h5ad(sys.argv[1])
other = adata.copy()
{}
cold, start = time.time() - float(sys.argv[2]), time.time()
adata = other
{}
print(cold, time.time() - start)
"""
# What is imported, and what is run first and second.
METHODS = {
    "scfcmi": ("scfcmi", *2 * ["scfcmi.tl.fair_cluster(adata, 'batch', progress=False)"]),
    "Harmony": ("harmony", *2 * ["harmony.leiden(adata, None, 0, scaled=True)"]),
}


def tables(path: Path) -> dict[str, str]:
    """Return the tables of both commands: of runs of the same kind, the last."""
    runs = latest(path, ["what", "set", "when", "n_cells"])
    beside, grown = (runs[runs["what"] == what] for what in ("pipeline", "cells"))
    rows = [
        [f"`{run.set}`", run.when, f"{run.scfcmi:.1f} s", f"{run.Harmony:.1f} s", f"{run.ratio:.2f}"]
        for run in beside.itertuples()
    ]
    growth = [
        [f"{n:,.0f}", f"{seconds:.0f} s", f"{size:,.0f} MiB", f"{above:,.0f} MiB", f"{ari:.2f}", f"{rate:,.0f}"]
        for n, seconds, size, above, ari, rate in grown.sort_values("n_cells")[
            ["n_cells", "seconds", "matrix_mib", "above_mib", "ari", "predicted_a_second"]
        ].itertuples(index=False)
    ]
    return {
        "pipeline": table(["cells", "process", "scfcmi", "Harmony + Leiden", "ratio"], rows),
        "cells": table(
            ["cells", "`fair_cluster`", "matrix", "memory beside it", "ARI", "new cells labeled a second"], growth
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pipeline", "cells", "har", "mnist"))
    parser.add_argument("--cells", type=int, default=100_000, help="of cells")
    parser.add_argument("--runs", type=int, default=3, help="of pipeline: the median is taken")
    options = parser.parse_args()
    if options.what == "cells":
        cells(options.cells)
    elif options.what == "pipeline":
        pipeline(options.runs)
    else:
        {"har": har, "mnist": mnist}[options.what]()


if __name__ == "__main__":
    main()
