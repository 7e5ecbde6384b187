from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import gen_batches

from scfcmi._files import damage_told
from scfcmi._logging import warn
from scfcmi.rows._chunked import ChunkedRows, as_block, check_numbers, local_rows
from scfcmi.rows._protocol import LocalRows, rows_per_block

if TYPE_CHECKING:
    from collections.abc import Iterator

    import scipy.sparse as sp
    import torch
    from anndata.abc import CSRDataset

# Read at a time. Larger reads are no faster.
_BYTES_AT_ONCE = 16_000_000


class StoredRows(ChunkedRows, LocalRows):
    """A dense or CSR matrix in an h5ad file or a zarr store, read in contiguous chunks.

    Parameters
    ----------
    X
        An ``h5py.Dataset``, a ``zarr.Array``, or a sparse one as ``anndata.io.sparse_dataset`` opens it.
    name
        As :class:`ChunkedRows`.

    Raises
    ------
    ValueError
        If entries are no numbers, or the file is damaged: also when rows are read.
    """

    def __init__(self, X: object | CSRDataset, name: str) -> None:
        with damage_told(name):
            check_numbers(X.dtype, name)
            super().__init__(X.shape, name)
            self._rows_at_once = rows_at_once(X)
        warn_of_missing_chunks(X, name)
        self._X = X

    def blocks(self, n_rows: int | None = None) -> Iterator[torch.Tensor]:
        step = rows_per_block(self, n_rows)
        # Chunks end where blocks end, so that blocks are the same as those of a matrix in memory.
        for rows in gen_batches(len(self), step * max(1, self._rows_at_once // step)):
            chunk = self._read(rows.start, rows.stop, self._columns)
            yield from local_rows(chunk, self.device).blocks(step)

    def _parts(self, index: np.ndarray | None, columns: np.ndarray) -> Iterator[np.ndarray | sp.csr_matrix]:
        for rows in gen_batches(len(self), self._rows_at_once):
            if index is None:
                yield self._read(rows.start, rows.stop, columns)
                continue
            wanted = index[np.searchsorted(index, rows.start) : np.searchsorted(index, rows.stop)]
            if len(wanted):
                yield self._read(wanted[0], wanted[-1] + 1, None)[wanted - wanted[0]][:, columns]

    def _read(self, start: int, stop: int, columns: np.ndarray | None) -> np.ndarray | sp.csr_matrix:
        with damage_told(f"{self.name}: rows {start} to {stop}"):
            chunk = self._X[start:stop]
        if chunk.shape[0] != stop - start:
            msg = f"{self.name} has {chunk.shape[0]} rows where {stop - start} are wanted. Has the file changed?"
            raise ValueError(msg)
        return as_block(chunk, columns, self.name)


def warn_of_missing_chunks(X: object | CSRDataset, name: str) -> None:
    """Warn if a sparse matrix in a zarr store lacks chunks: zarr takes these for zeros.

    Chunks of a dense matrix are often missing because all of their values are zero. Of a sparse one that hardly happens.
    """
    group = getattr(X, "group", {})
    for part in ("data", "indices", "indptr"):
        array = group.get(part)
        # Not every store can list its files.
        if not hasattr(array, "nchunks_initialized") or not array.store.supports_listing:
            continue
        # A file is a chunk, or a shard of several.
        (chunk,), (shard,) = array.chunks, getattr(array, "shards", None) or array.chunks
        n_files = -(-array.shape[0] // shard)
        n_missing = n_files - array.nchunks_initialized * chunk // shard
        if n_missing > 0:
            msg = (
                f"{name}: {n_missing} of {n_files} files of {part!r} are missing, and are read as zeros. Was the store copied in "
                "full?"
            )
            warn(msg)


def rows_at_once(X: object | CSRDataset) -> int:
    """Return the number of rows of a stored matrix to read at a time, so that they take about 16 MB."""
    n_bytes = X.shape[1] * X.dtype.itemsize
    if hasattr(X, "group"):
        # Values and their columns.
        values, indices = X.group["data"], X.group["indices"]
        n_bytes = values.shape[0] * (values.dtype.itemsize + indices.dtype.itemsize) / max(1, X.shape[0])
    return max(1, int(_BYTES_AT_ONCE / max(1, n_bytes)))
