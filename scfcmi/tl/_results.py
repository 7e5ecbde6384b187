"""The one writer and owner of all that is stored under a key, companions included."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scfcmi._adata import column, own
from scfcmi._logging import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from scipy.sparse import csr_matrix

    from scfcmi.models.base import GroupedClusterer

# What other tools store of a result. A new result makes it untrue.
_COMPANIONS = {
    "obsm": ("X_{}_umap",),
    "obsp": ("{}_connectivities",),
    "uns": ("{}_umap", "{}_n_clusters", "{}_diagnosis"),
}


def names_under(key: str) -> dict[str, tuple[str, ...]]:
    """Return the names of all that is stored under a key, companions included, by the part of AnnData that it is in."""
    ours = {"obs": (key, f"{key}_agreement"), "obsm": (f"X_{key}", f"{key}_proba"), "obsp": (), "uns": (key,)}
    return {part: names + tuple(name.format(key) for name in _COMPANIONS.get(part, ())) for part, names in ours.items()}


# A result of such a name would be part of another result.
_ENDINGS = tuple(name.removeprefix("{}") for name in (*_COMPANIONS["uns"], "{}_agreement"))
# What scanpy writes without being asked for a name: it would overwrite a result of this name.
_SCANPY = ("pca", "umap", "tsne", "diffmap", "draw_graph_fa", "draw_graph_fr", "neighbors")
# A folder of a zarr store may have no longer name, with what is put before and behind it.
_MAX_BYTES = 200


def check_key(adata: AnnData, key_added: object, batch_key: str | None) -> None:
    """Raise unless results can be stored under ``key_added``, and read again from h5ad and zarr.

    Raises
    ------
    ValueError
        If it is no string that both formats can hold, is ``batch_key``, the name of the cells, or a name that scanpy uses; or
        would overwrite another result, or what scfcmi did not write.
    """
    check_name("key_added", key_added)
    if key_added in _SCANPY:
        msg = f"key_added={key_added!r} is a name under which scanpy stores results of its own. Give another one."
        raise ValueError(msg)
    if key_added == batch_key:
        msg = f"key_added must be a name other than batch_key, got {key_added!r}."
        raise ValueError(msg)
    if adata.obs.index.name in (key_added, f"{key_added}_agreement"):
        msg = f"key_added={key_added!r}: adata.obs.index has the name {adata.obs.index.name!r}. Give another key_added."
        raise ValueError(msg)
    for ending in _ENDINGS:
        if key_added.endswith(ending) and _is_result(adata, key_added.removesuffix(ending)):
            msg = f"key_added={key_added!r} belongs to the result {key_added.removesuffix(ending)!r}. Give another one."
            raise ValueError(msg)
    taken = [
        f"adata.{place}[{name!r}]"
        for place, names in names_under(key_added).items()
        for name in names
        if name in getattr(adata, place)
    ]
    if _is_result(adata, key_added):
        # A result of one run has no such column: this one is the user's.
        params, agreement = own(adata, key_added).get("params", {"n_runs": 2}), f"{key_added}_agreement"
        taken = [f"adata.obs[{agreement!r}]"] if agreement in adata.obs and params.get("n_runs", 1) < 2 else []
    if taken:
        whose = f"; adata.uns[{key_added!r}] was" if key_added in adata.uns and not own(adata, key_added) else ","
        msg = (
            f"key_added={key_added!r} would overwrite {', '.join(taken)}{whose} not written by scfcmi. "
            "Give another key_added, or delete them first."
        )
        raise ValueError(msg)


def check_name(argument: str, name: object) -> None:
    """Raise ``ValueError`` unless h5ad and zarr can store something under ``name``, and read it again."""
    if not isinstance(name, str) or _safe(name) != name or _reserved(name) or len(name.encode()) > _MAX_BYTES:
        msg = (
            f"{argument} must be a string of 1 to {_MAX_BYTES} bytes, without slashes or control characters, and no name "
            f"that files reserve, got {name!r}: files could not hold it."
        )
        raise ValueError(msg)


def _reserved(name: str) -> bool:
    # anndata keeps the names of cells as "_index", zarr keeps metadata in ".zgroup", "zarr.json" and the like.
    return name in ("", "_index", "zarr.json") or name.startswith((".", "__"))


def layer_name(group: str, groups: Sequence[str]) -> str:
    """Return the layer for expression decoded as one of ``groups``: slashes and control characters become ``_``.

    Raises
    ------
    ValueError
        If the layer of another group has the same name, or the name is too long.
    """
    name = f"fcmi_{_safe(group)}"
    others = [other for other in groups if other != group and _safe(other) == _safe(group)]
    if others or len(name.encode()) > _MAX_BYTES:
        why = f"{others[0]!r} has it, too" if others else f"over {_MAX_BYTES} bytes"
        msg = f"to={group!r} makes the layer name {name!r} ({why}). Give layer_added."
        raise ValueError(msg)
    return name


def _safe(name: str) -> str:
    # A slash is a path in both formats, a backslash in zarr; a lone surrogate has no bytes.
    return "".join("_" if char in "/\\" or unicodedata.category(char) in ("Cc", "Cs") else char for char in name)


def _is_result(adata: AnnData, key: str) -> bool:
    """Whether scfcmi wrote what is under ``key``. ``ad.concat`` keeps the columns of a result and drops its ``uns``."""
    if key in adata.uns:
        return bool(own(adata, key))
    # Names of clusters are numbers. Other tools store types beside their probabilities, too.
    numbered = key in adata.obs and column(adata.obs, key).dropna().astype(str).str.isdigit().all()
    return numbered and {f"X_{key}", f"{key}_proba"} <= set(adata.obsm)


def actual(adata: AnnData, *, copy: bool = False) -> AnnData:
    """Return what a tool may write to: a copy, or ``adata`` itself, made actual if it is a view."""
    if copy:
        # A file-backed AnnData is copied into memory.
        adata = adata.to_memory() if adata.isbacked else adata.copy()
    elif adata.is_view:
        warn("Received a view of an AnnData. Making a copy.")
        adata._init_as_actual(adata.copy())
    for part in ("obs", "var"):
        if not isinstance(table := getattr(adata, part), pd.DataFrame):
            # From read_lazy. Expression stays where it is.
            setattr(adata, part, table.to_memory())
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
    agreed: np.ndarray | None = None,
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
    agreed
        Share of runs that agree on each cell, of a consensus, shape (n_obs,).
    """
    for place, names in _COMPANIONS.items():
        for name in names:
            getattr(adata, place).pop(name.format(key), None)
    if own(adata, key).get("params", {}).get("n_runs", 1) > 1 and f"{key}_agreement" in adata.obs:
        del adata.obs[f"{key}_agreement"]
    # Every cluster of the model is a category, with cells or without: the columns of the assignment.
    categories = [str(cluster) for cluster in range(model.n_clusters_)]
    adata.obs[key] = pd.Categorical.from_codes(labels, categories=categories)
    if agreed is not None:
        adata.obs[f"{key}_agreement"] = agreed.astype(np.float32)
    adata.obsm[f"X_{key}"] = embedding
    adata.obsm[f"{key}_proba"] = proba
    adata.uns[key] = {
        "params": params
        | {"n_cells": adata.n_obs, "n_clusters": model.n_clusters_, "n_components": model.n_components_}
        | model.settings_,
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
    """Return a table indexed by strings: h5ad and zarr keep no name of a range.

    Of type object: the text of pandas 3 becomes an encoding that readers in R do not know (scverse/anndataR#514).
    """
    return table.set_axis(pd.Index([str(label) for label in table.index], dtype=object, name=table.index.name))
