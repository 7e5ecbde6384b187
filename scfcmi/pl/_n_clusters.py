from __future__ import annotations

from typing import TYPE_CHECKING

from scfcmi import _validate
from scfcmi.pl._figure import at_print_size, hand_out, panels
from scfcmi.pl._palette import palette

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@at_print_size
def n_clusters(
    adata: AnnData,
    *,
    key: str = "fcmi",
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw the curves that led to the number of clusters, the spread of separation, and the number chosen.

    Parameters
    ----------
    adata
        Annotated data whose ``adata.uns[key + "_n_clusters"]`` holds ``curve``, a data frame with columns
        ``n_clusters``, ``separation``, ``separation_sd`` and ``modularity``, and the ``n_clusters`` chosen.
    key
        The ``key_added`` under which it was stored.
    ax
        Axes to draw in. ``None`` makes a figure.
    show
        Whether to show the figure. ``None`` leaves it to ``scanpy.settings.autoshow``, and does not show where ``ax``
        is given.
    return_fig
        Whether to return the figure instead.

    Returns
    -------
    The axes; the figure if ``return_fig``; ``None`` if shown.

    Raises
    ------
    KeyError
        If there is no such entry.
    """
    from matplotlib.ticker import MaxNLocator

    hint = "It is written where the number of clusters is chosen: scfcmi.tl.choose_n_clusters(adata, batch_key)."
    _validate.key_in(adata.uns.keys(), f"{key}_n_clusters", "adata.uns", hint=hint)
    stored = adata.uns[f"{key}_n_clusters"]
    curve, chosen = stored["curve"].sort_values("n_clusters"), int(stored["n_clusters"])
    x, y, spread = curve["n_clusters"], curve["separation"], curve["separation_sd"].fillna(0)

    (panel,) = panels(1, ax)
    line, other, _, mark = palette(4)
    panel.fill_between(x, y - spread, y + spread, color=line, alpha=0.2, lw=0)
    panel.plot(x, y, color=line, marker="o", ms=3, lw=1.2, label="separation")
    panel.plot(x, curve["modularity"], color=other, marker="s", ms=2.5, lw=1.2, label="modularity")
    panel.axvline(chosen, color=mark, lw=1, ls=(0, (4, 3)))
    panel.plot(x[x == chosen], y[x == chosen], color=mark, marker="o", ms=7, ls="")
    panel.annotate(
        f"{chosen} clusters",
        (chosen, 0),
        xycoords=("data", "axes fraction"),
        xytext=(4, 4),
        textcoords="offset points",
        color=mark,
        fontsize="small",
    )
    panel.set(xlabel="number of clusters", ylabel="share of links")
    panel.legend(frameon=False, fontsize="small")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.spines[["top", "right"]].set_visible(False)
    return hand_out([panel], given=ax, show=show, return_fig=return_fig, single=True)
