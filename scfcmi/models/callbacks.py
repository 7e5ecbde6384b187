"""What those who watch training are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


@dataclass(frozen=True)
class Epoch:
    """One finished epoch of training: what each function in ``callbacks=`` receives."""

    number: int
    """Number of the epoch: 1 is the first."""
    history: dict[str, float]
    """The epoch's row of ``history_``."""
    codes: Callable[[], np.ndarray]
    """Function that returns the present codes of the cells of ``fit``: float32, shape (n_cells, n_components)."""
    labels: np.ndarray | None
    """Present clusters, shape (n_cells,). ``None`` in atlas mode, which clusters after training."""
