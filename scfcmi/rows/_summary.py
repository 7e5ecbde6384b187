"""One pass over all rows: what must be known before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from scfcmi.rows._protocol import Rows


@dataclass(frozen=True)
class Summary:
    """Moments and range of the values of a source."""

    mean: np.ndarray
    """Shape (n_features,), double precision."""
    variance: np.ndarray
    """Shape (n_features,), double precision."""
    largest: float
    """Largest absolute value; NaN or infinite, if any value is."""
    n_empty: int
    """Number of rows that are zero everywhere."""


def summarize(rows: Rows, tracked: Callable[[Iterator], Iterator] = iter) -> Summary:
    """Return the moments and the range of all values; ``tracked`` wraps the iterator over blocks, to show progress."""
    # Differences from the first cell are zero where a feature is constant.
    origin = rows.take(np.zeros(1, np.int64))

    def moments(block: Tensor, _: int) -> tuple[np.ndarray, np.ndarray, float, int]:
        values = (block - origin).cpu().numpy()
        # In double precision, so that the mean does not depend on where blocks begin, which differs between sources. By numpy,
        # which makes no copy in double precision: workers of Dask hand memory back at once, and would wait for new pages.
        # Infinite values are told by the largest.
        with np.errstate(invalid="ignore", over="ignore"):
            first = values.sum(axis=0, dtype=np.float64)
            second = np.square(values, out=values).sum(axis=0, dtype=np.float64)
        largest = torch.maximum(-block.amin(dim=1), block.amax(dim=1))
        return first, second, float(largest.max()), int((largest == 0).sum())

    first, second, largest, n_empty = 0.0, 0.0, 0.0, 0
    for block_first, block_second, block_largest, block_empty in tracked(rows.map(moments)):
        first, second, n_empty = first + block_first, second + block_second, n_empty + block_empty
        # numpy's maximum, unlike Python's, keeps NaN.
        largest = float(np.maximum(largest, block_largest))
    n_cells = len(rows)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = first / n_cells
        variance = np.maximum(second - n_cells * mean**2, 0) / max(n_cells - 1, 1)
    return Summary(origin[0].double().cpu().numpy() + mean, variance, largest, n_empty)


def value_range(rows: Rows) -> tuple[float, float]:
    """Return the smallest and the largest value, implicit zeros of sparse rows included."""
    lowest, highest = zip(*rows.map(lambda block, _: (float(block.min()), float(block.max()))), strict=True)
    return min(lowest), max(highest)
