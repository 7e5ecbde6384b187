"""What scfcmi is compared with: principal components, with Harmony or as they are, then Leiden."""

from __future__ import annotations

import anndata as ad
import harmonypy
import numpy as np
import scanpy as sc
import scipy.sparse as sp

from scfcmi import baselines

# Best fixed resolution for Harmony on the eight sets. At scanpy's default of 1 it is worse.
RESOLUTION = 0.3


def leiden(adata: ad.AnnData, n_clusters: int | None, seed: int, *, scaled: bool, corrected: bool = True) -> np.ndarray:
    """Return Leiden's communities, so many of them, or those at resolution 0.3."""
    if n_clusters is not None:
        groups = adata.obs["batch"] if corrected else np.zeros(adata.n_obs, int)
        return baselines.harmony_leiden(components(adata) if scaled else adata.X, groups, n_clusters, seed)
    cells = ad.AnnData(obs=adata.obs[["batch"]])
    cells.obsm["codes"] = components(adata) if scaled else sc.pp.pca(adata.X, n_comps=50, random_state=seed)
    if corrected:
        found = harmonypy.run_harmony(cells.obsm["codes"], cells.obs, "batch", random_state=seed, verbose=False).Z_corr
        cells.obsm["codes"] = found if len(found) == adata.n_obs else found.T
    return leiden_of(cells.obsm["codes"], None, seed)


def leiden_of(codes: np.ndarray, n_clusters: int | None, seed: int) -> np.ndarray:
    """Return Leiden's communities of any embedding, so many of them, or those at resolution 0.3."""
    if n_clusters is not None:
        # Of one group, Harmony leaves all as it is.
        return baselines.harmony_leiden(codes, np.zeros(len(codes), int), n_clusters, seed)
    cells = ad.AnnData(obsm={"codes": codes})
    sc.pp.neighbors(cells, use_rep="codes", random_state=seed)
    sc.tl.leiden(cells, RESOLUTION, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
    return cells.obs["leiden"].cat.codes.to_numpy()


def components(adata: ad.AnnData) -> np.ndarray:
    """Return 50 principal components of genes scaled and clipped at 10."""
    scaled = ad.AnnData(adata.X.toarray() if sp.issparse(adata.X) else adata.X.copy())
    sc.pp.scale(scaled, max_value=10)
    sc.pp.pca(scaled, n_comps=50, random_state=0)
    return scaled.obsm["X_pca"]


def warm_up() -> None:
    """Run once on noise: the first call of a process compiles for half a minute, which belongs to no method."""
    cells = ad.AnnData(np.random.default_rng(0).normal(size=(200, 60)).astype(np.float32))
    cells.obs["batch"] = np.arange(200) % 2
    cells.obs["batch"] = cells.obs["batch"].astype(str).astype("category")
    for n_clusters in (3, None):
        leiden(cells, n_clusters, 0, scaled=False)
