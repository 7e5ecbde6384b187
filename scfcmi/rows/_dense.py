from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import torch

from scfcmi.rows._protocol import rows_per_block

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np


class DenseRows:
    """A dense array, moved to the device once and kept there."""

    def __init__(self, X: np.ndarray, device: torch.device | str) -> None:
        # torch warns of read-only arrays; we never write, but only a copy keeps it quiet.
        X = X if X.flags.writeable else X.copy()
        self._X = torch.from_numpy(X).to(device)
        self.shape = X.shape

    def __len__(self) -> int:
        return len(self._X)

    def take(self, index: np.ndarray) -> torch.Tensor:
        return self._X[torch.from_numpy(index).to(self._X.device)]

    def blocks(self, n_rows: int | None = None) -> Iterator[torch.Tensor]:
        yield from self._X.split(rows_per_block(self, n_rows))

    def fingerprint(self) -> int:
        return zlib.crc32(self._X.cpu().numpy())
