"""What colors cells: columns of ``obs`` and the expression of genes, in memory or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from scfcmi import _adata, _validate

if TYPE_CHECKING:
    from anndata import AnnData


def values_of(
    adata: AnnData,
    columns: list[str],
    *,
    layer: str | None = None,
    use_raw: bool | None = None,
    gene_symbols: str | None = None,
) -> dict[str, pd.Series]:
    """Return columns of ``obs``, and the expression of genes from where scanpy takes it, by name.

    Raises
    ------
    KeyError
        If a name is neither a column of ``obs`` nor a gene.
    ValueError
        If a gene is named and there is no expression.
    """
    use_raw = layer is None and adata.raw is not None if use_raw is None else use_raw
    var = adata.raw.var if use_raw and adata.raw is not None else adata.var
    if gene_symbols is not None:
        _validate.key_in(var.columns, gene_symbols, "adata.var")
    known = pd.Index(var.index if gene_symbols is None else _adata.column(var, gene_symbols))
    genes = [column for column in columns if column not in adata.obs]
    for gene in genes:
        _validate.key_in([*adata.obs.columns, *known], gene, "adata.obs or adata.var_names")
        if layer is None and not use_raw and _adata.expression_of(adata) is None:
            msg = f"color={gene!r} is a gene, but adata.X is None. Set adata.X, or name a column of adata.obs."
            raise ValueError(msg)
    # All genes in one pass.
    expression = (
        {} if not genes else _expression(adata, genes, known, layer=layer, use_raw=use_raw, gene_symbols=gene_symbols)
    )
    return {name: expression[name] if name in expression else _adata.column(adata.obs, name) for name in columns}


def _expression(
    adata: AnnData, genes: list[str], known: pd.Index, *, layer: str | None, use_raw: bool, gene_symbols: str | None
) -> pd.DataFrame:
    import scanpy as sc

    X = adata.raw.X if use_raw else adata.X if layer is None else adata.layers[layer]
    if not hasattr(X, "__dask_graph__"):
        return sc.get.obs_df(adata, list(dict.fromkeys(genes)), layer=layer, use_raw=use_raw, gene_symbols=gene_symbols)
    # scanpy does not take columns of sparse Dask arrays.
    places = np.flatnonzero(known.isin(genes))
    repeated = known[places][known[places].duplicated()]
    if len(repeated):
        msg = f"{repeated[0]!r} names several genes. Make names unique: adata.var_names_make_unique()."
        raise KeyError(msg)
    held = _adata.in_memory(X[:, places])
    return pd.DataFrame(held.toarray() if issparse(held) else held, index=adata.obs_names, columns=known[places])
