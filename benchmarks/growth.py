"""What a fit of atlas mode costs as cells, batches and clusters grow, and paper mode beside its textbook form.

    python benchmarks/growth.py cells      # 10,000 to 1,000,000 cells: seconds after training, and the exponent
    python benchmarks/growth.py batches    # 20,000 cells in 2 to 300 batches
    python benchmarks/growth.py clusters   # 20,000 cells, K from 2 to 100
    python benchmarks/growth.py textbook   # an epoch of HAR and of 10,000 images beside a plain loop
    python benchmarks/growth.py rate       # a training step beside the matrix products of this machine

The textbook form has the network of the paper with one decoder a group, float32, and k-means of ten restarts after every
epoch. Runs are appended to ``results/growth.jsonl``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import speed
import torch
from runs import RESULTS, append, latest, table, version
from sklearn.cluster import KMeans
from torch import nn

import scfcmi
from scfcmi.graph.communities import leiden_at
from scfcmi.models import objective
from scfcmi.models.assignment import soft_assignment
from scfcmi.models.atlas.network import AtlasArchitecture, AtlasNetwork
from scfcmi.models.paper.network import Architecture, new_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

CELLS = (10_000, 30_000, 100_000, 300_000, 1_000_000)
BATCHES, CLUSTERS, N_CELLS = (2, 10, 30, 100, 300), (2, 5, 10, 30, 100), 20_000
# Of the matrix product that the rate of this machine is measured by.
_SQUARE = 2048


def simulated(n_cells: int, n_batches: int = 3) -> ad.AnnData:
    """Return simulated cells of 2,000 genes and eleven types."""
    with tempfile.NamedTemporaryFile(suffix=".h5ad") as file:
        speed.simulate(n_cells, file.name, n_batches)
        return ad.read_h5ad(file.name)


def timed(adata: ad.AnnData, n_clusters: int | None = None) -> dict[str, float]:
    """Return seconds of a fit, and of what comes after its last epoch."""
    ends = []
    model = scfcmi.AtlasFCMI(n_clusters, callbacks=[lambda _: ends.append(time.perf_counter())], progress=False)
    start = time.perf_counter()
    model.fit(adata.X, groups=adata.obs["batch"])
    end = time.perf_counter()
    return {"seconds": round(end - start, 2), "after": round(end - ends[-1], 2), "found": model.n_clusters_}


def cells() -> None:
    for n_cells in CELLS:
        keep("cells", n_cells, timed(simulated(n_cells)))


def batches() -> None:
    for n_batches in BATCHES:
        keep("batches", n_batches, timed(simulated(N_CELLS, n_batches)))


def clusters() -> None:
    adata = simulated(N_CELLS)
    model = scfcmi.AtlasFCMI(progress=False).fit(adata.X, groups=adata.obs["batch"])
    for n_clusters in CLUSTERS:
        start = time.perf_counter()
        found = leiden_at(model.graph_, n_clusters, 0)
        seconds = time.perf_counter() - start
        keep("clusters", n_clusters, timed(adata, n_clusters) | {"leiden": round(seconds, 2), "found": len(set(found))})


def textbook() -> None:
    for name, X, groups, n_clusters in (speed.har_cells(), speed.mnist_images()):
        model = scfcmi.FCMI(n_clusters, max_epochs=3, warmup_epochs=0, progress=False)
        seconds = seconds_of(lambda n, m=model, x=X, g=groups: m.set_params(max_epochs=n).fit(x, groups=g))
        architecture = Architecture(
            int(np.prod(X.shape[1:])), groups.max() + 1, n_clusters, X.ndim == 4, "branches", bounded=True
        )
        plain = seconds_of(Textbook(architecture, X, groups, n_clusters))
        found = {"scfcmi": round(seconds, 2), "textbook": round(plain, 2), "ratio": round(plain / seconds, 1)}
        keep("textbook", name, found | {"precision": model.precision_, "decoder": model.decoder_})


def seconds_of(train: Callable[[int], object]) -> float:
    """Return seconds of one more epoch."""
    seconds = []
    for n_epochs in (1, 1, 3):
        start = time.perf_counter()
        train(n_epochs)
        seconds.append(time.perf_counter() - start)
    return (seconds[2] - seconds[1]) / 2


class Textbook:
    """Eq. 12 as one writes it down, and nothing kept between epochs."""

    def __init__(self, architecture: Architecture, X: np.ndarray, groups: np.ndarray, n_clusters: int) -> None:
        self.network = new_network(architecture, 0)
        if not architecture.convolutional:
            self.network.branches = OneByOne(architecture)
        self.X, self.groups, self.n_clusters = torch.from_numpy(X), torch.from_numpy(groups), n_clusters

    def __call__(self, n_epochs: int) -> None:
        network, n_groups = self.network.train(), int(self.groups.max()) + 1
        optimizer = torch.optim.Adam(network.parameters())
        centers = self.centers()
        for _ in range(n_epochs):
            for index in torch.randperm(len(self.X)).split(512):
                codes = network.encode(self.X[index])
                outputs = network.decode(codes, self.groups[index])
                assignment = soft_assignment(codes, centers, 0.1)
                joint = objective.soft_contingency(assignment, self.groups[index], n_groups)
                loss = (
                    objective.reconstruction_loss(self.X[index], outputs)
                    + 0.04 * objective.clustering_loss(assignment, joint)
                    + 0.20 * objective.group_information(joint)
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            centers = self.centers()

    @torch.no_grad()
    def centers(self) -> Tensor:
        codes = torch.cat([self.network.encode(part) for part in self.X.split(512)])
        found = KMeans(self.n_clusters, n_init=10).fit(codes.numpy()).cluster_centers_
        return nn.functional.normalize(torch.from_numpy(found), dim=1)


class OneByOne(nn.Module):
    """One fully connected decoder a group, one after the other."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        first, (second, third) = architecture.stem_widths[-1], architecture.branch_widths
        norm = lambda width: nn.BatchNorm1d(width, track_running_stats=False)
        self.stacks = nn.ModuleList(
            nn.Sequential(
                *(nn.Linear(first, second), norm(second), nn.ReLU()),
                *(nn.Linear(second, third), norm(third), nn.ReLU()),
                nn.Linear(third, architecture.n_features),
            )
            for _ in range(architecture.n_groups)
        )

    def forward(self, stem: Tensor, groups: Tensor) -> Tensor:
        outputs = stem.new_zeros((len(stem), self.stacks[0][-1].out_features))
        for group, stack in enumerate(self.stacks):
            mine = groups == group
            # Batch norm takes no single cell.
            if mine.sum() > 1:
                outputs[mine] = stack(stem[mine])
        return outputs


def rate() -> None:
    """Floating-point operations a second of a training step, beside those of a large matrix product."""
    paper = new_network(Architecture(2000, 2, 10, False, "shared", bounded=False), 0)
    atlas = AtlasNetwork(AtlasArchitecture(50, 50, 2, 2, False))
    X, Z, groups = torch.randn(512, 2000), torch.randn(2, 512, 50), torch.arange(512) % 2
    losses = {
        "paper": (paper, lambda: paper.decode(paper.encode(X), groups) - X),
        "atlas": (atlas, lambda: atlas.decode_views(atlas.encode_views(Z), groups.expand(2, -1)) - Z),
    }
    for precision in (torch.float32, torch.bfloat16):
        square = torch.randn(_SQUARE, _SQUARE, dtype=precision)
        peak = 2 * _SQUARE**3 / fastest(partial(torch.matmul, square, square))
        for name, (network, residual) in losses.items():
            found = shares(network, residual, precision, peak)
            keep("rate", f"{name} mode, {str(precision).removeprefix('torch.')}", found)


def shares(network: nn.Module, residual: Callable[[], Tensor], precision: torch.dtype, peak: float) -> dict[str, float]:
    """Return the rate of the machine, and the share of it that both passes reach, and a whole step."""
    optimizer = torch.optim.Adam(network.parameters(), fused=True)

    def passes() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            loss = residual().square().mean()
        optimizer.zero_grad()
        loss.backward()

    def step() -> None:
        passes()
        optimizer.step()

    # Each weight of a product is used for 512 cells, once forward and twice backward; the first layer only once backward.
    weights = [p.numel() for p in network.parameters() if p.ndim > 1 and p.shape[-2] > 1]
    work, both, whole = 2 * 512 * (3 * sum(weights) - weights[0]), fastest(passes), fastest(step)
    return {"gflops": round(peak / 1e9), "passes": round(work / both / peak, 2), "step": round(work / whole / peak, 2)}


def fastest(call: Callable[[], object], n_runs: int = 30) -> float:
    seconds = []
    for _ in range(n_runs):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def keep(what: str, value: object, found: dict[str, object]) -> None:
    """Print a run and append it to the results."""
    row = {"what": what, "value": value} | found | {"threads": torch.get_num_threads(), "version": version()}
    print(row, flush=True)
    append(RESULTS / "growth.jsonl", row)


def tables(path: Path) -> dict[str, str]:
    """Return the tables of the commands: of runs of the same kind, the last."""
    runs = latest(path, ["what", "value"])
    kinds = {what: runs[runs["what"] == what] for what in ("cells", "batches", "clusters", "textbook", "rate")}
    found = {}
    if len(grown := kinds["cells"]) > 1:
        slope = np.polyfit(np.log(grown["value"].astype(float)), np.log(grown["after"]), 1)[0]
        rows = [[f"{run.value:,}", f"{run.seconds:.1f} s", f"{run.after:.1f} s"] for run in grown.itertuples()]
        found["growth_cells"] = (
            table(["cells", "fit", "after training"], rows)
            + f"\n\nTime after training grows as the number of cells to the power of {slope:.2f}."
        )
    for what, heads in (("batches", ["batches", "fit"]), ("clusters", ["K", "fit", "finding the clusters"])):
        if len(kinds[what]):
            rows = [
                [run.value, f"{run.seconds:.1f} s", *([f"{run.leiden:.1f} s"] if what == "clusters" else [])]
                for run in kinds[what].itertuples()
            ]
            found[f"growth_{what}"] = table(heads, rows)
    if len(kinds["textbook"]):
        rows = [
            [run.value, f"{run.scfcmi:.1f} s", f"{run.textbook:.1f} s", f"{run.ratio:.1f}"]
            for run in kinds["textbook"].itertuples()
        ]
        found["textbook"] = table(["an epoch of", "scfcmi", "textbook form", "ratio"], rows)
    if len(kinds["rate"]):
        rows = [
            [run.value, f"{run.gflops:,.0f}", f"{run.passes:.0%}", f"{run.step:.0%}"]
            for run in kinds["rate"].itertuples()
        ]
        heads = ["network, precision", "matrix product, GFLOP/s", "forward and backward pass", "with Adam"]
        found["rate"] = table(heads, rows)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = {"cells": cells, "batches": batches, "clusters": clusters, "textbook": textbook, "rate": rate}
    parser.add_argument("what", choices=commands)
    commands[parser.parse_args().what]()


if __name__ == "__main__":
    main()
