"""Which cells a map of many shows: what others hide to the pixel is not drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

# With more cells than this, only those are drawn that can be seen on a map of so many pixels a side: over 300 an inch.
_MANY, _PIXELS = 100_000, 720


def height(values: pd.Series, settings: dict[str, Any]) -> np.ndarray:
    """Return by what scanpy orders cells before it draws them, the highest on top: numbers, and what a setting selects."""
    numbers = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if not settings.get("sort_order", True):
        return np.zeros(len(values))
    of_cells = values.to_numpy(float, na_value=np.nan, copy=True) if numbers else np.where(values.isna(), np.nan, 0)
    if settings.get("groups") is not None and not numbers:
        of_cells[~values.isin(np.atleast_1d(settings["groups"]))] = np.nan
    # Of another length, scanpy says so.
    if np.shape(settings.get("mask_obs")) == values.shape:
        of_cells[~np.asarray(settings["mask_obs"], bool)] = np.nan
    return np.where(np.isnan(of_cells), -np.inf, of_cells)


def visible(
    order: np.ndarray, place: np.ndarray, heights: Sequence[np.ndarray], split: np.ndarray | None
) -> np.ndarray:
    """Return the drawing order without cells that others hide to the pixel in every panel: a million draw slowly."""
    if len(order) <= _MANY:
        return order
    low, wide = place.min(axis=0), np.maximum(np.ptp(place, axis=0), 1e-9)
    x, y = ((place - low) / wide * (_PIXELS - 1)).astype(np.int64).T
    # Of each panel for itself: what its own cells do not hide is seen.
    pixel = x * _PIXELS + y + (0 if split is None else (split.astype(np.int64) + 1) * _PIXELS**2)
    seen = np.zeros(len(order), bool)
    for of_cells in heights:
        drawn = order[np.argsort(of_cells[order], kind="stable")][::-1]
        seen[drawn[np.unique(pixel[drawn], return_index=True)[1]]] = True
    return order[seen[order]]
