"""Cells of a map as a page keeps them: two bytes a coordinate and one or two a name, in drawing order."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np

from scfcmi._shown import shown
from scfcmi.pl._places import middle, spread

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

# A page of more cells is slow to click, and large: these are drawn by chance, and small clusters in full.
_MOST_CELLS, _IN_FULL = 200_000, 500
_LAST = 65_535
# Pixels of a map, of a letter and of a line, by which names are kept apart; and how far above a small cluster one stands.
_SIDE, _LETTER, _LINE, _ABOVE = 360, 9.0, 17.0, 14.0


def maps(place: np.ndarray, values: Mapping[str, pd.Categorical], colors: Mapping[str, list[str]]) -> dict[str, object]:
    """Return the cells for the page's script.

    Parameters
    ----------
    place
        Coordinates, shape (n_cells, 2).
    values
        Names of the cells by column; the first column holds the clusters.
    colors
        A color for each name.

    Returns
    -------
    What JSON holds: ``n`` cells of ``total``, ``x`` and ``y`` (base64 of unsigned 16 bit), ``maps``: for each column its
    names, colors and ``codes`` (base64 of unsigned 8 or 16 bit; the number after the last name stands for none), and
    ``names`` of clusters with their places, between 0 and 1.
    """
    clusters = next(iter(values.values()))
    order = _drawn(np.asarray(clusters.codes))
    place = np.asarray(place, float)[order]
    low, wide = place.min(axis=0), np.maximum(np.ptp(place, axis=0), 1e-9)
    grid = np.rint((place - low) / wide * _LAST).astype("<u2")
    return {
        "n": len(order),
        "total": len(clusters),
        "x": _base64(grid[:, 0]),
        # Pages count from the top.
        "y": _base64(_LAST - grid[:, 1]),
        "maps": [_map(column, of, colors[column], order) for column, of in values.items()],
        "names": _names(grid / _LAST, clusters[order]),
    }


def _drawn(clusters: np.ndarray) -> np.ndarray:
    """Return cells in random order, so that no batch hides another."""
    order = np.random.default_rng(0).permutation(len(clusters))
    if len(order) <= _MOST_CELLS:
        return order
    _, codes, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    # Of each cluster an even share, but at least so many.
    share = _MOST_CELLS / len(order)
    wanted = np.maximum(np.rint(sizes * share), np.minimum(sizes, _IN_FULL)).astype(np.int64)
    by_cluster = order[np.argsort(codes[order], kind="stable")]
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = np.zeros(len(order), bool)
    kept[by_cluster[rank < np.repeat(wanted, sizes)]] = True
    return order[kept[order]]


def _map(column: str, values: pd.Categorical, colors: list[str], order: np.ndarray) -> dict[str, object]:
    n_names = len(values.categories)
    codes = np.asarray(values.codes, np.int64)[order]
    wide = n_names > 255
    codes = np.where(codes < 0, n_names, codes).astype("<u2" if wide else "u1")
    counts = np.bincount(np.asarray(values.codes, np.int64) + 1, minlength=n_names + 1)
    return {
        "column": shown(column),
        "values": [shown(str(name)) for name in values.categories],
        "sizes": [*counts[1:].tolist(), int(counts[0])],
        "colors": list(colors[:n_names]),
        "wide": wide,
        "codes": _base64(codes),
    }


def _names(place: np.ndarray, clusters: pd.Categorical) -> list[list[object]]:
    """Return code, x and y of each cluster's name: its middle cell, moved apart from other names."""
    codes = np.asarray(clusters.codes)
    found = [code for code in range(len(clusters.categories)) if (codes == code).any()]
    if not found:
        return []
    wanted = []
    for code in found:
        center, hidden = middle(place[codes == code], np.ones(2))
        wanted.append(center * _SIDE + (0, _ABOVE if hidden else 0))
    sizes = np.array([(_LETTER * len(str(clusters.categories[code])) + 4, _LINE) for code in found])
    room = np.array([[0.0, 0.0], [_SIDE, _SIDE]])
    places = spread(np.array(wanted), sizes, room) / _SIDE
    return [[code, round(float(x), 4), round(float(1 - y), 4)] for code, (x, y) in zip(found, places, strict=True)]


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
