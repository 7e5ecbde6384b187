"""What every source of rows offers, and what can be computed from that alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import torch

# One dense block holds at most a million float32: 4 MB stay in a processor's cache, and passes over 40 MB take five times as
# long.
_BLOCK_ENTRIES = 1_000_000


class Rows(Protocol):
    """Rows of a matrix, handed out as dense float32 tensors on one device."""

    shape: tuple[int, ...]
    """Shape of the whole: (n_cells, n_features), or (n_cells, 1, height, width) for images."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def take(self, index: np.ndarray) -> torch.Tensor:
        """Return the rows of an integer index."""

    def blocks(self, n_rows: int | None = None) -> Iterator[torch.Tensor]:
        """Yield all rows in order, ``n_rows`` at a time; ``None`` yields blocks of at most 4 MB."""

    def fingerprint(self) -> int:
        """Return a checksum of the values, by which a checkpoint knows its data."""


def rows_per_block(rows: Rows, n_rows: int | None) -> int:
    """Return ``n_rows``, or the number of rows that fill one block."""
    if n_rows is not None:
        return n_rows
    return max(1, _BLOCK_ENTRIES // math.prod(rows.shape[1:]))


def total(
    rows: Rows, function: Callable[[torch.Tensor], tuple[np.ndarray, ...]], sample: np.ndarray | None = None
) -> tuple[np.ndarray, ...]:
    """Return the sums over all blocks of what ``function`` returns for one block, item by item.

    Parameters
    ----------
    rows
        The cells.
    function
        Returns a tuple of arrays for one block; their shapes do not depend on the number of rows.
    sample
        Index of the rows to take, rising. ``None`` takes all.
    """
    step = rows_per_block(rows, None)
    blocks = rows.blocks()
    if sample is not None:
        blocks = (rows.take(sample[start : start + step]) for start in range(0, len(sample), step))
    sums: tuple[np.ndarray, ...] = ()
    for block in blocks:
        values = function(block)
        sums = tuple(s + v for s, v in zip(sums, values, strict=True)) if sums else values
    return sums


def value_range(rows: Rows) -> tuple[float, float]:
    """Return the smallest and the largest value, implicit zeros of sparse rows included."""
    lowest, highest = zip(*((float(block.min()), float(block.max())) for block in rows.blocks()), strict=True)
    return min(lowest), max(highest)
