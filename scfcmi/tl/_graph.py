"""The neighbor graph of a result: the stored one, or that of a sample of more cells than a stored graph holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

from scfcmi._adata import in_memory, own
from scfcmi._random import Stream, stream
from scfcmi.models.atlas.cell_graph import cell_graph

if TYPE_CHECKING:
    from anndata import AnnData


def graph_of(adata: AnnData, key: str, *, for_resolution: bool = False) -> tuple[csr_matrix, np.ndarray] | None:
    """Return a neighbor graph, and the index of the cells in it, rising.

    ``fair_cluster`` stores the graph of up to 50,000 cells. With more cells, Leiden clusters a sample. The graph of the
    sample is computed again here, from the stored embedding.

    Parameters
    ----------
    adata, key
        What ``fair_cluster`` wrote, and its ``key_added``.
    for_resolution
        Whether to return the graph that a resolution cuts, also after ``n_clusters``, whose stored graph lacks a part.

    Returns
    -------
    ``None`` if there is neither a graph nor an embedding of atlas mode under ``key``.
    """
    stored = own(adata, key)
    name = stored.get("connectivities_key", f"{key}_connectivities")
    params = stored.get("params", {})
    is_other = for_resolution and "views" in params and "resolution" not in params
    if name in adata.obsp and not is_other:
        return stored_graph(adata, name), np.arange(adata.n_obs)
    # A fit of atlas mode says which views it had. So do assigned cells, which are not those of the fit.
    if "views" not in params or "assigned" in params or f"X_{key}" not in adata.obsm:
        return None
    seed = int(params["random_state"])
    graph = cell_graph(
        np.asarray(in_memory(adata.obsm[f"X_{key}"])),
        len(params["views"].split(", ")),
        stream(seed, Stream.SAMPLE),
        seed,
        whiten=for_resolution or "resolution" in params,
    )
    return graph.of_cells(), graph.cells


def stored_graph(adata: AnnData, name: str) -> csr_matrix:
    """Return a copy of an entry of ``obsp``. anndata may store small unsigned indices, which scipy does not take."""
    graph = in_memory(adata.obsp[name])
    if getattr(graph, "format", None) != "csr":
        return csr_matrix(graph, copy=True)
    indices, starts = graph.indices.astype(np.int32), graph.indptr.astype(np.int32)
    return csr_matrix((graph.data.copy(), indices, starts), shape=graph.shape)
