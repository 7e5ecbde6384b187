"""Whether what a tool or a plot was given is an AnnData that it can read, and write to. Asked before any work."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scfcmi import _validate

if TYPE_CHECKING:
    from anndata import AnnData, Raw

# Probabilities belong to clusters of which this share of the cells is where it was, or all but one.
_KEPT = 0.9


def check_adata(adata: object, *, copy: object = False, written: bool = True) -> None:
    """Raise unless ``adata`` is an AnnData that can be read and, where ``written``, written to.

    Results go to parts in memory (``obs``, ``obsm``, ``uns``), so a file-backed AnnData can take them. A view of one
    cannot: it would have to become an AnnData of its own, which anndata makes in another file only.

    Parameters
    ----------
    adata
        What the user gave.
    copy
        The tool's ``copy``: whether it writes to a copy, which is in memory.
    written
        Whether the tool writes to it.

    Raises
    ------
    TypeError
        If it is no AnnData (a path, a MuData), or ``copy`` is no boolean.
    ValueError
        If it has no cells, or is a view of a file-backed AnnData and would be written to.
    """
    from anndata import AnnData

    _validate.boolean("copy", copy)
    if isinstance(adata, (str, os.PathLike)):
        msg = f"adata must be an AnnData, got the path {os.fspath(adata)!r}. Read it first: anndata.read_h5ad(path)."
        raise TypeError(msg)
    modalities = getattr(adata, "mod", None)
    # By what it has, so that mudata need not be installed.
    if not isinstance(adata, AnnData) and hasattr(modalities, "keys"):
        names = [str(name) for name in modalities]
        one = f" Give one of them, such as mdata[{names[0]!r}]." if names else ""
        msg = f"adata must be an AnnData, got a {type(adata).__name__} with the modalities {names}.{one}"
        raise TypeError(msg)
    if not isinstance(adata, AnnData):
        msg = f"adata must be an AnnData, got {type(adata).__name__}. For arrays use scfcmi.AtlasFCMI or scfcmi.FCMI."
        raise TypeError(msg)
    if adata.n_obs == 0:
        msg = "adata has no cells."
        raise ValueError(msg)
    if written and not copy and adata.is_view and adata.isbacked:
        msg = (
            "adata is a view of a file-backed AnnData, which cannot be written to. Read it into memory first: "
            "adata = adata.to_memory()."
        )
        raise ValueError(msg)


def column(table: pd.DataFrame, key: str) -> pd.Series:
    """Return a column of ``obs`` or ``var``; of an AnnData from ``read_lazy``, read that column into memory."""
    return table[key] if isinstance(table, pd.DataFrame) else table[[key]].to_memory()[key]


def expression_of(adata: AnnData | Raw) -> Any:
    """Return ``X``; ``None`` where there is none. Of a file without ``X``, anndata raises ``KeyError``."""
    try:
        return adata.X
    except KeyError:
        return None


def in_memory(values: object) -> object:
    """Return an entry of an AnnData, read from disk or computed where it has to be; of a data frame, its values."""
    for method in ("to_memory", "compute"):
        values = getattr(values, method)() if hasattr(values, method) else values
    if type(values).__module__.partition(".")[0] in ("h5py", "zarr"):
        values = values[()]
    if isinstance(values, pd.DataFrame):
        numbers = all(pd.api.types.is_numeric_dtype(dtype) for dtype in values.dtypes)
        # Columns with missing values of pandas would become objects.
        return values.to_numpy(float, na_value=np.nan) if numbers else values.to_numpy()
    return values


def table_in_memory(table: object) -> pd.DataFrame:
    """Return a stored table; of an AnnData from ``read_lazy``, read it into memory."""
    return table if isinstance(table, pd.DataFrame) else table.to_memory()


def own(adata: AnnData, key: str) -> Mapping[str, Any]:
    """Return what scfcmi stored in ``uns`` under ``key``; nothing, if another tool wrote what is there."""
    stored = adata.uns.get(key)
    params = stored.get("params") if isinstance(stored, Mapping) else None
    return stored if isinstance(params, Mapping) and {"version", "matrix"} <= set(params) else {}


def proba_of(adata: AnnData, key: str) -> np.ndarray | None:
    """Return the probabilities of a result, shape (n_obs, n_clusters); ``None`` if its clusters have been changed since."""
    if not own(adata, key) or f"{key}_proba" not in adata.obsm:
        return None
    proba = np.asarray(in_memory(adata.obsm[f"{key}_proba"]))
    # Clusters may have got other names, and lost cells, and a few cells may have been moved by hand. Still, the cells of each
    # must mostly be those that one column is for, and no column may be left over.
    codes, _ = pd.factorize(column(adata.obs, key))
    largest = proba.argmax(axis=1)
    table = pd.crosstab(codes, largest)
    of_clusters = table.idxmax(axis=1)
    one_to_one = of_clusters.is_unique and set(of_clusters) == set(table.columns)
    kept = all((table.max(axis=axis) >= _KEPT * table.sum(axis=axis) - 1).all() for axis in (0, 1))
    return proba if one_to_one and kept else None


def fingerprint(*columns: pd.Series) -> int:
    """Return a checksum of the text of columns of ``obs``, by which a stored table knows its cells."""
    total = 0
    for values in columns:
        codes, found = pd.factorize(values)
        # Text of each value once, and not of every cell.
        place, names = pd.factorize(pd.Series(found).astype(str))
        codes = np.append(place, -1)[codes]
        total = zlib.crc32("\0".join(names).encode("utf-8", "surrogatepass"), total)
        total = zlib.crc32(codes.astype(np.int32), total)
    return total


def curve_of(adata: AnnData, key: str) -> pd.DataFrame | None:
    """Return the table that ``choose_n_clusters`` stored; ``None`` if there is none, or it is of more cells than these."""
    stored = adata.uns.get(f"{key}_n_clusters")
    if not isinstance(stored, Mapping) or int(stored.get("n_cells", adata.n_obs)) != adata.n_obs:
        return None
    return table_in_memory(stored["curve"])


def diagnosis_of(adata: AnnData, key: str, batch_key: str) -> Mapping[str, Any]:
    """Return what ``diagnose`` stored; nothing, if these are no longer the cells, clusters or batches that it looked at."""
    stored = adata.uns.get(f"{key}_diagnosis")
    if not isinstance(stored, Mapping) or key not in adata.obs or batch_key not in adata.obs:
        return {}
    checksum = fingerprint(column(adata.obs, key), column(adata.obs, batch_key))
    if int(stored.get("checksum", -1)) != checksum:
        return {}
    return {**stored, "clusters": table_in_memory(stored["clusters"])}
