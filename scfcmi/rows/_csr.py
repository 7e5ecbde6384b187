from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.utils import gen_batches

from scfcmi.rows._protocol import LocalRows, rows_per_block

if TYPE_CHECKING:
    from collections.abc import Iterator

    import scipy.sparse as sp


class CSRRows(LocalRows):
    """A CSR matrix in memory; only the rows of one block are ever dense, and only on the device."""

    def __init__(self, X: sp.csr_matrix | sp.csr_array, device: torch.device | str) -> None:
        self._X = X
        self.device = device
        self.shape = X.shape

    def take(self, index: np.ndarray) -> torch.Tensor:
        rows = self._X[index]
        return self._dense(rows.data, rows.indices, rows.indptr)

    def blocks(self, n_rows: int | None = None) -> Iterator[torch.Tensor]:
        data, indices, indptr = self._X.data, self._X.indices, self._X.indptr
        for rows in gen_batches(len(self), rows_per_block(self, n_rows)):
            # Slices of the arrays: scipy would cast all indices once for every block that is sliced from the matrix.
            ends = indptr[rows.start : rows.stop + 1]
            yield self._dense(data[ends[0] : ends[-1]], indices[ends[0] : ends[-1]], ends - ends[0])

    def subset(self, index: np.ndarray | None, columns: np.ndarray) -> CSRRows:
        X = self._X if index is None else self._X[index]
        return CSRRows(X if len(columns) == self.shape[1] else X[:, columns], self.device)

    def to_memory(self) -> sp.csr_matrix | sp.csr_array:
        return self._X

    def fingerprint(self) -> int:
        checksum = zlib.crc32(self._X.data)
        # Of one type: scipy keeps places in 32 or 64 bits.
        for places in (self._X.indices, self._X.indptr):
            checksum = zlib.crc32(places.astype(np.int64, copy=False), checksum)
        return checksum

    def _dense(self, data: np.ndarray, indices: np.ndarray, indptr: np.ndarray) -> torch.Tensor:
        n_rows, n_features = len(indptr) - 1, self.shape[1]
        position = np.repeat(np.arange(n_rows) * n_features, np.diff(indptr)) + indices
        dense = torch.zeros(n_rows * n_features, dtype=torch.float32, device=self.device)
        # Added, not put: a CSR matrix may hold an entry in several parts.
        dense.index_add_(0, torch.from_numpy(position).to(self.device), torch.tensor(data, device=self.device))
        return dense.view(n_rows, n_features)
