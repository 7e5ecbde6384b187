"""What every source of rows offers, and what can be computed from that alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import scipy.sparse as sp
    import torch

T = TypeVar("T")

# One dense block holds at most a million float32: 4 MB stay in a processor's cache, and passes over 40 MB take five times as
# long.
_BLOCK_ENTRIES = 1_000_000


class Rows(Protocol):
    """Rows of a matrix, handed out as dense float32 tensors on one device."""

    shape: tuple[int, ...]
    """Shape of the whole: (n_cells, n_features), or (n_cells, 1, height, width) for images."""
    device: torch.device | str
    """Where the rows are handed out."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def take(self, index: np.ndarray) -> torch.Tensor:
        """Return the rows of an integer index."""

    def blocks(self, n_rows: int | None = None) -> Iterator[torch.Tensor]:
        """Yield all rows in order, ``n_rows`` at a time; ``None`` yields blocks of at most 4 MB."""

    def map(self, function: Callable[[torch.Tensor, int], T], n_rows: int | None = None) -> Iterator[T]:
        """Yield what ``function`` returns for each block and the number of its first row, in order.

        It may run in another process.
        """

    def n_blocks(self, n_rows: int | None = None) -> int:
        """Return the number of blocks."""

    def subset(self, index: np.ndarray | None, columns: np.ndarray) -> Rows:
        """Return the rows of a rising index (``None``: all), and some columns of them, as a source in memory."""

    def to_memory(self) -> np.ndarray | sp.csr_matrix | sp.csr_array:
        """Return all rows as float32, dense or CSR."""


class LocalRows:
    """Rows whose blocks are worked on in this process, one after the other."""

    def __len__(self) -> int:
        return self.shape[0]

    def map(self, function: Callable[[torch.Tensor, int], T], n_rows: int | None = None) -> Iterator[T]:
        start = 0
        for block in self.blocks(n_rows):
            yield function(block, start)
            start += len(block)

    def n_blocks(self, n_rows: int | None = None) -> int:
        return -(-len(self) // rows_per_block(self, n_rows))


def rows_per_block(rows: Rows, n_rows: int | None) -> int:
    """Return ``n_rows``, or the number of rows that fill one block."""
    if n_rows is not None:
        return n_rows
    return max(1, _BLOCK_ENTRIES // math.prod(rows.shape[1:]))
