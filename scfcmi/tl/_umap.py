from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfcmi import _validate
from scfcmi._adata import check_adata, in_memory, own
from scfcmi._random import RandomState, seed_from
from scfcmi.tl._graph import stored_graph
from scfcmi.tl._results import actual

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

# Three times as much room for a cell as scanpy gives: links within clusters are strong here, and the map of a few thousand
# cells would be small islands in white.
_LOOK = {"min_dist": 1.5, "spread": 1.5}
_N_NEIGHBORS = 15
# UMAP starts from three eigenvectors of the graph, which fewer cells do not have.
_MIN_CELLS = 4


def umap(
    adata: AnnData, key: str = "fcmi", *, random_state: RandomState = 0, rng: RandomState = None, copy: bool = False
) -> AnnData | None:
    """Compute a map (UMAP) of clustered cells.

    It lays out the neighbor graph that :func:`scfcmi.tl.fair_cluster` stored, as ``sc.tl.umap`` does with
    ``neighbors_key=key``, but gives each cell more room, so that clusters fill the map. Clusters come from communities of this
    graph, so the map fits the clusters. Results of paper mode, of assigned cells and of more than 50,000 cells have no graph:
    their map is made from the embedding.
    :func:`scfcmi.pl.umap` draws the map. A map of your own in ``X_umap`` is neither used nor changed.

    Parameters
    ----------
    adata
        Annotated data with ``adata.obsm["X_" + key]``. A view becomes an actual AnnData when written to.
    key
        The ``key_added`` of ``fair_cluster``.
    random_state
        Seed, or a numpy generator. An integer gives the same map again on the same machine.
    rng
        The same under the name that newer scanpy has. Give one of the two.
    copy
        Whether to write to, and return, a copy.

    Returns
    -------
    ``None``, or the copy if ``copy``. Sets the following fields:

    ``adata.obsm["X_" + key + "_umap"]``
        Coordinates: float32, shape (n_obs, 2).
    ``adata.uns[key + "_umap"]``
        How the map was computed: ``min_dist``, ``spread``, ``random_state``, and the ``connectivities_key`` of the graph.
        Without a graph, ``n_neighbors`` takes the place of the last.

    Raises
    ------
    KeyError
        If ``fair_cluster`` has not been run under this key.
    ValueError
        If ``random_state`` is not a seed, or there are fewer than four cells.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    >>> scfcmi.tl.fair_cluster(adata, "phase", n_clusters=8, max_epochs=50)
    >>> scfcmi.tl.umap(adata)
    >>> adata.obsm["X_fcmi_umap"].shape
    (700, 2)
    """
    check_adata(adata, copy=copy)
    _validate.text("key", key)
    hint = f"Run scfcmi.tl.fair_cluster(adata, batch_key, key_added={key!r}) first."
    _validate.key_in(adata.obsm.keys(), f"X_{key}", "adata.obsm", hint=hint)
    if adata.n_obs < _MIN_CELLS:
        msg = f"UMAP lays out at least {_MIN_CELLS} cells, adata has {adata.n_obs}. Map more cells together."
        raise ValueError(msg)
    seed = seed_from(random_state, rng)
    graph_key = own(adata, key).get("connectivities_key", f"{key}_connectivities")
    embedding = np.asarray(in_memory(adata.obsm[f"X_{key}"]), np.float32)
    graph = stored_graph(adata, graph_key) if graph_key in adata.obsp else None
    # A few cells of many may have kept no link to each other. Both tools that lay out take seeds of 32 bits.
    if graph is not None and graph.nnz:
        place, source = _of_graph(embedding, graph, seed % 2**32), {"connectivities_key": graph_key}
    else:
        n_neighbors = min(_N_NEIGHBORS, adata.n_obs - 1)
        place, source = _of_embedding(embedding, n_neighbors, seed % 2**32), {"n_neighbors": n_neighbors}

    out = actual(adata, copy=copy)
    out.obsm[f"X_{key}_umap"] = place
    out.uns[f"{key}_umap"] = source | _LOOK | {"random_state": seed}
    return out if copy else None


def _of_graph(embedding: np.ndarray, graph: csr_matrix, seed: int) -> np.ndarray:
    import anndata as ad
    import scanpy as sc

    # Of its own, so that the caller's X_umap and uns["umap"] stay, and the graph: umap-learn sets small weights to zero in
    # what it is given. It has no X: a file-backed one stays on disk.
    light = ad.AnnData(
        obs=pd.DataFrame(index=pd.RangeIndex(len(embedding)).astype(str)),
        obsm={"X": embedding},
        obsp={"graph": graph},
        uns={
            "own": {
                "connectivities_key": "graph",
                "distances_key": "graph",
                "params": {"method": "umap", "use_rep": "X"},
            }
        },
    )
    sc.tl.umap(light, neighbors_key="own", random_state=seed, **_LOOK)
    return np.asarray(light.obsm["X_umap"], np.float32)


def _of_embedding(embedding: np.ndarray, n_neighbors: int, seed: int) -> np.ndarray:
    import umap as umap_learn

    # A fixed seed allows one job only. Saying so keeps umap-learn from warning that it overrides the number.
    reducer = umap_learn.UMAP(n_neighbors=n_neighbors, random_state=seed, n_jobs=1, **_LOOK)
    return reducer.fit_transform(embedding)
