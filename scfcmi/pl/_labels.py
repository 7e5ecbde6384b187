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


def legend_size(names: Collection[object], height: float) -> tuple[float, int]:
    """Return about how wide, in inches, a legend is that has ``height``, and in how many columns it stands."""
    if len(names) > _MOST:
        names = [_number(names)]
    n_columns = max(1, math.ceil(len(names) / max(1, int((height - 0.2) / _LINE))))
    return n_columns * (0.3 + _LETTER * max((len(str(name)) for name in names), default=0)), n_columns


def legend(ax: Axes, colors: Mapping[object, str], height: float, *, title: str | None = None) -> None:
    """Add names of colors to the right of ``ax``, or their number if too many; ``height`` is the room, in inches."""
    from matplotlib.lines import Line2D

    if len(colors) > _MOST:
        title, colors = _number(colors) if title is None else f"{title}\n{_number(colors)}", {}
    ax.legend(
        handles=[Line2D([], [], ls="", marker="o", ms=5, color=c, label=str(name)) for name, c in colors.items()],
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


def name_columns(ax: Axes, names: Collection[object], width: float) -> None:
    """Name the positions 0, 1, ... along x in ``width`` inches: upright where there is no room, not all if too many."""
    longest = max(len(str(name)) for name in names) * _LETTER
    step = width / len(names)
    shown = np.arange(0, len(names), math.ceil(_LINE * 0.75 / step))
    upright = longest > step and longest > 0.2
    ax.set_xticks(shown, [str(list(names)[i]) for i in shown], rotation=90 if upright else 0, fontsize="small")
    ax.tick_params(axis="x", length=0)


def name_rows(ax: Axes, names: Collection[object], height: float) -> None:
    """Name the positions 0, 1, ... along y in ``height`` inches: not all if too many."""
    shown = np.arange(0, len(names), math.ceil(_LINE * 0.75 * len(names) / height))
    ax.set_yticks(shown, [str(list(names)[i]) for i in shown], fontsize="small")
    ax.tick_params(axis="y", length=0)


def scale(ax: Axes, colors: object, label: str) -> None:
    """Add the scale of a heat map, or of points, close to the right of ``ax``."""
    beside = ax.inset_axes((1.03, 0, 0.04, 1))
    bar = ax.figure.colorbar(colors, cax=beside)
    bar.set_label(label, fontsize="small")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize="small")
