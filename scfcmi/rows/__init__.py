"""Where cells come from: one protocol, one file a source.

Nothing outside this folder knows what a matrix is made of. A new source of rows is a file here and a line in
:func:`rows_of`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import scipy.sparse as sp

from scfcmi.rows._csr import CSRRows
from scfcmi.rows._dense import DenseRows
from scfcmi.rows._protocol import Rows, total, value_range

if TYPE_CHECKING:
    import numpy as np
    import torch

__all__ = ["CSRRows", "DenseRows", "Rows", "rows_of", "total", "value_range"]


def rows_of(X: np.ndarray | sp.csr_matrix | sp.csr_array, device: torch.device | str = "cpu") -> Rows:
    """Choose the source for a matrix: CSR stays CSR, anything else is taken as dense."""
    return CSRRows(X, device) if sp.issparse(X) else DenseRows(X, device)
