"""What sources outside of memory have in common: rows are read a chunk at a time, as the model wants them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from typing import TYPE_CHECKING, Self

import numpy as np
import scipy.sparse as sp

from scfcmi import _validate
from scfcmi.rows._csr import CSRRows
from scfcmi.rows._dense import DenseRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from scfcmi.rows._protocol import Rows


class ChunkedRows(ABC):
    """Rows outside of memory. At most a chunk or two are in memory at a time.

    Parameters
    ----------
    shape
        Shape of the whole matrix.
    name
        How messages call the matrix.
    """

    def __init__(self, shape: tuple[int, int], name: str) -> None:
        self.shape = tuple(shape)
        self.name = name
        self.device: torch.device | str = "cpu"
        # Of the columns to read, in the order in which they are wanted. None reads all.
        self._columns: np.ndarray | None = None

    @abstractmethod
    def _parts(self, index: np.ndarray | None, columns: np.ndarray) -> Iterator[np.ndarray | sp.csr_matrix]:
        """Yield the rows of a rising index (``None``: all), as :func:`as_block` returns them, a chunk at a time."""

    def __len__(self) -> int:
        return self.shape[0]

    def on(self, device: torch.device | str) -> Self:
        """Return the same source, handing out rows on another device."""
        other = copy(self)
        other.device = device
        return other

    def with_columns(self, columns: np.ndarray) -> Self:
        """Return a source of some of the columns of this one, in the order of an index."""
        other = copy(self)
        other._columns = columns if self._columns is None else self._columns[columns]
        other.shape = (self.shape[0], len(columns))
        return other

    def take(self, index: np.ndarray) -> torch.Tensor:
        rising, place = np.unique(index, return_inverse=True)
        return self.subset(rising, np.arange(self.shape[1])).take(place)

    def subset(self, index: np.ndarray | None, columns: np.ndarray) -> Rows:
        parts = list(self._parts(index, columns if self._columns is None else self._columns[columns]))
        if not parts:
            return local_rows(np.zeros((0, len(columns)), np.float32), self.device)
        return local_rows(
            sp.vstack(parts, format="csr") if sp.issparse(parts[0]) else np.concatenate(parts), self.device
        )

    def to_memory(self) -> np.ndarray | sp.csr_matrix:
        return self.subset(None, np.arange(self.shape[1])).to_memory()


def local_rows(X: np.ndarray | sp.csr_matrix | sp.csr_array, device: torch.device | str) -> CSRRows | DenseRows:
    """Return the source of a matrix in memory."""
    return CSRRows(X, device) if sp.issparse(X) else DenseRows(X, device)


def as_block(chunk: object, columns: np.ndarray | None, name: str) -> np.ndarray | sp.csr_matrix | sp.csr_array:
    """Return rows as read, dense or sparse, as float32, dense or CSR, with the columns of an index.

    Raises
    ------
    ValueError
        If they are damaged: indices that point outside would become values of other cells.
    """
    if not sp.issparse(chunk):
        block = np.asarray(chunk, dtype=np.float32)
        return block if columns is None else np.take(block, columns, axis=1)
    _validate.sparse_structure(name, chunk)
    block = chunk.tocsr().astype(np.float32, copy=False)
    return block if columns is None else block[:, columns]


def check_numbers(dtype: np.dtype, name: str) -> None:
    """Raise ``ValueError`` unless entries of ``dtype`` are numbers."""
    if dtype.kind not in "fiub":
        msg = f"{name} must hold numbers, got dtype {dtype}."
        raise ValueError(msg)
