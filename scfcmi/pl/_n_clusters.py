from __future__ import annotations

from typing import TYPE_CHECKING

from scfcmi import _validate
from scfcmi._adata import check_adata, curve_of
from scfcmi.pl._figure import COLUMN, at_print_size, hand_out, panels
from scfcmi.pl._palette import palette

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches that names of the curves take.
_LEGEND = 0.9


@at_print_size
def n_clusters(
    adata: AnnData,
    *,
    key: str = "fcmi",
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw how many clusters each resolution gives, and how stable and separated they are.

    A dashed line marks the resolution in use. :func:`scfcmi.tl.choose_n_clusters` says what the curves mean.

    Parameters
    ----------
    adata
        Annotated data that :func:`scfcmi.tl.choose_n_clusters` has written to.
    key
        The ``key_added`` under which the clusters were stored.
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
        If ``choose_n_clusters`` has not been run under this key.
    ValueError
        If it was run on other cells.
    """
    check_adata(adata, written=False)
    _validate.text("key", key)
    call = f"Run scfcmi.tl.choose_n_clusters(adata, key={key!r})"
    _validate.key_in(adata.uns.keys(), f"{key}_n_clusters", "adata.uns", hint=f"{call} first.")
    curve = curve_of(adata, key)
    if curve is None:
        n_cells = adata.uns[f"{key}_n_clusters"]["n_cells"]
        msg = f"The curve in adata.uns is of {n_cells} cells, adata has {adata.n_obs}. {call} again."
        raise ValueError(msg)
    curve = curve.sort_values("resolution")
    used = adata.uns.get(key, {}).get("params", {}).get("resolution")

    (panel,) = panels(1, ax, width=COLUMN + _LEGEND)
    x = curve["resolution"]
    for name, color in zip(("stability", "separation", "modularity"), palette(4), strict=False):
        panel.plot(x, curve[name], color=color, marker="o", ms=3, lw=1.2, label=name)
    for resolution, number in zip(x, curve["n_clusters"], strict=True):
        place = (resolution, 1.0)
        panel.annotate(
            str(number),
            place,
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize="x-small",
        )
    panel.set_title("number of clusters", fontsize="small", pad=14)
    if used is not None:
        panel.axvline(float(used), color="#888888", lw=1, ls=(0, (4, 3)), label="in use")
    panel.set(xlabel="resolution", xscale="log", ylim=(None, 1.02))
    panel.set_xticks(x, [f"{value:g}" for value in x], fontsize="x-small", rotation=45)
    panel.minorticks_off()
    # Beside the curves: they fill the panel.
    panel.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5), borderaxespad=0.3)
    panel.spines[["top", "right"]].set_visible(False)
    return hand_out([panel], given=ax, show=show, return_fig=return_fig, single=True)
