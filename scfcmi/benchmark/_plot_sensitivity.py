from __future__ import annotations

from typing import TYPE_CHECKING

from scfcmi import _validate
from scfcmi.metrics._table import METRICS
from scfcmi.pl._figure import at_print_size, hand_out, panels
from scfcmi.pl._heat import draw_heat_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches: a field, and what stands beside and below a map.
_FIELD, _BESIDE, _BELOW = 0.34, 0.8, 0.8
_HEADINGS = {name: heading for name, heading, _ in METRICS}


@at_print_size
def plot_sensitivity(
    table: pd.DataFrame,
    metrics: Sequence[str] = ("accuracy", "mnce"),
    *,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> list[Axes] | Figure | None:
    """Draw metrics over the weights of the objective, in percent: Fig. 5 of Zeng et al. (CVPR 2023).

    Parameters
    ----------
    table
        A row for each pair of weights, with columns ``alpha``, ``beta`` and the metrics, between 0 and 1.
        ``scfcmi benchmark figure 5`` writes it as CSV.
    metrics
        Columns to draw, a panel each.
    ax
        Axes to draw in, one a panel. ``None`` makes a figure.
    show
        Whether to show the figure. ``None`` leaves it to ``scanpy.settings.autoshow``, and does not show where ``ax``
        is given.
    return_fig
        Whether to return the figure instead.

    Returns
    -------
    The axes, one a panel; the figure if ``return_fig``; ``None`` if shown.

    Raises
    ------
    KeyError
        If ``table`` lacks a column.
    ValueError
        If a pair of weights comes twice, or the number of ``ax`` is not the number of panels.
    """
    _validate.table("table", table, ("alpha", "beta", *_validate.names("metrics", metrics)))
    if table.duplicated(["alpha", "beta"]).any():
        msg = "table has a pair of alpha and beta more than once. Give the mean over seeds."
        raise ValueError(msg)
    size = (_FIELD * table["beta"].nunique(), _FIELD * table["alpha"].nunique())
    axes = panels(len(metrics), ax, width=size[0] + _BESIDE, height=size[1] + _BELOW, n_columns=3)
    for metric, panel in zip(metrics, axes, strict=True):
        grid = 100 * table.pivot(index="alpha", columns="beta", values=metric)
        grid = grid.sort_index(ascending=False).rename("{:g}".format).rename(columns="{:g}".format)
        label = "percent" if panel is axes[-1] else None
        draw_heat_map(panel, grid, size=size, cmap="viridis", limits=(0, 100), label=label, digits=0)
        panel.set(title=_HEADINGS.get(metric, metric), xlabel="beta", ylabel="alpha")
    return hand_out(axes, given=ax, show=show, return_fig=return_fig)
