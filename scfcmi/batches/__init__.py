"""Where rows come from. One protocol, one file a source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import scipy.sparse as sp

from scfcmi.batches._csr import CSRRows
from scfcmi.batches._dense import DenseRows

if TYPE_CHECKING:
    import numpy as np
    import torch

__all__ = ["CSRRows", "DenseRows", "Rows", "rows_of"]


class Rows(Protocol):
    """Rows of a matrix, drawn as whole mini-batches."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def take(self, index: np.ndarray) -> torch.Tensor:
        """Return the rows of an integer index, dense float32, on the device."""


def rows_of(X: np.ndarray | sp.csr_matrix | sp.csr_array, device: torch.device) -> Rows:
    """Choose the source for a matrix: CSR stays CSR, anything else is taken as dense."""
    return CSRRows(X, device) if sp.issparse(X) else DenseRows(X, device)
