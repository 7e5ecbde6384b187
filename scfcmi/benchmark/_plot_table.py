from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfcmi import _validate
from scfcmi.metrics._table import METRICS
from scfcmi.pl._figure import at_print_size, hand_out, panels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Rows that bound what a method can reach; they are not compared.
_BOUNDS = {"labels": "true labels", "oracle-repair": "oracle repair"}
# Inches: a field, a letter of a name, and what stands above rows.
_WIDE, _HIGH, _LETTER, _ABOVE = 0.72, 0.21, 0.075, 0.6
# The darkest field, between 0 and 1: black text can be read on it.
_DARKEST = 0.45


@at_print_size
def plot_table(
    results: pd.DataFrame | str | os.PathLike[str],
    metrics: Sequence[str] | None = None,
    *,
    dataset: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> list[Axes] | Figure | None:
    """Draw the table of a benchmark: mean and spread over seeds, the best in bold, the darker the better.

    Colors go from the worst to the best mean of a column. The true labels and their oracle repair bound what a method
    can reach: they stand apart, and are neither colored nor marked.

    Parameters
    ----------
    results
        Folder of results, after ``scfcmi benchmark report``; or its ``report.csv`` as a data frame.
    metrics
        Columns to draw. ``None`` takes all seven.
    dataset
        Data set to draw. ``None`` draws all, a panel for each, and for each part of one.
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
    FileNotFoundError
        If the folder holds no report.
    KeyError
        If the report has no such data set, or there is no such metric.
    ValueError
        If the number of ``ax`` is not the number of panels.
    """
    metrics = [name for name, _, _ in METRICS] if metrics is None else _validate.names("metrics", metrics)
    table = results if isinstance(results, pd.DataFrame) else _read(results)
    for name in metrics:
        _validate.key_in([known for known, _, _ in METRICS], name, "the report")
    _validate.table("results", table, ("dataset", "subset", "method", "epochs", "note"))
    if dataset is not None:
        _validate.key_in(table["dataset"].unique(), dataset, "the report")
        table = table[table["dataset"] == dataset]
    parts = [
        (name if pd.isna(subset) else f"{name}, {subset:.0f} samples", rows)
        for (name, subset), rows in table.groupby(["dataset", "subset"], sort=False, dropna=False)
    ]
    names = _LETTER * max(len(_name(row)) for _, row in table.iterrows())
    heights = [_HIGH * len(rows) + _ABOVE for _, rows in parts]
    axes = panels(len(parts), ax, width=names + _WIDE * len(metrics), height=heights)
    for (title, rows), panel in zip(parts, axes, strict=True):
        _draw(panel, rows, metrics)
        panel.set_title(title, fontsize="medium", loc="left")
    return hand_out(axes, given=ax, show=show, return_fig=return_fig)


def _read(folder: str | os.PathLike[str]) -> pd.DataFrame:
    _validate.path("results", folder)
    path = Path(folder) / "report.csv"
    if not path.is_file():
        msg = f"no report in {os.fspath(folder)!r}. Run: scfcmi benchmark report {os.fspath(folder)}"
        raise FileNotFoundError(msg)
    return pd.read_csv(path)


def _name(row: pd.Series) -> str:
    epochs = "" if pd.isna(row["epochs"]) else f" ({row['epochs']:.0f} epochs)"
    return _BOUNDS.get(row["method"], row["method"]) + epochs


def _draw(ax: Axes, rows: pd.DataFrame, metrics: list[str]) -> None:
    import matplotlib as mpl

    rows = rows.sort_values("method", key=lambda column: ~column.isin(list(_BOUNDS)), kind="stable")
    bounds = rows["method"].isin(list(_BOUNDS)).to_numpy()
    columns = {name: (heading, more) for name, heading, more in METRICS}
    colors = np.ones((len(rows), len(metrics), 3))
    for j, metric in enumerate(metrics):
        # As shown: what is equal to one digit shares the mark of the best.
        means = rows[metric].to_numpy(float).round(1)
        merit = _merit(np.where(bounds, np.nan, means if columns[metric][1] else -means))
        for i, (mean, spread) in enumerate(zip(means, rows[f"{metric}_sd"], strict=True)):
            if not np.isnan(merit[i]):
                colors[i, j] = mpl.colormaps["Blues"](_DARKEST * merit[i])[:3]
            if not np.isnan(mean):
                text = f"{mean:.1f}" + ("" if pd.isna(spread) else f" ± {spread:.1f}")
                weight = "bold" if merit[i] == 1 else "normal"
                ax.text(j, i, text, ha="center", va="center", fontsize="x-small", fontweight=weight)
    ax.imshow(colors, aspect="auto", interpolation="nearest")
    # By astype(object): where no row has a note, the column of a report that is read is one of numbers.
    for i, note in enumerate(rows["note"].astype(object).fillna("").astype(str)):
        if note and np.isnan(rows[metrics].iloc[i].to_numpy(float)).all():
            ax.text(-0.4, i, note, va="center", fontsize="x-small", color="#666666", clip_on=True)
    ax.hlines([i + 0.5 for i in range(len(rows) - 1)], -0.5, len(metrics) - 0.5, colors="white", lw=1)
    if 0 < bounds.sum() < len(rows):
        ax.axhline(bounds.sum() - 0.5, color="black", lw=0.8)
    ax.set_yticks(range(len(rows)), [_name(row) for _, row in rows.iterrows()], fontsize="small")
    ax.set_xticks(range(len(metrics)), [columns[m][0] for m in metrics], fontsize="small")
    ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)


def _merit(values: np.ndarray) -> np.ndarray:
    """Scale values from 0, the worst, to 1, the best. All equal: 1. A single one: NaN, for there is none to compare."""
    known = values[~np.isnan(values)]
    if len(known) < 2:
        return np.full_like(values, np.nan)
    if known.max() == known.min():
        return np.where(np.isnan(values), np.nan, 1.0)
    return (values - known.min()) / (known.max() - known.min())
