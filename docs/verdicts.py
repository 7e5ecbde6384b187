"""Cells whose clusters get each verdict of ``scfcmi.tl.diagnose``, and pictures of them: for docs/diagnose.md.

All are the 700 blood cells that come with scanpy, split at random into two batches, A and B.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import scanpy as sc

import scfcmi

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def cells(left_out: tuple[str, ...] = (), effect: float = 0.0, seed: int = 0) -> AnnData:
    """Return cells in two batches; types left out of B; genes of B changed by an effect."""
    adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    adata.obs["batch"] = np.where(np.random.default_rng(0).random(adata.n_obs) < 0.5, "A", "B")
    adata = adata[~((adata.obs["batch"] == "B") & adata.obs["bulk_labels"].isin(left_out))].copy()
    X = adata.X.toarray()
    X[adata.obs["batch"] == "B"] *= np.exp(np.random.default_rng(seed).normal(0, effect, adata.n_vars))
    adata.X = X
    return adata


def clustered(adata: AnnData, resolution: float) -> tuple[AnnData, pd.DataFrame]:
    """Cluster with scfcmi; return cells and diagnosis."""
    scfcmi.tl.fair_cluster(adata, "batch", resolution=resolution, progress=False)
    adata.obs["clusters"] = adata.obs["fcmi"]
    return adata, scfcmi.tl.diagnose(adata)


def uncorrected(adata: AnnData, resolution: float) -> tuple[AnnData, pd.DataFrame]:
    """Cluster without any correction; return cells and diagnosis."""
    sc.pp.pca(adata)
    sc.pp.neighbors(adata)
    sc.tl.leiden(adata, resolution, flavor="igraph", n_iterations=2, directed=False, key_added="leiden")
    adata.obs["clusters"] = adata.obs["leiden"]
    return adata, scfcmi.tl.diagnose(adata, "clusters", batch_key="batch", use_rep="X_pca")


def show(found: tuple[AnnData, pd.DataFrame], words: str, n_clusters: int = 1) -> None:
    """Draw the first clusters whose verdict holds these words, a panel a batch, below their verdicts."""
    adata, table = found
    named = table.index[table["verdict"].str.contains(words, regex=False)][:n_clusters]
    for name in named:
        print(textwrap.fill(f"cluster {name}: {table.verdict[name]}", 78, subsequent_indent="  "))
    place, batches = adata.obsm["X_umap"], adata.obs["batch"].astype("category")
    _, panels = plt.subplots(1, 2, figsize=(6, 2.9), layout="constrained")
    for panel, batch in zip(panels, batches.cat.categories, strict=True):
        here = (batches == batch).to_numpy()
        panel.scatter(*place.T, s=4, c="#e4e4e4")
        panel.scatter(*place[here].T, s=4, c="#a0a0a0")
        for color, name in zip(("#d55e00", "#0072b2"), named, strict=False):
            mine = here & (adata.obs["clusters"] == name).to_numpy()
            panel.scatter(*place[mine].T, s=9, c=color, label=f"cluster {name}: {mine.sum()} cells")
        panel.set(xticks=[], yticks=[], title=f"batch {batch}")
        panel.legend(
            frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, handletextpad=0
        )
    plt.show()
