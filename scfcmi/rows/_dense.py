from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
import torch

from scfcmi.rows._protocol import LocalRows, rows_per_block

if TYPE_CHECKING:
    from collections.abc import Iterator


class DenseRows(LocalRows):
    """A dense array, moved to the device once and kept there."""

    def __init__(self, X: np.ndarray, device: torch.device | str) -> None:
        # torch takes no rows in reverse order, and warns of read-only arrays: we never write, but only a copy keeps it quiet.
        X = X if X.flags.writeable and min(X.strides) >= 0 else X.copy()
        self._X = torch.from_numpy(X).to(device)
        self.device = self._X.device
        self.shape = X.shape

    def take(self, index: np.ndarray) -> torch.Tensor:
        return self._X[torch.from_numpy(index).to(self.device)]

    def blocks(self, n_rows: int | None = None) -> Iterator[torch.Tensor]:
        yield from self._X.split(rows_per_block(self, n_rows))

    def subset(self, index: np.ndarray | None, columns: np.ndarray) -> DenseRows:
        X = self.to_memory() if index is None else self.take(index).cpu().numpy()
        return DenseRows(X if len(columns) == self.shape[1] else np.take(X, columns, axis=1), self.device)

    def to_memory(self) -> np.ndarray:
        return self._X.cpu().numpy()

    def fingerprint(self) -> int:
        return zlib.crc32(np.ascontiguousarray(self.to_memory()))
