from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    import scipy.sparse as sp


class CSRRows:
    """A CSR matrix in memory; only the rows of a mini-batch are ever dense, and only on the device."""

    def __init__(self, X: sp.csr_matrix | sp.csr_array, device: torch.device) -> None:
        self._X = X
        self._device = device

    def __len__(self) -> int:
        return self._X.shape[0]

    def take(self, index: np.ndarray) -> torch.Tensor:
        rows = self._X[index]
        position = np.repeat(np.arange(len(index)) * rows.shape[1], np.diff(rows.indptr)) + rows.indices
        dense = torch.zeros(len(index) * rows.shape[1], device=self._device)
        # Added, not put: a CSR matrix may hold an entry in several parts.
        dense.index_add_(0, torch.from_numpy(position).to(self._device), torch.from_numpy(rows.data).to(self._device))
        return dense.view(len(index), rows.shape[1])
