"""Genes that tell a cluster from the others."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, issparse

from scfcmi._adata import expression_of, in_memory

if TYPE_CHECKING:
    from anndata import AnnData

# Cells of a cluster that are compared: enough for the first few genes, and a million cells stay on disk.
_MOST_CELLS, _FEWEST_CELLS = 500, 3


def markers(
    adata: AnnData, clusters: pd.Categorical, n_markers: int, layer: str | None = None
) -> tuple[dict[str, list[str]], str]:
    """Return the first marker genes of each cluster, and in words why there are none.

    Genes are higher in the cluster than in all other cells (t-test of ``sc.tl.rank_genes_groups``, adjusted p below 0.05).
    Expression is that of the layer that was clustered, or of ``adata.raw`` if there is one. Counts are normalized and
    logarithms taken first, on a copy.
    """
    if n_markers == 0:
        return {}, ""
    # As scanpy does: what was scaled has its expression in raw.
    # anndata 0.13 counts X among the layers, as None.
    is_layer = layer is not None and layer in adata.layers
    held = adata if adata.raw is None or is_layer else adata.raw
    expression = adata.layers[layer] if is_layer else expression_of(held)
    if held.n_vars == 0 or expression is None:
        return {}, "There is no expression in adata.X, so that no marker genes are shown."
    rows = _sampled(np.asarray(clusters.codes))
    names = clusters[rows].remove_unused_categories()
    if len(names.categories) < 2:
        return {}, f"Marker genes need two clusters of at least {_FEWEST_CELLS} cells."
    # In the order of the file, which may be on disk.
    X = in_memory(expression[rows])
    X = csr_matrix(X, dtype=np.float32) if issparse(X) else np.array(X, np.float32)
    numbers = X.data if issparse(X) else X.ravel()
    if not np.isfinite(numbers).all():
        return {}, "Expression holds NaN or infinite numbers, so that no marker genes are shown."
    if (numbers < 0).any():
        return {}, "Expression holds negative numbers, as if it was scaled, so that no marker genes are shown."
    return _ranked(X, names, held.var_names, n_markers, counts=bool((numbers == np.rint(numbers)).all())), ""


def _sampled(codes: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = []
    for code in range(int(codes.max(initial=-1)) + 1):
        own = np.flatnonzero(codes == code)
        if len(own) >= _FEWEST_CELLS:
            rows.append(rng.choice(own, min(len(own), _MOST_CELLS), replace=False))
    return np.sort(np.concatenate(rows)) if rows else np.zeros(0, np.int64)


def _ranked(
    X: np.ndarray | csr_matrix, names: pd.Categorical, genes: pd.Index, n_markers: int, *, counts: bool
) -> dict[str, list[str]]:
    import anndata as ad
    import scanpy as sc

    # Genes of one name are told apart by their place.
    var = pd.DataFrame(index=pd.RangeIndex(len(genes)).astype(str))
    obs = pd.DataFrame({"cluster": names.rename_categories(range(len(names.categories))).rename_categories(str)})
    light = ad.AnnData(X, obs=obs.set_axis(obs.index.astype(str)), var=var)
    with warnings.catch_warnings():
        # Of genes without any counts, and of scanpy's own tables.
        warnings.simplefilter("ignore")
        if counts:
            sc.pp.normalize_total(light, target_sum=1e4)
            sc.pp.log1p(light)
        sc.tl.rank_genes_groups(light, "cluster", method="t-test", n_genes=min(n_markers, len(genes)))
    ranked = light.uns["rank_genes_groups"]
    found = {}
    for number, name in enumerate(names.categories):
        of = str(number)
        good = (ranked["scores"][of] > 0) & (ranked["pvals_adj"][of] < 0.05)
        found[str(name)] = [str(genes[int(gene)]) for gene in np.asarray(ranked["names"][of])[good]]
    return found
