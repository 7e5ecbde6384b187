"""Twenty wrong calls, made to scfcmi, to scanpy's Harmony and Leiden, and to scVI: who says what is wrong, and when.

python benchmarks/peers.py writes benchmarks/results/peers.md, which ends docs/reliability.md. It takes three minutes. scVI
takes part where it is installed: pip install scvi-tools.
"""

from __future__ import annotations

import logging
import warnings
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import anndata as ad
import harmonypy
import numpy as np
import pandas as pd
import scanpy as sc

from scfcmi import tl

OUTPUT = Path(__file__).parent / "results" / "peers.md"


def cells(n: int = 240, X: object = None) -> ad.AnnData:
    rng = np.random.default_rng(0)
    types, batches = np.arange(n) % 3, np.arange(n) // 3 % 2
    if X is None:
        X = np.maximum(rng.normal(size=(n, 30)) + 4 * np.eye(3, 30)[types] + 0.5 * batches[:, None], 0)
    obs = pd.DataFrame({"batch": np.array(["a", "b"])[batches]}, index=[f"cell{i}" for i in range(n)])
    return ad.AnnData(np.asarray(X, np.float32) if isinstance(X, np.ndarray) else X, obs=obs)


def changed(change) -> ad.AnnData:
    adata = cells()
    change(adata)
    return adata


def with_obs(values) -> ad.AnnData:
    return changed(lambda adata: adata.obs.__setitem__("batch", values))


def with_value(value: float) -> ad.AnnData:
    return changed(lambda adata: adata.X.__setitem__((3, 4), value))


HALF = np.where(np.arange(240) % 2, "a", None)
# What is wrong; the cells; the batch key; the resolution; a word that a clear error has.
CALLS = [
    ("nothing", cells, "batch", 1.0, ""),
    ("a key that is not there", cells, "tech", 1.0, "tech"),
    ("a key that is no text", cells, 3, 1.0, "string"),
    ("a key that is a list", cells, ["batch"], 1.0, "string"),
    ("a batch missing for half of the cells", lambda: with_obs(pd.Categorical(HALF)), "batch", 1.0, "missing"),
    (
        "batches that are real numbers, each once",
        lambda: with_obs(np.random.default_rng(0).random(240)),
        "batch",
        1.0,
        "batch",
    ),
    ("one batch only", lambda: with_obs("a"), "batch", 1.0, "batch"),
    ("batches of one cell each", lambda: with_obs(np.arange(240).astype(str)), "batch", 1.0, "batch"),
    ("a NaN in X", lambda: with_value(np.nan), "batch", 1.0, "NaN"),
    ("an infinite value in X", lambda: with_value(np.inf), "batch", 1.0, "infinite"),
    ("a value of 1e30 in X", lambda: with_value(1e30), "batch", 1.0, "1e+30"),
    ("all genes constant", lambda: cells(X=np.ones((240, 30))), "batch", 1.0, "same value"),
    (
        "counts in place of logarithms",
        lambda: cells(X=np.random.default_rng(0).poisson(30, (240, 30)) * 1.0),
        "batch",
        1.0,
        "counts",
    ),
    ("one cell", lambda: cells()[:1].copy(), "batch", 1.0, "batch"),
    ("no cells", lambda: cells()[:0].copy(), "batch", 1.0, "cells"),
    ("no genes", lambda: cells()[:, :0].copy(), "batch", 1.0, "features"),
    ("X is None", lambda: ad.AnnData(obs=cells().obs), "batch", 1.0, "X"),
    ("X of Python objects", lambda: changed(lambda a: setattr(a, "X", a.X.astype(object))), "batch", 1.0, "object"),
    ("a resolution below zero", cells, "batch", -1.0, "resolution"),
    ("a resolution that is NaN", cells, "batch", float("nan"), "resolution"),
    ("a resolution that is text", cells, "batch", "1", "resolution"),
]


def scanpy_way(adata: ad.AnnData, key: object, resolution: object) -> None:
    sc.pp.pca(adata, n_comps=10)
    # What scanpy's harmony_integrate does. It fails itself with harmonypy 2, which returns cells in rows.
    corrected = harmonypy.run_harmony(adata.obsm["X_pca"], adata.obs, key, verbose=False).Z_corr
    adata.obsm["X_pca_harmony"] = corrected if len(corrected) == adata.n_obs else corrected.T
    sc.pp.neighbors(adata, use_rep="X_pca_harmony")
    sc.tl.leiden(adata, resolution=resolution, flavor="igraph", n_iterations=2, directed=False)


def our_way(adata: ad.AnnData, key: object, resolution: object) -> None:
    tl.fair_cluster(adata, key, resolution=resolution, max_epochs=3, progress=False)


def scvi_way(adata: ad.AnnData, key: object, resolution: object) -> None:
    import scvi

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    scvi.model.SCVI.setup_anndata(adata, batch_key=key)
    model = scvi.model.SCVI(adata)
    model.train(max_epochs=2, accelerator="cpu", enable_progress_bar=False, logger=False)
    adata.obsm["X_scVI"] = model.get_latent_representation()
    sc.pp.neighbors(adata, use_rep="X_scVI")
    sc.tl.leiden(adata, resolution=resolution, flavor="igraph", n_iterations=2, directed=False)


def verdict(cluster, make, key: object, resolution: object, word: str) -> str:
    adata = make()
    before = results(adata)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            cluster(adata, key, resolution)
        except Exception as error:  # noqa: BLE001  # whatever is raised is what is compared
            after = results(adata)
            early = "before any work" if after == before else f"after work, {len(after - before)} results left"
            return f"{'named' if word in str(error) else 'unclear'}, {early} ({type(error).__name__})"
    if word and any(word in str(warning.message) for warning in warned):
        return "result, with a warning that names it"
    return "result, no word"


def results(adata: ad.AnnData) -> set[str]:
    """Return the names of all parts, without what scVI notes of its own set-up."""
    parts = (adata.obs, adata.obsm, adata.obsp, adata.uns, adata.varm, adata.layers)
    return {name for part in parts for name in part if not str(name).startswith("_scvi")}


def main() -> None:
    ways = {"scfcmi": our_way, "scanpy and harmonypy: PCA, Harmony, neighbors, Leiden": scanpy_way}
    others = f"scanpy {version('scanpy')} and harmonypy {version('harmonypy')}"
    if find_spec("scvi"):
        ways["scVI, neighbors, Leiden"] = scvi_way
        others = f"scanpy {version('scanpy')}, harmonypy {version('harmonypy')} and scvi-tools {version('scvi-tools')}"
    lines = [
        "## The same mistakes in other tools",
        "",
        f'Made by `benchmarks/peers.py` with {others}. "Named" means',
        'that the message says what is wrong. "Result, no word" means a result without a warning. That is not always a fault:',
        "counts are wrong for scanpy and scfcmi, but right for scVI.",
        "",
        f"| mistake | {' | '.join(ways)} |",
        f"|{' --- |' * (len(ways) + 1)}",
    ]
    for what, *call in CALLS:
        lines.append(f"| {what} | {' | '.join(verdict(way, *call) for way in ways.values())} |")
        print(lines[-1], flush=True)
    OUTPUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
