from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfcmi import _validate
from scfcmi._adata import check_adata, proba_of
from scfcmi.pl._bars import LEFT, bars_size, below_bars, draw_bars
from scfcmi.pl._colors import categories
from scfcmi.pl._figure import at_print_size, hand_out, panels
from scfcmi.pl._labels import legend_size

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Where levels of confidence begin, and their colors: the darker, the surer.
LEVELS = {"< 0.5": 0.0, "0.5 to 0.9": 0.5, "0.9 to 0.99": 0.9, "≥ 0.99": 0.99}
_COLORS = ("#d55e00", "#c6dbef", "#6baed6", "#08519c")


@at_print_size
def confidence(
    adata: AnnData,
    *,
    key: str = "fcmi",
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw how sure each cluster is of its cells.

    A cell is as sure as its largest value in ``adata.obsm[key + "_proba"]``. The bars show the shares of sure and unsure
    cells, with the number of cells above. Dashed lines mark the shares of all cells.

    Parameters
    ----------
    adata
        Annotated data that ``fair_cluster`` has written to.
    key
        The ``key_added`` of ``fair_cluster``.
    ax
        Axes to draw in. ``None`` makes a figure.
    show
        Whether to show the figure. ``None`` follows ``scanpy.settings.autoshow``, and shows nothing if ``ax`` is given.
    return_fig
        Whether to return the figure, to save it or to change it.

    Returns
    -------
    The axes. The figure, if ``return_fig``. ``None``, if the figure was shown.

    Raises
    ------
    KeyError
        If ``fair_cluster`` has not been run under this key.
    ValueError
        If its clusters were joined or split since. New names are no change.
    """
    check_adata(adata, written=False)
    _validate.text("key", key)
    hint = f"Run scfcmi.tl.fair_cluster(adata, batch_key, key_added={key!r}) first."
    _validate.key_in(adata.obsm.keys(), f"{key}_proba", "adata.obsm", hint=hint)
    clusters = categories(adata, key, hint=hint)
    proba = proba_of(adata, key)
    if proba is None:
        msg = (
            f"adata.obsm[{key + '_proba'!r}] does not belong to the clusters in adata.obs[{key!r}]: they were joined or split "
            f"since, or adata.uns[{key!r}] is gone, as after ad.concat. {hint}"
        )
        raise ValueError(msg)
    largest = proba.max(axis=1)
    level = np.searchsorted([*LEVELS.values()][1:], largest, side="right")
    counts = pd.crosstab(pd.Categorical.from_codes(level, [*LEVELS]), clusters, dropna=False)
    counts = counts.loc[:, counts.sum() > 0]

    size = bars_size(counts)
    width = LEFT + size[0] + legend_size([*LEVELS, "assignment"], size[1])[0]
    axes = panels(1, ax, width=width, height=size[1] + below_bars(counts, size))
    draw_bars(axes[0], counts, dict(zip(LEVELS, _COLORS, strict=True)), size, title="assignment")
    axes[0].set(xlabel=key, ylabel="share of cells")
    return hand_out(axes, given=ax, show=show, return_fig=return_fig, single=True)
