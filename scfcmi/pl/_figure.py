"""Where plots go: into axes that are given, or a figure of their own; shown, or handed out."""

from __future__ import annotations

import functools
import math
import sys
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np

from scfcmi import _validate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches. A column of a paper is 3.3 to 3.5 wide: a figure of one panel is printed as it is, at the size of its text.
COLUMN = 3.4
# What scanpy.set_figure_params and style sheets make larger than there is room for.
_SIZES = (
    "font.size",
    "figure.titlesize",
    "axes.titlesize",
    "axes.labelsize",
    "xtick.labelsize",
    "ytick.labelsize",
    "legend.fontsize",
    "legend.title_fontsize",
    "legend.handlelength",
    "legend.handletextpad",
    "legend.columnspacing",
    "axes.grid",
    "axes.linewidth",
)
_P, _R = ParamSpec("_P"), TypeVar("_R")


def at_print_size(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let ``draw`` use matplotlib's own sizes of text, for which plots make room; settings are restored after it."""

    @functools.wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        import matplotlib as mpl

        # Arguments of every plot, checked before any draws or sets colors.
        if kwargs.get("show") is not None:
            _validate.boolean("show", kwargs["show"])
        _validate.boolean("return_fig", kwargs.get("return_fig", False))
        open_before = _open_figures()
        try:
            with mpl.rc_context({name: mpl.rcParamsDefault[name] for name in _SIZES}):
                return draw(*args, **kwargs)
        except BaseException:
            # A notebook would show what was drawn so far.
            for number in _open_figures() - open_before:
                sys.modules["matplotlib.pyplot"].close(number)
            raise

    return drawn


def _open_figures() -> set[int]:
    """Return the numbers of pyplot's figures: none before it is imported, which a figure of the user's own does not need."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    return set() if pyplot is None else set(pyplot.get_fignums())


def panels(
    n: int,
    ax: Axes | Sequence[Axes] | None,
    *,
    width: float = COLUMN,
    height: float | Sequence[float] = 2.6,
    n_columns: int = 1,
) -> list[Axes]:
    """Return ``n`` axes: those given, or of a new figure, row by row.

    ``width`` and ``height`` are a panel's, in inches; ``height`` may differ from row to row.

    Raises
    ------
    TypeError
        If what is given are no axes.
    ValueError
        If their number is not ``n``.
    """
    if ax is not None:
        return _given_axes(ax, n)
    import matplotlib.pyplot as plt

    n_columns = min(n, n_columns)
    n_rows = math.ceil(n / n_columns)
    heights = [height] * n_rows if isinstance(height, float) else list(height)
    figure = plt.figure(figsize=(n_columns * width, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(n_rows, n_columns, height_ratios=heights)
    return [figure.add_subplot(grid[divmod(i, n_columns)]) for i in range(n)]


def _given_axes(ax: Axes | Sequence[Axes], n: int) -> list[Axes]:
    """Return the axes that the user gave, checked, without a grid."""
    from matplotlib.axes import Axes

    given = [ax] if isinstance(ax, Axes) or not np.iterable(ax) or isinstance(ax, str) else list(ax)
    wrong = [panel for panel in given if not isinstance(panel, Axes)]
    if wrong:
        msg = f"ax must be matplotlib axes, one a panel ({n}), got {wrong[0]!r}."
        raise TypeError(msg)
    if len(given) != n:
        msg = f"ax must be {n} axes, one a panel, got {len(given)}."
        raise ValueError(msg)
    for panel in given:
        panel.grid(visible=False)
    return given


def hand_out(
    axes: list[Axes],
    *,
    given: object,
    show: bool | None,
    return_fig: bool,
    single: bool = False,
    formulas: bool = False,
) -> Axes | list[Axes] | Figure | None:
    """Return axes (``single``: the first alone) or the figure; or show it, and return ``None``.

    With ``show=None`` the figure is shown if scanpy would show it. A figure whose axes were ``given`` is not: its owner
    has not finished. Without ``formulas``, dollars are dollars: a name such as ``"$x$"`` is no formula.
    """
    for panel in axes:
        _fix_ticks(panel)
    if not formulas:
        no_formulas(axes)
    if return_fig:
        return axes[0].figure
    if show is None and given is None:
        import scanpy as sc

        show = sc.settings.autoshow
    if show:
        import matplotlib.pyplot as plt

        plt.show()
        return None
    return axes[0] if single else axes


def is_light(background: tuple[float, ...]) -> bool:
    """Return whether black reads better than white on a color: red, green, blue, and how opaque it is."""
    return background[3:] == (0,) or bool(np.dot(background[:3], (0.299, 0.587, 0.114)) > 0.5)


def no_formulas(axes: list[Axes]) -> None:
    """Let dollars in texts be dollars."""
    from matplotlib.text import Text

    for panel in axes:
        for text in panel.findobj(Text):
            text.set_parse_math(False)


def _fix_ticks(ax: Axes) -> None:
    """Keep the size of tick labels: matplotlib may make ticks again on drawing, when other settings hold."""
    for part in (ax, *ax.child_axes):
        for axis in (part.xaxis, part.yaxis):
            for name in axis.get_ticklabels()[:1]:
                axis.set_tick_params(labelsize=name.get_fontsize())
