"""Labels and probabilities of new cells: are they right, and are they as sure as they are right?

    python benchmarks/reliability.py --seeds 3
    python benchmarks/reliability.py --report

A random fifth of the cells takes no part in ``fit``. ``predict_proba`` labels it. What it is compared with, two ways, both
from the graph of the codes of all cells, the new ones among them:

* links: the community of the fit to which a new cell has most link weight;
* anew: Leiden on the whole graph, each community named by the cluster of ``fit`` with which it shares most cells. It also
  counts against the classifier where Leiden cuts otherwise with the new cells than without.

The expected calibration error is the mean over cells of the distance between the probability of the cluster and the share
that is right, in ten bins of equal width. No label of the data takes part.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from codes import views_of
from runs import RESULTS, append, keep_latest, latest, table, version
from scipy.sparse import csr_matrix
from sets import SETS, load

from scfcmi import AtlasFCMI
from scfcmi.graph.communities import RESOLUTION, leiden
from scfcmi.graph.neighbors import joint_graph
from scfcmi.models.atlas.cell_graph import with_whitened_graph

KEYS = ["dataset", "seed"]
# What labels are compared with, and how tables call it.
TRUTHS = {"links": "neighbors", "anew": "new clustering"}
BINS = 10


def measured(name: str, seed: int) -> dict:
    adata = load(name)
    new = np.random.default_rng(seed).permutation(adata.n_obs) < adata.n_obs // 5
    model = AtlasFCMI(max_epochs=None, random_state=seed, progress=False)
    model.fit(adata.X[~new], groups=adata.obs["batch"][~new])
    views = views_of(model.transform(adata.X))
    graph = with_whitened_graph(joint_graph(views), views, 100 * seed)
    clusters = csr_matrix((np.ones((~new).sum()), (np.flatnonzero(~new), model.labels_)), (len(new), model.n_clusters_))
    found = leiden(graph, RESOLUTION, 100 * seed)
    shared = pd.crosstab(found[~new], model.labels_).reindex(range(found.max() + 1), fill_value=0)
    truths = {
        "links": np.asarray((graph[new] @ clusters).argmax(axis=1)).ravel(),
        "anew": shared.idxmax(axis=1).to_numpy()[found[new]],
    }
    probabilities = model.predict_proba(adata.X[new])
    sure, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    count = lambda weights=None: np.bincount(bins, weights, BINS).round(4).tolist()
    own = float((model.predict(adata.X[~new]) == model.labels_).mean())
    return {
        "agreement": round(own, 5),
        "n_clusters": model.n_clusters_,
        "cells": count(),
        "sure": count(sure),
        **{f"right, {truth}": count(predicted == labels) for truth, labels in truths.items()},
    }


def tables(path: Path) -> dict[str, str]:
    """Return the tables of a file by name, in markdown."""
    runs = latest(path, KEYS)
    bins = {column: np.stack(runs[column]) for column in ("cells", "sure", *(f"right, {truth}" for truth in TRUTHS))}
    n_cells = bins["cells"].sum(axis=1)
    for truth in TRUTHS:
        right = bins[f"right, {truth}"]
        runs[f"accuracy, {truth}"] = right.sum(axis=1) / n_cells
        runs[f"error, {truth}"] = np.abs(bins["sure"] - right).sum(axis=1) / n_cells
    columns = ["agreement", *(f"{what}, {truth}" for truth in TRUTHS for what in ("accuracy", "error"))]
    means = runs.groupby("dataset", sort=False)[columns].mean()
    means.loc["mean"] = means.mean()
    heads = [
        "set",
        "fitted cells: same label",
        *(f"{what}, {t}" for t in TRUTHS.values() for what in ("new cells agree", "error")),
    ]
    reliability = table(heads, [[name, *(f"{100 * value:.1f}" for value in row)] for name, row in means.iterrows()])
    # Every set counts alike.
    shares = {column: (values / n_cells[:, None]).sum(axis=0) for column, values in bins.items()}
    rows = [
        [
            f"{number / BINS:.1f} to {(number + 1) / BINS:.1f}",
            f"{100 * shares['cells'][number] / len(runs):.1f}",
            *(
                f"{100 * shares[column][number] / shares['cells'][number]:.1f}"
                for column in ("sure", *(f"right, {truth}" for truth in TRUTHS))
            ),
        ]
        for number in range(BINS)
        if shares["cells"][number] > 0
    ]
    heads = ["probability", "% of new cells", "mean probability", *(f"agree, {truth}" for truth in TRUTHS.values())]
    return {"reliability": reliability, "bins": table(heads, rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--datasets", nargs="+", choices=SETS, default=list(SETS), metavar="NAME")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "reliability.jsonl")
    parser.add_argument("--report", action="store_true", help="print the tables of the output file instead")
    options = parser.parse_args()
    if options.report:
        print("\n\n".join(tables(options.output).values()))
        return
    warnings.simplefilter("ignore")
    now, runs = version(), latest(options.output, KEYS)
    done = set(runs.loc[runs["version"] == now, KEYS].itertuples(index=False, name=None))
    for name in options.datasets:
        for seed in range(options.seeds):
            if (name, seed) not in done:
                record = {"dataset": name, "seed": seed} | measured(name, seed)
                append(options.output, record | {"version": now})
                print(*record.values(), flush=True)
    keep_latest(options.output, KEYS)


if __name__ == "__main__":
    main()
