"""Checks of arguments. Every message names the argument, the value, what is allowed and the nearest right thing."""

from __future__ import annotations

import difflib
import math
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def key_in(keys: Iterable[str], key: object, where: str, *, hint: str = "") -> None:
    """Raise ``KeyError`` unless ``key`` is among ``keys``; ``where`` names them, such as ``adata.obs``."""
    known = [str(k) for k in keys]
    if not isinstance(key, str):
        msg = f"A key of {where} must be a string, got {key!r}."
        raise TypeError(msg)
    if key not in known:
        raise KeyError(_not_found(f"Key {key!r} not found in {where}.", key, known, hint))


def one_of(name: str, value: object, options: Collection[str]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``options``."""
    if value not in options:
        guess = _did_you_mean(str(value), options)
        msg = f"{name} must be one of {sorted(options)}, got {value!r}.{guess}"
        raise ValueError(msg)


def integer(name: str, value: object, *, minimum: int) -> int:
    """Return ``value`` as an int of at least ``minimum``; ``TypeError`` or ``ValueError`` otherwise."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        msg = f"{name} must be an integer, got {value!r} of type {type(value).__name__}."
        raise TypeError(msg)
    if value < minimum:
        msg = f"{name} must be at least {minimum}, got {value}."
        raise ValueError(msg)
    return int(value)


def number(name: str, value: object, *, minimum: float = 0.0, strict: bool = False) -> float:
    """Return ``value`` as a finite float of at least (``strict``: above) ``minimum``."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        msg = f"{name} must be a number, got {value!r} of type {type(value).__name__}."
        raise TypeError(msg)
    if not math.isfinite(value) or value < minimum or (strict and value == minimum):
        msg = f"{name} must be finite and {'above' if strict else 'at least'} {minimum:g}, got {value}."
        raise ValueError(msg)
    return float(value)


def group_codes(groups: object, n_cells: int, name: str = "groups") -> tuple[np.ndarray, np.ndarray]:
    """Turn group names of any kind into codes.

    Parameters
    ----------
    groups
        Strings, integers, booleans or a categorical, one a cell. Unused categories are dropped.
    n_cells
        Number of cells there must be.
    name
        How the message calls the argument.

    Returns
    -------
    Codes from zero, int64, shape (n_cells,); and the names in code order.

    Raises
    ------
    ValueError
        If the length differs, or a group is missing.
    """
    if isinstance(groups, str) or not hasattr(groups, "__len__"):
        msg = f"{name} must be an array with one group a cell, got {groups!r}."
        raise TypeError(msg)
    if np.ndim(groups) != 1:
        msg = f"{name} must be one-dimensional, got shape {np.shape(groups)}."
        raise ValueError(msg)
    if len(groups) != n_cells:
        msg = f"{name} has {len(groups)} entries for {n_cells} cells."
        raise ValueError(msg)
    values = pd.Categorical(groups).remove_unused_categories()
    n_missing = int((values.codes < 0).sum())
    if n_missing:
        msg = f"{name} is missing for {n_missing} of {n_cells} cells. Drop these cells, or give them a group of their own."
        raise ValueError(msg)
    return values.codes.astype(np.int64), values.categories.to_numpy()


def sorted_group_codes(groups: object, n_cells: int, name: str = "groups") -> tuple[np.ndarray, np.ndarray]:
    """Return :func:`group_codes` with names sorted, so that results do not depend on the order of categories."""
    codes, names = group_codes(groups, n_cells, name)
    try:
        order = np.argsort(names, kind="stable")
    except TypeError:
        # Names of several types have no order.
        return codes, names
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return place[codes], names[order]


def known_groups(groups: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Return the codes of ``groups`` in a model's ``names``; ``ValueError`` for a group the model has not seen."""
    codes = pd.Index(names).get_indexer(pd.Index(groups))
    if (codes < 0).any():
        unseen = str(groups[int(np.argmax(codes < 0))])
        msg = _not_found(f"Group {unseen!r} was not seen in fit.", unseen, [str(n) for n in names], "")
        raise ValueError(msg)
    return codes.astype(np.int64)


def _not_found(message: str, key: str, known: list[str], hint: str) -> str:
    shown = known if len(known) <= 20 else [*known[:20], "..."]
    return f"{message}{_did_you_mean(key, known)} Available: {shown}.{' ' + hint if hint else ''}"


def _did_you_mean(key: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(key, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
