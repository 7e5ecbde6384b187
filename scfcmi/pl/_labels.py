"""Names beside colors and along axes, so that they can be read whatever their number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from matplotlib.axes import Axes

# Inches that a line, and a letter, of small text take.
_LINE, _LETTER = 0.18, 0.075
# More names than this are not listed: nobody finds a color among them, and the list is wider than the plot.
_MOST = 40
# Letters of a name beside a plot. Room below a plot that short names take, in inches.
_MOST_LETTERS, _SHORT = 40, 0.25


def legend_size(names: Collection[object], height: float) -> tuple[float, int]:
    """Return about how wide, in inches, a legend is that has ``height``, and in how many columns it stands."""
    if len(names) > _MOST:
        names = [_number(names)]
    n_columns = max(1, math.ceil(len(names) / max(1, int((height - 0.2) / _LINE))))
    return n_columns * (0.3 + row_names_width(names)), n_columns


def legend(ax: Axes, colors: Mapping[object, str], height: float, *, title: str | None = None) -> None:
    """Add names of colors to the right of ``ax``, or their number if too many; ``height`` is the room, in inches."""
    from matplotlib.lines import Line2D

    if len(colors) > _MOST:
        title, colors = _number(colors) if title is None else f"{title}\n{_number(colors)}", {}
    ax.legend(
        handles=[Line2D([], [], ls="", marker="o", ms=5, color=c, label=short(name)) for name, c in colors.items()],
        title=title,
        loc="upper left" if title else "center left",
        bbox_to_anchor=(1, 1 if title else 0.5),
        frameon=False,
        fontsize="small",
        handletextpad=0.1,
        borderaxespad=0,
        columnspacing=1,
        ncols=legend_size(colors, height)[1],
    )


def _number(names: Collection[object]) -> str:
    return f"{len(names)} colors"


def short(name: object) -> str:
    """Return a name without its middle, if it is longer than plots have room for: long names often differ at their end."""
    text, half = str(name), _MOST_LETTERS // 2
    return text if len(text) <= _MOST_LETTERS else f"{text[:half]}…{text[1 - half :]}"


def row_names_width(names: Collection[object]) -> float:
    """Return about how wide, in inches, the longest name is."""
    return _LETTER * max((len(short(name)) for name in names), default=0)


def column_names_height(names: Collection[object], width: float) -> float:
    """Return the inches that :func:`name_columns` needs more than for short names."""
    return max(0.0, row_names_width(names) - _SHORT) if _upright(names, width) else 0.0


def _upright(names: Collection[object], width: float) -> bool:
    longest = row_names_width(names)
    return longest > width / len(names) and longest > 0.2


def name_columns(ax: Axes, names: Collection[object], width: float) -> None:
    """Name the positions 0, 1, ... along x in ``width`` inches: upright where there is no room, not all if too many."""
    shown = shown_columns(len(names), width)
    rotation = 90 if _upright(names, width) else 0
    ax.set_xticks(shown, [short(list(names)[i]) for i in shown], rotation=rotation, fontsize="small")
    ax.tick_params(axis="x", length=0)


def shown_columns(n_columns: int, width: float) -> np.ndarray:
    """Return which columns have room for an upright text."""
    return np.arange(0, n_columns, math.ceil(_LINE * 0.75 * n_columns / width))


def name_rows(ax: Axes, names: Collection[object], height: float) -> None:
    """Name the positions 0, 1, ... along y in ``height`` inches: not all if too many."""
    shown = np.arange(0, len(names), math.ceil(_LINE * 0.75 * len(names) / height))
    ax.set_yticks(shown, [short(list(names)[i]) for i in shown], fontsize="small")
    ax.tick_params(axis="y", length=0)


def scale(ax: Axes, colors: object, label: str, *, extend: str = "neither") -> None:
    """Add the scale of a heat map, or of points, close to the right of ``ax``; ``extend`` points beyond its ends."""
    beside = ax.inset_axes((1.03, 0, 0.04, 1))
    bar = ax.figure.colorbar(colors, cax=beside, extend=extend)
    bar.set_label(label, fontsize="small")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize="small")
