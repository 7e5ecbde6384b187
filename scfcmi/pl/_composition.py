from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from scfcmi import _validate
from scfcmi._adata import check_adata, own
from scfcmi.pl._bars import BELOW, LEFT, bars_size, below_bars, draw_bars
from scfcmi.pl._colors import categories, colors_of, keep_colors
from scfcmi.pl._figure import at_print_size, hand_out, panels
from scfcmi.pl._heat import draw_heat_map
from scfcmi.pl._labels import column_names_height, legend_size, row_names_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KINDS = ("clusters", "batches", "enrichment")
# Inches: a field of the heat map, the least and most of all of them.
_WIDE, _HIGH, _LEAST, _MOST = 0.24, 0.24, (1.9, 0.9), (7.0, 3.6)
# And what its label and its scale take.
_LABEL, _OF_SCALE = 0.3, 0.8
# The most that the heat map tells apart: sixteen times as many cells as expected.
_SCALE = 4.0


@at_print_size
def composition(
    adata: AnnData,
    batch_key: str | None = None,
    *,
    key: str = "fcmi",
    kind: Literal["clusters", "batches", "enrichment"] | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> list[Axes] | Figure | None:
    """Draw which batches are in each cluster, and which clusters are in each batch.

    Each bar shows shares, with the number of cells above it. The first bar shows all cells that have both a cluster and a
    batch. Dashed lines mark its shares in
    the other bars, if there are at most twelve. A bar that follows these lines does not depend on the batch.

    The heat map compares each number of cells with the number expected if clusters did not depend on the batch. It shows
    log2 of the ratio: 1 is twice as many cells as expected, -1 half as many. One half is added to both numbers, so that an
    empty field of a tiny cluster does not stand out.

    Parameters
    ----------
    adata
        Annotated data with clusters.
    batch_key
        Column of ``adata.obs``. ``None`` takes the one that ``fair_cluster`` was given.
    key
        Column of ``adata.obs`` that holds the clusters: the ``key_added`` of ``fair_cluster``, or any other.
    kind
        ``"clusters"`` draws bars of batches in each cluster. ``"batches"`` draws bars of clusters in each batch.
        ``"enrichment"`` draws the heat map. ``None`` draws all three, one below the other.
    ax
        Axes to draw in, one for each panel. ``None`` makes a figure.
    show
        Whether to show the figure. ``None`` follows ``scanpy.settings.autoshow``, and shows nothing if ``ax`` is given.
    return_fig
        Whether to return the figure, to save it or to change it.

    Returns
    -------
    A list of axes, one for each panel. The figure, if ``return_fig``. ``None``, if the figure was shown.
    Sets the colors ``adata.uns[column + "_colors"]`` if there are none.

    Raises
    ------
    KeyError
        If a column is not there.
    ValueError
        If ``kind`` is none of these, the number of ``ax`` is not the number of panels, or there is nothing to draw.
    """
    check_adata(adata)
    if kind is not None:
        _validate.one_of("kind", kind, _KINDS)
    kinds = _KINDS if kind is None else (kind,)
    clusters = categories(adata, key, hint=f"Run scfcmi.tl.fair_cluster(adata, batch_key, key_added={key!r}) first.")
    batch_key = batch_of(adata, key) if batch_key is None else batch_key
    batches = categories(adata, batch_key)
    colors = {c: colors_of(adata, c, values.categories) for c, values in ((key, clusters), (batch_key, batches))}
    counts = pd.crosstab(batches, clusters)
    if counts.empty:
        msg = f"No cell has both a cluster in adata.obs[{key!r}] and a batch in adata.obs[{batch_key!r}]."
        raise ValueError(msg)

    sides = {"clusters": counts, "batches": counts.T, "enrichment": counts}
    sizes = {name: bars_size(sides[name]) for name in kinds}
    if "enrichment" in kinds:
        fields = (_WIDE * counts.shape[1], _HIGH * counts.shape[0])
        sizes["enrichment"] = tuple(np.clip(fields, _LEAST, _MOST).tolist())
    # Panels stand below each other, so the widest names on each side make room for all.
    left, right, heights = LEFT, 0.0, []
    for name in kinds:
        if name == "enrichment":
            left, right = max(left, _LABEL + row_names_width(counts.index)), max(right, _OF_SCALE)
            below = BELOW + column_names_height(counts.columns, sizes[name][0])
        else:
            right = max(right, legend_size(sides[name].index, sizes[name][1])[0])
            below = below_bars(sides[name], sizes[name])
        heights.append(sizes[name][1] + below)
    width = left + max(size[0] for size in sizes.values()) + right
    axes = panels(len(kinds), ax, width=width, height=heights)
    for name, panel in zip(kinds, axes, strict=True):
        if name == "enrichment":
            _draw_enrichment(panel, counts, sizes[name])
            panel.set(xlabel=key, ylabel=batch_key)
        else:
            of, in_ = (batch_key, key) if name == "clusters" else (key, batch_key)
            draw_bars(panel, sides[name], colors[of], sizes[name], title=of)
            panel.set(xlabel=in_, ylabel="share of cells")
    keep_colors(adata, colors)
    return hand_out(axes, given=ax, show=show, return_fig=return_fig)


def batch_of(adata: AnnData, key: str) -> str:
    """Return the batch key that ``fair_cluster`` stored; ``ValueError`` if it stored none."""
    params = own(adata, key).get("params", {})
    if "batch_key" not in params:
        msg = f"batch_key must be given: adata.uns[{key!r}] names none. ad.concat drops it, and assign keeps none without batch_key."
        raise ValueError(msg)
    return params["batch_key"]


def enrichment(counts: pd.DataFrame) -> pd.DataFrame:
    """Return log2 of numbers of cells over those that independence gives, half a cell added to both."""
    expected = np.outer(counts.sum(axis=1), counts.sum()) / counts.to_numpy().sum()
    return np.log2((counts + 0.5) / (expected + 0.5))


def _draw_enrichment(ax: Axes, counts: pd.DataFrame, size: tuple[float, float]) -> None:
    values = enrichment(counts)
    limit = float(np.clip(np.abs(values.to_numpy()).max(), 1.0, _SCALE))
    draw_heat_map(ax, values, size=size, cmap="RdBu_r", limits=(-limit, limit), label="log2 obs. / exp.")
