from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scfcmi.pl._figure import is_light
from scfcmi.pl._labels import name_columns, name_rows, scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Inches of a cell whose number can be read, high and for each letter wide.
_HIGH, _LETTER = 0.15, 0.06


def draw_heat_map(
    ax: Axes,
    table: Any,
    *,
    size: tuple[float, float],
    cmap: str,
    limits: tuple[float, float],
    label: str | None,
    digits: int = 1,
) -> None:
    """Draw a data frame as a heat map with names, a scale, and numbers where there is room.

    Parameters
    ----------
    ax
        Where.
    table
        Numbers; the index names rows, columns name columns. Missing numbers stay empty.
    size
        Width and height of the map, in inches.
    cmap, limits, label
        Colors, the values of the first and the last, and what they mean; ``None`` draws no scale.
    digits
        Digits after the point.
    """
    from matplotlib.colors import Normalize

    width, height = size
    values = table.to_numpy(float)
    image = ax.imshow(values, cmap=cmap, norm=Normalize(*limits), aspect="auto", interpolation="nearest")
    name_columns(ax, table.columns, width)
    name_rows(ax, table.index, height)
    ax.spines[:].set_visible(False)
    if label is not None:
        beyond = (bool((values < limits[0]).any()), bool((values > limits[1]).any()))
        extend = {(True, False): "min", (False, True): "max", (True, True): "both"}.get(beyond, "neither")
        scale(ax, image, label, extend=extend)
    # Zero plus a negative zero has no sign.
    texts = [[f"{v + 0.0:.{digits}f}" for v in row] for row in values.round(digits)]
    longest = max(len(text) for row in texts for text in row)
    if height / len(values) < _HIGH or width / values.shape[1] < _LETTER * longest:
        return
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            color = "black" if is_light(image.to_rgba(value)) else "white"
            ax.text(j, i, texts[i][j], ha="center", va="center", fontsize="x-small", color=color)
