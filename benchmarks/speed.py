"""Seconds an epoch and peak memory, each beside a yardstick of the same run.

    python benchmarks/speed.py har             # 10,299 x 561, 30 groups, both decoders
    python benchmarks/speed.py mnist           # 10,000 images 28 x 28, two groups
    python benchmarks/speed.py memory          # fair_cluster on a sparse 50,000 x 2,000 matrix

The yardstick of time is a bare loop of forward pass, backward pass and Adam over the same mini-batches with the same
network and precision: the ratio is what sampling, the clustering terms, encoding all cells and refreshing the centres
cost. That of memory is the size of the matrix, sparse as it is and dense as it never must be.
"""

from __future__ import annotations

import argparse
import gzip
import os
import resource
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


def memory() -> None:
    import anndata as ad
    import pandas as pd
    import scipy.sparse as sp

    import scfcmi

    rng = np.random.default_rng(0)
    X = sp.random(50_000, 2_000, density=0.1, format="csr", dtype=np.float32, random_state=rng)
    obs = pd.DataFrame({"batch": rng.choice(["a", "b", "c"], 50_000)}, index=np.arange(50_000).astype(str))
    adata = ad.AnnData(X, obs=obs)
    size = (X.data.nbytes + X.indices.nbytes + X.indptr.nbytes) / 2**20
    scfcmi.FCMI  # noqa: B018  # torch is loaded before the base is read
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    start = time.perf_counter()
    scfcmi.tl.fair_cluster(adata, "batch", n_clusters=12, max_epochs=2, progress=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"sparse 50,000 x 2,000: {size:.0f} MiB sparse, {50_000 * 2_000 * 4 / 2**20:.0f} MiB if dense; resident before "
        f"the call {base:.0f} MiB, peak {peak:.0f} MiB, so {peak - base:.0f} MiB for the call; "
        f"{time.perf_counter() - start:.0f} s for 2 epochs"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("har", "mnist", "memory"))
    {"har": har, "mnist": mnist, "memory": memory}[parser.parse_args().what]()


if __name__ == "__main__":
    main()
