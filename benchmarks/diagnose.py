"""Is scfcmi.tl.diagnose right? Precision and recall of its verdicts, on real and on simulated cells.

    python benchmarks/diagnose.py --fits fits -o benchmarks/results/diagnose.jsonl

Scenarios (``scenarios.py``) and simulated pairs of batches are clustered at four resolutions, corrected or not. Truth is
"biology" if the majority type's rate in the lacked batches is below a tenth of that in the others, else "batch". The table
has biology, then batch; recall where something is said, and of all. Labels choose thresholds, also leave-one-set-out.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import zlib
from pathlib import Path
from unittest import mock

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
from runs import table
from scenarios import SCENARIOS, kind, load
from sklearn.metrics.cluster import contingency_matrix

from scfcmi import datasets, tl
from scfcmi.graph.communities import leiden, n_parts
from scfcmi.models.atlas import presence

KEYS = ["scenario", "seed", "corrected"]
KINDS = ("full", "types_left_out", "own_type", "no_shared_type", "small_batch")
SIMULATED = tuple(f"simulated_{n_types}_types/full" for n_types in (6, 10, 16))
RESOLUTIONS, MOST_CELLS = (0.1, 0.3, 0.4, 1.0), 3000
TRIED = {"MOST": (0.4, 0.5, 0.6), "FAR": (1.25, 1.3, 1.4), "FAR_AS_SHARED": (1.15, 1.2, 1.25), "ENOUGH": (20, 30, 40)}


def simulated(name: str, seed: int) -> ad.AnnData:
    """A third of the types is in one batch only."""
    n_types, rng = int(name.split("_")[1]), np.random.default_rng([seed, zlib.crc32(name.encode())])
    weights = np.tile(rng.uniform(1, 10, (n_types, 1)), (1, 2))
    weights[rng.permutation(n_types)[: n_types // 3], rng.integers(2, size=n_types // 3)] = 0
    adata = datasets.simulate_atlas(1500, n_types, 2, composition=weights, random_state=seed, progress=False)
    adata.obs = adata.obs.rename(columns={"group": "batch"})
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    return adata


def fitted(scenario: str, seed: int, corrected: bool, folder: Path) -> ad.AnnData:
    """Return cells with the embedding and the graph of a fit, without expression."""
    path = folder / f"{scenario.replace('/', '-')}{'' if corrected else ' uncorrected'}-{seed}.h5ad"
    if not path.exists():
        adata = simulated(scenario, seed) if scenario in SIMULATED else load(scenario)
        adata = sc.pp.sample(adata, n=min(MOST_CELLS, adata.n_obs), rng=0, copy=True)
        # Without counterparts to agree with, codes are the components.
        uncorrected = {} if corrected else {"agreement": 0.0}
        tl.fair_cluster(adata, "batch", random_state=seed, progress=False, **uncorrected)
        folder.mkdir(parents=True, exist_ok=True)
        ad.AnnData(obs=adata.obs[["batch", "label"]], obsm=adata.obsm, obsp=adata.obsp).write_h5ad(path)
    return ad.read_h5ad(path)


def clusters_of(adata: ad.AnnData, seed: int) -> list[dict]:
    """Return what is found and what is true of each cluster at each resolution."""
    graph, rows = adata.obsp["fcmi_connectivities"].tocsr(), []
    labels, batches = (adata.obs[name].astype("category").cat.codes.to_numpy(int) for name in ("label", "batch"))
    for resolution in RESOLUTIONS:
        clusters, rng = leiden(graph, resolution, seed), np.random.default_rng(seed)
        lacked = presence.lacked_batches(contingency_matrix(clusters, batches))
        found = presence.presence_elsewhere(adata.obsm["X_fcmi"], clusters, batches, lacked, rng)
        parts = n_parts(graph, clusters, seed)
        for cluster, types in enumerate(contingency_matrix(clusters, labels)):
            absent, is_type = lacked[cluster][batches], labels == types.argmax()
            row = {"resolution": resolution, "cluster": cluster, "n_cells": types.sum(), "n_parts": parts[cluster]}
            row |= {"splits": bool(np.sort(types)[-2] >= max(20, types.sum() / 10)), "truth": "shared"}
            if cluster in found:
                there = is_type[absent].mean() >= 0.1 * is_type[~absent].mean()
                row |= {"truth": "batch" if there else "biology"} | dataclasses.asdict(found[cluster])
            rows.append(row)
    return rows


def causes(runs: pd.DataFrame, **thresholds: float) -> np.ndarray:
    fields = [field.name for field in dataclasses.fields(presence.Presence)]
    with mock.patch.dict(vars(presence), thresholds):
        return np.array([presence.Presence(**row).cause for row in runs[fields].to_dict("records")])


def scores(truth: np.ndarray, said: np.ndarray) -> list[float]:
    """Return precision, recall where something is said, and recall of all, for biology and batch; the share told."""
    told, out = said != "unknown", []
    for cause in ("biology", "batch"):
        right = ((truth == cause) & (said == cause)).sum()
        totals = ((said == cause).sum(), (told & (truth == cause)).sum(), (truth == cause).sum())
        out += [100 * right / max(total, 1) for total in totals]
    return [*out, 100 * told.mean()]


def lacking_of(runs: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, dict[str, np.ndarray]]:
    """Return the clusters that lack batches, the truth about each, and groups of them by name."""
    lacking = runs[runs["truth"] != "shared"].reset_index(drop=True)
    truth, made = lacking["truth"].to_numpy(), lacking["scenario"].str.startswith("simulated").to_numpy()
    corrected = lacking["corrected"].to_numpy(bool) & ~made
    groups = {"all": truth != "", "corrected": corrected, "not corrected": ~corrected & ~made, "simulated": made}
    return lacking, truth, groups


def tables(path: Path) -> dict[str, str]:
    """Return how often verdicts are right, in markdown: of the runs of a file."""
    runs = pd.read_json(path, lines=True).drop_duplicates([*KEYS, "resolution", "cluster"], keep="last")
    lacking, truth, groups = lacking_of(runs)
    said, rows = causes(lacking), []
    for group, members in groups.items():
        found = scores(truth[members], said[members])
        sizes = [(truth[members] == cause).sum() for cause in ("biology", "batch")]
        right = [
            f"{share:.0f} % of {number}" if (number := (said[members] == cause).sum()) else "never said"
            for cause, share in (("biology", found[0]), ("batch", found[3]))
        ]
        rows.append([group, *sizes, *right, f"{found[6]:.0f} %"])
    heads = [
        "clusters",
        "cause is biology",
        "cause is the batch",
        '"likely biology" is right',
        '"likely the batch" is right',
        "a cause is named",
    ]
    return {"verdicts": table(heads, rows)}


def report(runs: pd.DataFrame) -> None:
    lacking, truth, groups = lacking_of(runs)
    sets = lacking["scenario"].str.split("/").str[0].replace({"pbmc_2laboratories": "pbmc_3tech"}).to_numpy()
    tried = [dict(zip(TRIED, values, strict=True)) for values in itertools.product(*TRIED.values())]
    decided, apart, chosen = [causes(lacking, **thresholds) for thresholds in tried], truth.copy(), {}
    for name in np.unique(sets):
        found = np.array([scores(truth[sets != name], verdicts[sets != name]) for verdicts in decided])
        best = int((found[:, [0, 1, 3, 4]].min(axis=1) + 0.3 * found[:, -1]).argmax())
        apart[sets == name], chosen[name] = decided[best][sets == name], [*tried[best].values()]
    print("| clusters | biology + batch | precision | recall | of all | precision | recall | of all | told |")
    print("| --- |" + " --- |" * 8)
    said = {"": causes(lacking), ", thresholds of the other sets": apart}
    for (words, verdicts), (group, rows) in itertools.product(said.items(), groups.items()):
        sizes = f"{(truth[rows] == 'biology').sum()} + {(truth[rows] == 'batch').sum()}"
        print("|", " | ".join([group + words, sizes, *(f"{x:.0f}" for x in scores(truth[rows], verdicts[rows]))]), "|")
    print("\nChosen by the other sets:", ", ".join(TRIED), chosen)
    split, parted = runs["splits"].to_numpy(bool), runs["n_parts"].to_numpy() > 1
    print(f"Could be split: precision {100 * split[parted].mean():.0f}, recall {100 * parted[split].mean():.0f}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*(name for name in SCENARIOS if kind(name) in KINDS), *SIMULATED]
    parser.add_argument("--scenarios", nargs="+", choices=names, default=names)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--fits", type=Path, default=Path("fits"))
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results/diagnose.jsonl"))
    options = parser.parse_args()
    if options.output.exists():
        # Clusters of an earlier version would stay among those of this one: there may have been more of them.
        runs = pd.read_json(options.output, lines=True)
        again = runs["scenario"].isin(options.scenarios) & (runs["seed"] < options.seeds)
        runs[~again].to_json(options.output, orient="records", lines=True)
    for about in itertools.product(options.scenarios, range(options.seeds), (True, False)):
        found = clusters_of(fitted(*about, options.fits), about[1])
        key = dict(zip(KEYS, about, strict=True))
        with options.output.open("a") as file:
            file.writelines(json.dumps(key | row, default=float) + "\n" for row in found)
    report(pd.read_json(options.output, lines=True))


if __name__ == "__main__":
    main()
