"""Seconds an epoch and peak memory, each beside a yardstick of the same run.

    python benchmarks/speed.py har             # 10,299 x 561, 30 groups, both decoders
    python benchmarks/speed.py mnist           # 10,000 images 28 x 28, two groups
    python benchmarks/speed.py memory          # fair_cluster on a sparse 50,000 x 2,000 matrix; --cells for others

The yardstick of time is a bare loop of forward pass, backward pass and Adam over the same mini-batches with the same
network and precision: the ratio is what sampling, the clustering terms, encoding all cells and refreshing the centres
cost. That of memory is the size of the matrix, sparse as it is and dense as it never must be.
"""

from __future__ import annotations

import argparse
import gzip
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from scfcmi import FCMI


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


def har() -> None:
    arrays = np.load(data("har", "har561.npz"))
    for decoder in ("shared", "branches"):
        for precision in ("float32", "bfloat16"):
            groups = arrays["subject"].astype(np.int64)
            measure("HAR", arrays["X"], groups, 6, decoder=decoder, precision=precision)


def mnist() -> None:
    with gzip.open(data("mnist", "train-images-idx3-ubyte.gz")) as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)[:5000]
    images = (pixels / 127.5 - 1).astype(np.float32)
    images, groups = np.concatenate([images, -images]), np.repeat([0, 1], 5000)
    order = np.random.default_rng(0).permutation(10_000)
    for precision in ("float32", "bfloat16"):
        measure("MNIST and its inverse", images[order], groups[order], 10, decoder="branches", precision=precision)


def resident(field: str) -> float:
    """MiB of memory that the kernel counts for this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 2**10


def memory(n_cells: int) -> None:
    import anndata as ad
    import pandas as pd
    import scipy.sparse as sp

    import scfcmi

    rng = np.random.default_rng(0)
    X = sp.random(n_cells, 2_000, density=0.1, format="csr", dtype=np.float32, random_state=rng)
    obs = pd.DataFrame({"batch": rng.choice(["a", "b", "c"], n_cells)}, index=np.arange(n_cells).astype(str))
    adata = ad.AnnData(X, obs=obs)
    size = (X.data.nbytes + X.indices.nbytes + X.indptr.nbytes) / 2**20
    scfcmi.FCMI  # noqa: B018  # torch is loaded before the base is read
    # Making the matrix took more than it takes: the high-water mark starts anew (Linux only).
    Path("/proc/self/clear_refs").write_text("5")
    base = resident("VmHWM")
    start = time.perf_counter()
    scfcmi.tl.fair_cluster(adata, "batch", n_clusters=12, max_epochs=2, progress=False)
    peak = resident("VmHWM")
    print(
        f"sparse {n_cells:,} x 2,000: {size:.0f} MiB sparse, {n_cells * 2_000 * 4 / 2**20:.0f} MiB if dense; resident before "
        f"the call {base:.0f} MiB, peak {peak:.0f} MiB, so {peak - base:.0f} MiB for the call; "
        f"{time.perf_counter() - start:.0f} s for 2 epochs"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("har", "mnist", "memory"))
    parser.add_argument("--cells", type=int, default=50_000, help="of memory")
    options = parser.parse_args()
    if options.what == "memory":
        memory(options.cells)
    else:
        {"har": har, "mnist": mnist}[options.what]()


if __name__ == "__main__":
    main()
