"""Checks of arguments. Every message names the argument, the value, what is allowed and the nearest right thing."""

from __future__ import annotations

import difflib
import math
import os
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def key_in(keys: Iterable[str], key: object, where: str, *, hint: str = "") -> None:
    """Raise ``KeyError`` unless ``key`` is among ``keys``; ``where`` names them, such as ``adata.obs``."""
    names = list(keys)
    if isinstance(key, str) and key in names:
        return
    known = [str(name) for name in names]
    if str(key) in known:
        kind = type(names[known.index(str(key))]).__name__
        msg = f"{where} has {str(key)!r} as a name of type {kind}, but names must be strings."
        msg += f" Rename it: {where}.columns = {where}.columns.astype(str)." if where.endswith((".obs", ".var")) else ""
        raise TypeError(msg)
    if not isinstance(key, str):
        # Of a column given in the place of its name, not all of it.
        msg = f"A key of {where} must be a string, got {repr(key) if key is None or np.isscalar(key) else type(key).__name__}."
        raise TypeError(msg)
    raise KeyError(_not_found(f"Key {key!r} not found in {where}.", key, known, hint))


def boolean(name: str, value: object) -> bool:
    """Return ``value`` if it is true or false; ``TypeError`` otherwise."""
    if not isinstance(value, (bool, np.bool_)):
        msg = f"{name} must be True or False, got {value!r}."
        raise TypeError(msg)
    return bool(value)


def text(name: str, value: object) -> str:
    """Return ``value`` if it is a string; ``TypeError`` otherwise."""
    if not isinstance(value, str):
        msg = f"{name} must be a string, got {value!r} of type {type(value).__name__}."
        raise TypeError(msg)
    return value


def one_of(name: str, value: object, options: Collection[str]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``options``."""
    if not isinstance(value, str) or value not in options:
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


def number(name: str, value: object, *, strict: bool = False) -> float:
    """Return ``value`` as a finite float of at least (``strict``: above) 0."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        msg = f"{name} must be a number, got {value!r} of type {type(value).__name__}."
        raise TypeError(msg)
    if not math.isfinite(value) or value < 0 or (strict and value == 0):
        msg = f"{name} must be finite and {'above' if strict else 'at least'} 0, got {value}."
        raise ValueError(msg)
    return float(value)


def path(name: str, value: object) -> None:
    """Raise ``TypeError`` unless ``value`` can name a file."""
    if not isinstance(value, (str, os.PathLike)):
        msg = f"{name} must be a path, text or pathlib.Path, got {value!r}."
        raise TypeError(msg)


def output_file(name: str, value: object) -> None:
    """Raise before any work if a file cannot be written there: ``TypeError`` or ``OSError``."""
    path(name, value)
    target = Path(value)
    if target.is_dir():
        msg = f"{name} {os.fspath(value)!r} is a folder. Name a file in it."
        raise IsADirectoryError(msg)
    if not target.absolute().parent.is_dir():
        msg = f"{name} is in a folder that does not exist: {str(target.parent)!r}."
        raise FileNotFoundError(msg)


def names(name: str, value: object) -> list:
    """Return a list of what a sequence holds; ``TypeError`` for one string, or what is no sequence."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") or not hasattr(value, "__iter__"):
        msg = f"{name} must be a list, got {value!r}."
        raise TypeError(msg)
    return list(value)


def table(name: str, value: object, columns: Iterable[str] = ()) -> None:
    """Raise ``TypeError`` unless ``value`` is a DataFrame, ``KeyError`` unless it has the columns."""
    if not isinstance(value, pd.DataFrame):
        msg = f"{name} must be a pandas.DataFrame, got {value!r}."
        raise TypeError(msg)
    for column in columns:
        key_in(value.columns, column, name)


def matrix_like(X: object, name: str = "X") -> None:
    """Raise ``TypeError`` for what is no array; whether its shape and numbers are right is seen later."""
    if hasattr(X, "obsm"):
        msg = f"{name} is an {type(X).__name__}, but a matrix is wanted. Use scfcmi.tl.fair_cluster, or give adata.X."
        raise TypeError(msg)
    if isinstance(X, np.ma.MaskedArray):
        msg = f"{name} is a masked array, which has no value where it is masked. Give one, such as {name}.filled(0)."
        raise TypeError(msg)
    known = ("shape", "__len__", "__array__")
    if isinstance(X, (str, bytes, dict)) or not any(hasattr(X, name) for name in known):
        msg = f"{name} must be a matrix of shape (n_cells, n_features), got {X!r}."
        raise TypeError(msg)


def sparse_structure(name: str, X: object) -> None:
    """Raise ``ValueError`` if a CSR or CSC matrix points outside itself: scipy would read, or write, foreign memory."""
    if getattr(X, "format", None) not in ("csr", "csc") or not hasattr(X, "indptr"):
        return
    n_major, n_minor = X.shape if X.format == "csr" else X.shape[::-1]
    indptr = X.indptr
    is_whole = len(indptr) == n_major + 1 and indptr[0] == 0 and bool((indptr[1:] >= indptr[:-1]).all())
    # Room may be left at the end.
    is_whole = is_whole and indptr[-1] <= min(len(X.indices), len(X.data))
    if is_whole and indptr[-1] > 0:
        indices = X.indices[: indptr[-1]]
        is_whole = indices.min() >= 0 and indices.max() < n_minor
    if not is_whole:
        msg = (
            f"{name} is a damaged {X.format.upper()} matrix: its indices do not fit its shape, {X.shape}. Read it again, "
            "or check its file."
        )
        raise ValueError(msg)


def group_name(value: object) -> str:
    """Return the name of a group as text: the one form in which names are stored, compared and shown.

    Whole numbers are written without a fraction, so that 1, 1.0 and ``"1"`` are one group; bytes are decoded as UTF-8;
    points in time are written as pandas does, whatever their unit; intervals, periods and all else as ``str`` does.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    if isinstance(value, (np.datetime64, np.timedelta64)):
        value = (pd.Timestamp if isinstance(value, np.datetime64) else pd.Timedelta)(value)
    if isinstance(value, (float, np.floating)) and abs(value) < 2**53 and value == int(value):
        value = int(value)
    return str(value)


def group_values(groups: object, n_cells: int, name: str = "groups") -> pd.Categorical:
    """Return groups of any kind as a categorical, each category with cells.

    Parameters
    ----------
    groups
        Strings, numbers, booleans, points in time, intervals or a categorical, one a cell. Unused categories are dropped.
    n_cells
        Number of cells there must be.
    name
        How the message calls the argument.

    Raises
    ------
    TypeError
        If they are no array, or of a kind that has no names.
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
    known = (pd.Series, pd.Index, pd.api.extensions.ExtensionArray, np.ma.MaskedArray)
    if hasattr(groups, "__array__") and not isinstance(groups, known):
        # pandas takes each entry of a tensor for an object of its own.
        groups = np.asarray(groups)
    try:
        values = pd.Categorical(groups).remove_unused_categories()
    # pandas has no categories of float16.
    except (TypeError, NotImplementedError) as error:
        msg = f"{name} must hold names of groups, such as strings or integers ({error})."
        raise TypeError(msg) from error
    n_missing = int((values.codes < 0).sum())
    if n_missing:
        msg = f"{name} is missing for {n_missing} of {n_cells} cells. Drop these cells, or give them a group of their own."
        raise ValueError(msg)
    return values


def group_codes(groups: object, n_cells: int, name: str = "groups") -> tuple[np.ndarray, np.ndarray]:
    """Turn groups of any kind into codes and names.

    Parameters and errors are those of :func:`group_values`.

    Returns
    -------
    Codes from zero, int64, shape (n_cells,); and the names in code order, text (:func:`group_name`).
    """
    values = group_values(groups, n_cells, name)
    return _named(values.codes, values.categories.to_numpy())


def codes_by_appearance(groups: object, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return :func:`group_codes` with the group of the first cell first, so that names do not change results."""
    values = group_values(groups, n_cells)
    codes, found = pd.factorize(values.codes)
    return _named(codes, values.categories.to_numpy()[found])


def _named(codes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return codes and names of groups; values of one name become one group."""
    place, names = pd.factorize(np.array([group_name(value) for value in values], dtype=object))
    return place.astype(np.int64)[codes], names


def known_groups(groups: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Return the codes of ``groups`` in a model's ``names``; ``ValueError`` for a group the model has not seen."""
    groups = [group_name(group) for group in groups]
    codes = pd.Index(names).get_indexer(groups)
    if (codes < 0).any():
        unseen = groups[int(np.argmax(codes < 0))]
        msg = _not_found(f"Group {unseen!r} was not seen in fit.", unseen, list(names), "")
        raise ValueError(msg)
    return codes.astype(np.int64)


def aligned(values: object, index: pd.Index | None, name: str, to: str) -> object:
    """Return a Series in the order of an index, if it holds the same labels; all else as it is.

    Parameters
    ----------
    values
        A Series, or anything that has no labels and is taken by position.
    index
        Of what ``values`` belong to; ``None`` if that has no labels.
    name, to
        How the message calls ``values``, and what the index is of.

    Raises
    ------
    ValueError
        If the labels differ, or are the same in another order but repeat.
    """
    if index is None or not isinstance(values, pd.Series) or values.index.equals(index):
        return values
    if len(values) == len(index) and values.index.is_unique and index.is_unique:
        place = values.index.get_indexer(index)
        if (place >= 0).all():
            return values.iloc[place]
    msg = (
        f"{name} is a Series of {len(values)} entries whose index is not that of {to}. Give it the same index, or take it "
        f"by position: {name}.to_numpy()."
    )
    raise ValueError(msg)


def _not_found(message: str, key: str, known: list[str], hint: str) -> str:
    shown = known if len(known) <= 20 else [*known[:20], "..."]
    return f"{message}{_did_you_mean(key, known)} Available: {shown}.{' ' + hint if hint else ''}"


def _did_you_mean(key: str, known: Iterable[str]) -> str:
    # What is missing may be derived from a key that is there: X_fcmi_umap from X_fcmi.
    others = [name for name in known if not key.startswith(f"{name}_")]
    close = difflib.get_close_matches(key, others, n=1) or [name for name in others if name.lower() == key.lower()]
    return f" Did you mean {close[0]!r}?" if close else ""
