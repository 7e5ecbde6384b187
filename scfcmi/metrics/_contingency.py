from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import entr

from scfcmi import _validate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike


def contingency(**variables: ArrayLike) -> np.ndarray:
    """Count cells by two named variables: one axis a variable, no empty slice on any axis.

    Raises
    ------
    TypeError, ValueError
        If a variable is not one-dimensional, differs in length from the first, is empty, has missing values, or its cells
        are not those of the others.
    """
    codes = _codes(variables)
    shape = tuple(code.max() + 1 for code in codes)
    return np.bincount(np.ravel_multi_index(codes, shape), minlength=np.prod(shape)).reshape(shape)


def joint_entropy(**variables: ArrayLike) -> Callable[..., float]:
    """Return a function from names of variables to the entropy of these together, in nats.

    It counts only combinations that occur, so memory does not grow with the number of all combinations. Errors are those of
    :func:`contingency`.
    """
    codes = dict(zip(variables, _codes(variables), strict=True))

    def of(*names: str) -> float:
        together = codes[names[0]]
        for name in names[1:]:
            together = pd.factorize(together * (codes[name].max() + 1) + codes[name])[0]
        return float(entropy(np.bincount(together)))

    return of


def in_one_order(**variables: ArrayLike) -> dict[str, ArrayLike]:
    """Bring Series into the order of the first of them; all else stays as it is.

    Raises
    ------
    ValueError
        If Series are of other cells, or in other orders beside a variable without an index.
    """
    series = {name: values for name, values in variables.items() if isinstance(values, pd.Series)}
    if not series:
        return variables
    first, *others = series
    index = series[first].index
    bare = next((name for name in variables if name not in series), None)
    for name in others:
        if bare is not None and len(series[name]) == len(index) and not series[name].index.equals(index):
            msg = (
                f"{first} and {name} are Series whose indices differ, and {bare} has no index: its cells could be in the order "
                f"of either. Make {bare} a Series, too, or bring {name} into the order of {first}."
            )
            raise ValueError(msg)
    return {name: _validate.aligned(values, index, name, first) for name, values in variables.items()}


def _codes(variables: dict[str, ArrayLike]) -> list[np.ndarray]:
    name, first = next(iter(variables.items()))
    if isinstance(first, str) or not hasattr(first, "__len__"):
        msg = f"{name} must be an array with one entry a cell, got {first!r}."
        raise TypeError(msg)
    n_cells = len(first)
    if n_cells == 0:
        msg = f"{' and '.join(variables)} are empty: there is nothing to measure."
        raise ValueError(msg)
    return [_validate.group_codes(values, n_cells, name)[0] for name, values in in_one_order(**variables).items()]


def entropy(counts: np.ndarray, axis: int | tuple[int, ...] | None = None) -> np.ndarray | float:
    """Entropy in nats of the distribution that counts give along ``axis`` (all of them by default)."""
    return entr(counts / counts.sum(axis=axis, keepdims=True)).sum(axis=axis)
