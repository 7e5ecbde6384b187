from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfcmi import _validate
from scfcmi._adata import check_adata, own, table_in_memory
from scfcmi.pl._colors import categories, colors_of, keep_colors
from scfcmi.pl._figure import at_print_size, hand_out, panels
from scfcmi.pl._labels import legend, legend_size
from scfcmi.pl._palette import palette

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SYMBOLS = {"H_C": "H(C)", "H_C_given_X": "H(C|X)", "I_G_C": "I(G;C)", "I_X_C_given_G": "I(X;C|G)"}
# The panel of these four at the end of training.
_INFORMATION = "information"
# Columns of a history, and what they are called in papers; others go by their own name.
_TITLES = {
    "loss": "loss",
    "L_rec": r"$L_\mathrm{rec}$",
    "L_clu": r"$L_\mathrm{clu}$, nats",
    "L_fair": r"$L_\mathrm{fair}$, nats",
    "L_agr": r"$L_\mathrm{agr}$",
    "L_smooth": r"$L_\mathrm{smooth}$",
    "frac_with_counterpart": "share with counterpart",
    "changed": "share reassigned",
    "code_shift": "code shift, 1 - cosine",
    "sizes": "cells in clusters",
    _INFORMATION: "information at the end",
} | {name: f"{symbol}, nats" for name, symbol in _SYMBOLS.items()}
_SIZE = re.compile(r"size_(\d+)")
_WARMUP = "#e6e6e6"
# Inches of a panel.
_WIDE, _HIGH = 2.2, 1.6


@at_print_size
def history(
    data: AnnData | pd.DataFrame | Mapping[str, pd.DataFrame],
    terms: Sequence[str] | None = None,
    *,
    key: str = "fcmi",
    warmup_epochs: int | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> list[Axes] | Figure | None:
    """Draw the course of training: a panel for each term, over epochs.

    Training has settled if the curves are flat at the end. In paper mode,
    ``history(adata, ["I_X_C_given_G", "I_G_C"])`` draws the two terms of Fig. 6 of Zeng et al. (CVPR 2023).

    Parameters
    ----------
    data
        Annotated data that ``fair_cluster`` has written to. Or a history, such as ``FCMI.history_``: a row for each epoch.
        Or a dictionary of several histories by name, to compare them.
    terms
        Columns of the history. ``"sizes"`` draws the number of cells in each cluster. ``"information"`` draws H(C), H(C|X),
        I(G;C) and I(X;C|G) at the end. ``None`` draws all there are, and sizes for a single history only.
    key
        The ``key_added`` of ``fair_cluster``.
    warmup_epochs
        Number of epochs at the start that trained on reconstruction alone. They are marked in gray. ``None`` takes the
        number that ``fair_cluster`` stored.
    ax
        Axes to draw in, one for each panel. ``None`` makes a figure.
    show
        Whether to show the figure. ``None`` follows ``scanpy.settings.autoshow``, and shows nothing if ``ax`` is given.
    return_fig
        Whether to return the figure, to save it or to change it.

    Returns
    -------
    A list of axes, one for each panel. The figure, if ``return_fig``. ``None``, if the figure was shown.

    Raises
    ------
    KeyError
        If ``fair_cluster`` has not been run under this key, or a term is not in a history.
    ValueError
        If the number of ``ax`` is not the number of panels.
    """
    from matplotlib.ticker import MaxNLocator

    colors, information = None, {}
    if warmup_epochs is not None:
        _validate.integer("warmup_epochs", warmup_epochs, minimum=0)
    if isinstance(data, pd.DataFrame):
        runs = {"": data}
    elif isinstance(data, Mapping):
        runs = dict(data)
        if not runs or not all(isinstance(run, pd.DataFrame) for run in runs.values()):
            msg = f"data must name histories, data frames such as FCMI.history_, got {data!r}."
            raise TypeError(msg)
    else:
        check_adata(data)
        hint = f"Run scfcmi.tl.fair_cluster(adata, batch_key, key_added={key!r}) first."
        _validate.key_in(data.uns.keys(), key, "adata.uns", hint=hint)
        stored = own(data, key)
        _validate.key_in(stored.keys(), "history", f"adata.uns[{key!r}]", hint=hint)
        runs = {"": table_in_memory(stored["history"])}
        colors = colors_of(data, key, categories(data, key, hint=hint).categories)
        if warmup_epochs is None:
            warmup_epochs = stored["params"].get("warmup_epochs")
        information = dict(stored.get("information", {}))
    runs = {name: run.set_axis(pd.to_numeric(run.index)) for name, run in runs.items()}
    if terms is None:
        terms = _terms(next(iter(runs.values())), sizes=len(runs) == 1)
        # Paper mode has these terms epoch by epoch; elsewhere they are known at the end only.
        terms += [_INFORMATION] * (bool(information) and not set(information) <= set(terms))
    if isinstance(terms, str) or not np.iterable(terms):
        msg = f"terms must be a list of columns of the history, got {terms!r}."
        raise TypeError(msg)
    for run in runs.values():
        for term in terms:
            _validate.key_in(_terms(run, sizes=True) + [_INFORMATION] * bool(information), term, "the history")

    lines = dict(zip(runs, palette(len(runs)), strict=True))
    n_columns = 2 if len(terms) == 4 else min(len(terms), 3)
    beside = legend_size(runs, _HIGH)[0] / n_columns if len(runs) > 1 else 0.0
    axes = panels(len(terms), ax, width=_WIDE + beside, height=_HIGH, n_columns=n_columns)
    for term, panel in zip(terms, axes, strict=True):
        panel.set_title(_TITLES.get(term, term), fontsize="medium")
        panel.tick_params(labelsize="small")
        panel.spines[["top", "right"]].set_visible(False)
        if term == _INFORMATION:
            panel.barh([_SYMBOLS[name] for name in reversed(information)], list(reversed(information.values())))
            panel.set_xlabel("nats", fontsize="small")
            continue
        for name, run in runs.items():
            if term == "sizes":
                _draw_sizes(panel, run, colors)
            else:
                panel.plot(run.index, run[term], color=lines[name], lw=1.2, label=name)
        if warmup_epochs:
            panel.axvspan(0.5, warmup_epochs + 0.5, color=_WARMUP, lw=0, zorder=0, label="warm-up")
        panel.set_xlabel("epoch", fontsize="small")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        panel.margins(x=0.02)
    if len(runs) > 1:
        legend(axes[n_columns - 1], lines | ({"warm-up": _WARMUP} if warmup_epochs else {}), _HIGH)
    elif warmup_epochs:
        axes[0].legend(frameon=False, fontsize="small")
    if colors is not None:
        keep_colors(data, {key: colors})
    return hand_out(axes, given=ax, show=show, return_fig=return_fig, formulas=True)


def _terms(run: pd.DataFrame, *, sizes: bool) -> list[str]:
    terms = [str(column) for column in run.columns if not _SIZE.fullmatch(str(column))]
    return [*terms, "sizes"] if sizes and len(terms) < run.shape[1] else terms


def _draw_sizes(ax: Axes, run: pd.DataFrame, colors: dict[object, str] | None) -> None:
    found = [(column, match[1]) for column in run.columns if (match := _SIZE.fullmatch(str(column)))]
    if colors is None:
        colors = dict(zip((name for _, name in found), palette(len(found)), strict=True))
    for column, name in found:
        # A cluster that lost all its cells is no category any more.
        ax.plot(run.index, run[column], color=colors.get(name, "#999999"), lw=1)
