from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import entr

from scfcmi import _validate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def contingency(**variables: ArrayLike) -> np.ndarray:
    """Count cells by two or three named variables: one axis a variable, no empty slice on any axis.

    Raises
    ------
    TypeError, ValueError
        If a variable is not one-dimensional, differs in length from the first, is empty, or has missing values.
    """
    name, first = next(iter(variables.items()))
    if isinstance(first, str) or not hasattr(first, "__len__"):
        msg = f"{name} must be an array with one entry a cell, got {first!r}."
        raise TypeError(msg)
    n_cells = len(first)
    if n_cells == 0:
        msg = f"{' and '.join(variables)} are empty: there is nothing to measure."
        raise ValueError(msg)
    labels = next((values.index for values in variables.values() if isinstance(values, pd.Series)), None)
    named = next((name for name, values in variables.items() if isinstance(values, pd.Series)), "")
    variables = {name: _validate.aligned(values, labels, name, named) for name, values in variables.items()}
    codes = [_validate.group_codes(values, n_cells, name)[0] for name, values in variables.items()]
    shape = tuple(c.max() + 1 for c in codes)
    return np.bincount(np.ravel_multi_index(codes, shape), minlength=np.prod(shape)).reshape(shape)


def entropy(counts: np.ndarray, axis: int | tuple[int, ...] | None = None) -> np.ndarray | float:
    """Entropy in nats of the distribution that counts give along ``axis`` (all of them by default)."""
    return entr(counts / counts.sum(axis=axis, keepdims=True)).sum(axis=axis)
