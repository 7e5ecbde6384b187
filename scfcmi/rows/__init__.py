"""Where cells come from: one protocol, one file a source.

Nothing outside this folder knows what a matrix is made of. A new source of rows is a file here and a line in
:func:`rows_of` or :func:`outside`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfcmi.rows._chunked import ChunkedRows, local_rows
from scfcmi.rows._csr import CSRRows
from scfcmi.rows._dask import DaskRows, check_workers_see
from scfcmi.rows._dense import DenseRows
from scfcmi.rows._protocol import Rows
from scfcmi.rows._stored import StoredRows, rows_at_once, warn_of_missing_chunks
from scfcmi.rows._summary import Summary, summarize, value_range

if TYPE_CHECKING:
    import numpy as np
    import scipy.sparse as sp
    import torch

__all__ = [
    "CSRRows",
    "ChunkedRows",
    "DaskRows",
    "DenseRows",
    "Rows",
    "StoredRows",
    "Summary",
    "check_workers_see",
    "outside",
    "rows_at_once",
    "rows_of",
    "summarize",
    "value_range",
    "warn_of_missing_chunks",
]


def rows_of(X: np.ndarray | sp.csr_matrix | sp.csr_array | ChunkedRows, device: torch.device | str = "cpu") -> Rows:
    """Choose the source for a matrix: CSR stays CSR, what lies outside of memory stays there, the rest is dense."""
    if isinstance(X, ChunkedRows):
        return X.on(device)
    return local_rows(X, device)


def outside(X: object, name: str) -> ChunkedRows | None:
    """Return the source of a matrix that is outside of memory, ``None`` for any other.

    Parameters
    ----------
    X
        Dense or CSR in an h5ad file or a zarr store, as anndata opens it; or a Dask array.
    name
        How messages call it.
    """
    # By what it has, so that none of the libraries need be loaded, or installed.
    if len(getattr(X, "shape", ())) != 2:
        return None
    if hasattr(X, "__dask_graph__"):
        return DaskRows(X, name)
    library = type(X).__module__.partition(".")[0]
    if library in ("h5py", "zarr") or (
        library == "anndata" and getattr(X, "format", None) == "csr" and hasattr(X, "group")
    ):
        return StoredRows(X, name)
    return None
