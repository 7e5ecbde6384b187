"""The real sets of the benchmarks, prepared. All are read from ``$SCFCMI_DATA_DIR/singlecell``."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import anndata as ad
import scanpy as sc

# Fast ones first.
SETS = (
    "human_dc",
    "pbmc_3tech",
    "rnamix_2protocol",
    "pancreas_wang_xin",
    "worm_l2_neurons",
    "mca_gut",
    "kang_ctrl_8donors",
    "merfish_hypothalamus",
)
# The other four are stored log-normalized.
COUNTS = {"kang_ctrl_8donors", "rnamix_2protocol", "mca_gut", "worm_l2_neurons"}
# pbmc_3tech and 3,000 cells of kang_ctrl_8donors together: each laboratory one batch, or each of eleven samples.
JOINED = ("pbmc_2laboratories", "pbmc_11samples")
KANG_NAMES = {
    "CD4 T cells": "T_CD4",
    "CD8 T cells": "T_CD8",
    "CD14+ Monocytes": "Mono_CD14",
    "FCGR3A+ Monocytes": "Mono_CD16",
    "B cells": "B",
    "NK cells": "NK",
    "Dendritic cells": "DC",
    "Megakaryocytes": "MK",
}


def load(name: str) -> ad.AnnData:
    """Read a set: log-normalized ``X``, ``obs`` of batch and label, ``layers["counts"]`` where there are counts."""
    return prepared(stored(name).copy())


@functools.cache
def stored(name: str) -> ad.AnnData:
    """Read a set as it is stored."""
    if name in JOINED:
        return joined(name)
    adata = ad.read_h5ad(Path(os.environ["SCFCMI_DATA_DIR"]) / "singlecell" / f"{name}.h5ad")
    adata.uns["counts"] = name in COUNTS
    return adata


def prepared(adata: ad.AnnData) -> ad.AnnData:
    """Log-normalize counts, and keep 2,000 genes of more than 3,000. Prepared data stay as they are."""
    if adata.uns.pop("counts", False):
        adata.layers["counts"] = adata.X.copy()
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
    if adata.n_vars > 3000:
        sc.pp.highly_variable_genes(adata, n_top_genes=2000, batch_key="batch")
        adata = adata[:, adata.var["highly_variable"]].copy()
    return adata


def joined(name: str) -> ad.AnnData:
    parts = {part: load(part) for part in ("pbmc_3tech", "kang_ctrl_8donors")}
    parts["kang_ctrl_8donors"] = sc.pp.sample(parts["kang_ctrl_8donors"], n=3000, rng=0, copy=True)
    for part, adata in parts.items():
        adata.obs["label"] = adata.obs["label"].astype(str).replace(KANG_NAMES)
        adata.obs["batch"] = part if name == "pbmc_2laboratories" else part + " " + adata.obs["batch"].astype(str)
    adata = ad.concat(parts.values(), join="inner")
    # Kang et al. name no stem cells.
    adata = adata[adata.obs["label"] != "HSC"].copy()
    adata.obs = adata.obs[["batch", "label"]].astype("category")
    return adata
