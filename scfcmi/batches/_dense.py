from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import numpy as np


class DenseRows:
    """A dense array, moved to the device once and kept there."""

    def __init__(self, X: np.ndarray, device: torch.device) -> None:
        # torch warns of read-only arrays; we never write, but only a copy keeps it quiet.
        X = X if X.flags.writeable else X.copy()
        self._X = torch.from_numpy(X).to(device)

    def __len__(self) -> int:
        return len(self._X)

    def take(self, index: np.ndarray) -> torch.Tensor:
        return self._X[torch.from_numpy(index).to(self._X.device)]
