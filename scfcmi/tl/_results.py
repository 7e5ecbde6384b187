"""The one writer and owner of all that is stored under a key, companions included."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    from scfcmi.models.base import GroupedClusterer

# What other tools store of a result. A new result makes it untrue.
_COMPANIONS = {
    "obsm": ("X_{}_umap",),
    "obsp": ("{}_connectivities",),
    "uns": ("{}_umap", "{}_n_clusters", "{}_diagnosis"),
}


def check_key(key_added: object, batch_key: str | None) -> None:
    """Raise ``ValueError`` unless results can be stored under ``key_added``."""
    if not isinstance(key_added, str) or not key_added or key_added == batch_key:
        msg = f"key_added must be a non-empty string other than batch_key, got {key_added!r}."
        raise ValueError(msg)


def actual(adata: AnnData, *, copy: bool = False) -> AnnData:
    """Return what a tool may write to: a copy, or ``adata`` itself, made actual if it is a view."""
    if copy:
        # A file-backed AnnData is copied into memory.
        return adata.to_memory() if adata.isbacked else adata.copy()
    if adata.is_view:
        warnings.warn("Received a view of an AnnData. Making a copy.", UserWarning, stacklevel=3)
        adata._init_as_actual(adata.copy())
    return adata


def write_clusters(
    adata: AnnData,
    key: str,
    model: GroupedClusterer,
    embedding: np.ndarray,
    proba: np.ndarray,
    labels: np.ndarray,
    params: dict[str, Any],
    graph: csr_matrix | None = None,
) -> None:
    """Store clusters of cells, and remove what other tools stored of earlier ones under this key.

    Parameters
    ----------
    adata
        Actual, not a view.
    key
        Name of the result.
    model
        The fitted model that the clusters are of.
    embedding
        Shape (n_obs, n_components).
    proba
        Shape (n_obs, n_clusters).
    labels
        Numbers of clusters, shape (n_obs,).
    params
        Of this call; settings of the model are added.
    graph
        Neighbor graph of the cells. It is stored if it holds all of them.
    """
    for place, names in _COMPANIONS.items():
        for name in names:
            getattr(adata, place).pop(name.format(key), None)
    # Every cluster of the model is a category, with cells or without: the columns of the assignment.
    categories = [str(cluster) for cluster in range(model.n_clusters_)]
    adata.obs[key] = pd.Categorical.from_codes(labels, categories=categories)
    adata.obsm[f"X_{key}"] = embedding
    adata.obsm[f"{key}_proba"] = proba
    adata.uns[key] = {
        "params": params | {"n_clusters": model.n_clusters_, "n_components": model.n_components_} | model.settings_,
        "history": storable(model.history_),
        "groups": np.asarray(model.groups_).astype(str).astype(object),
        "information": dict(model.information_),
    }
    if graph is not None and graph.shape[0] == adata.n_obs:
        adata.obsp[f"{key}_connectivities"] = graph
        adata.uns[key]["connectivities_key"] = f"{key}_connectivities"
        # scanpy reads these with neighbors_key=key. Of distances, PAGA takes only which cells they join: the same links.
        adata.uns[key]["distances_key"] = f"{key}_connectivities"
        adata.uns[key]["params"] |= {"method": "umap", "use_rep": f"X_{key}"}


def storable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table indexed by strings: h5ad and zarr keep no name of a range."""
    return table.set_axis(table.index.astype(str).rename(table.index.name))
