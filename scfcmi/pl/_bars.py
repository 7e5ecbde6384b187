from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfcmi.pl._labels import column_names_height, legend, name_columns, shown_columns

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Inches that stand left of and below bars.
LEFT, BELOW = 0.6, 0.7
# Inches: a bar, the least and most of all of them; a part of a bar, the least and most of all.
_BAR, _LEAST, _MOST, _PART, _LOW, _HIGH = 0.24, 1.9, 7.0, 0.16, 1.9, 3.6
# The most parts of a bar whose expected shares are drawn as lines.
_LINES = 12
# Inches that a letter of a number of cells takes.
_LETTER = 0.065


def bars_size(counts: pd.DataFrame) -> tuple[float, float]:
    """Return width and height, in inches, of the bars that :func:`draw_bars` draws."""
    n_parts, n_bars = counts.shape
    width, height = np.clip((_BAR * (n_bars + 1), _PART * n_parts), (_LEAST, _LOW), (_MOST, _HIGH)).tolist()
    return width, height


def below_bars(counts: pd.DataFrame, size: tuple[float, float]) -> float:
    """Return the inches that stand above and below the bars of :func:`draw_bars`."""
    return BELOW + column_names_height(["all", *counts.columns], size[0])


def draw_bars(
    ax: Axes, counts: pd.DataFrame, colors: dict[object, str], size: tuple[float, float], *, title: str
) -> None:
    """Draw shares as stacked bars: one of all cells, and one for each column of ``counts``.

    Parameters
    ----------
    ax
        Where.
    counts
        Numbers of cells: parts of a bar by bars, none of them empty.
    colors
        Color of each part.
    size
        Width and height of the bars, in inches.
    title
        What the parts are.
    """
    width, height = size
    names = ["all", *counts.columns]
    numbers = np.column_stack([counts.sum(axis=1), counts])
    totals = numbers.sum(axis=0)
    bottom = np.zeros(len(names))
    for name, values in zip(counts.index, numbers / totals, strict=True):
        ax.bar(range(len(names)), values, bottom=bottom, width=0.8, color=colors[name], label=str(name))
        bottom += values
    if len(counts) <= _LINES:
        expected = (numbers[:, 0] / totals[0]).cumsum()[:-1]
        ax.hlines(expected, -0.4, len(names) - 0.6, colors="black", lw=0.8, ls=(0, (4, 3)))
    texts = [f"{total:,}" for total in totals]
    upright = _LETTER * max(map(len, texts)) > width / len(names)
    for i in shown_columns(len(texts), width):
        ax.text(i, 1.02, texts[i], ha="center", va="bottom", fontsize="x-small", rotation=90 if upright else 0)
    name_columns(ax, names, width)
    ax.set(xlim=(-0.5, len(names) - 0.5), ylim=(0, 1))
    ax.tick_params(axis="y", labelsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    legend(ax, {name: colors[name] for name in counts.index[::-1]}, height, title=title)
