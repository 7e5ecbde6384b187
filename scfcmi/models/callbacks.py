"""What those who watch training are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


@dataclass(frozen=True)
class Epoch:
    """One finished epoch, as every entry of ``callbacks=`` receives it."""

    number: int
    """One after the first epoch."""
    history: dict[str, float]
    """The epoch's row of ``history_``."""
    codes: Callable[[], np.ndarray]
    """Encodes the cells of ``fit`` as the network does now: float32, shape (n_cells, n_components)."""
    labels: np.ndarray | None
    """Clusters now, shape (n_cells,); ``None`` where a method clusters after training only."""
