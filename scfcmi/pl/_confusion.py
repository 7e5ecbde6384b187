from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from scfcmi import _validate
from scfcmi._adata import check_adata
from scfcmi.pl._colors import categories
from scfcmi.pl._figure import at_print_size, hand_out, panels
from scfcmi.pl._heat import draw_heat_map
from scfcmi.pl._labels import column_names_height, row_names_width

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches of a field, and the least and most of all of them.
_WIDE, _HIGH, _LEAST, _MOST = 0.24, 0.2, 1.2, 7.0
# Inches that stand beside and below the map, without names.
_BESIDE, _BELOW = 1.1, 0.6


@at_print_size
def confusion(
    adata: AnnData,
    label_key: str,
    *,
    key: str = "fcmi",
    normalize: Literal["label", "cluster"] = "label",
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw which labels the cells of each cluster have, as a heat map in percent.

    Labels come in the order of their size. Each label gets the cluster that fits it best (one-to-one, by the Hungarian
    method), so that agreement lies on the diagonal. Clusters without a label of their own come last. Fields of half a
    percent or less stay empty.

    Parameters
    ----------
    adata
        Annotated data with clusters and reference labels. Cells without a cluster or a label are left out.
    label_key
        Column of ``adata.obs`` that holds the labels.
    key
        Column of ``adata.obs`` that holds the clusters.
    normalize
        ``"label"``: each row is a label and sums to 100 %. ``"cluster"``: each column is a cluster and sums to 100 %.
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
        If a column is not there.
    ValueError
        If ``normalize`` is none of these, or no cell has both a cluster and a label.
    """
    check_adata(adata, written=False)
    _validate.one_of("normalize", normalize, ("label", "cluster"))
    clusters = categories(adata, key, hint=f"Run scfcmi.tl.fair_cluster(adata, batch_key, key_added={key!r}) first.")
    counts = pd.crosstab(categories(adata, label_key), clusters)
    if counts.empty:
        msg = f"no cell has both adata.obs[{key!r}] and adata.obs[{label_key!r}]."
        raise ValueError(msg)
    counts = _matched(counts)
    shares = counts.div(counts.sum(axis=1), axis=0) if normalize == "label" else counts / counts.sum()
    percent = 100 * shares.where(shares > 0.005)

    size = tuple(float(np.clip(n * s, _LEAST, _MOST)) for n, s in zip(counts.T.shape, (_WIDE, _HIGH), strict=True))
    width = size[0] + row_names_width(counts.index) + _BESIDE
    axes = panels(1, ax, width=width, height=size[1] + column_names_height(counts.columns, size[0]) + _BELOW)
    draw_heat_map(axes[0], percent, size=size, cmap="Blues", limits=(0, 100), label=f"% of {normalize}", digits=0)
    axes[0].set(xlabel=key, ylabel=label_key)
    return hand_out(axes, given=ax, show=show, return_fig=return_fig, single=True)


def _matched(counts: pd.DataFrame) -> pd.DataFrame:
    """Order labels by size and clusters by the label matched to them; the rest by the label of most of their cells."""
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    rows, columns = linear_sum_assignment(counts, maximize=True)
    rest = np.setdiff1d(np.arange(counts.shape[1]), columns)
    rest = rest[counts.to_numpy()[:, rest].argmax(axis=0).argsort(kind="stable")]
    return counts.iloc[:, [*columns[rows.argsort()], *rest]]
