from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfcmi import _validate
from scfcmi.pl._figure import COLUMN, at_print_size, hand_out, panels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE = "#a0a0a0"


@at_print_size
def plot_reconstructions(
    images: np.ndarray,
    names: Sequence[str] = ("raw", "own decoder", "switched"),
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw images beside what the decoders make of them: Fig. 4 of Zeng et al. (CVPR 2023).

    A decoder adds what tells its group. The code holds what all rows share.

    Parameters
    ----------
    images
        Gray values, shape (n_rows, n_images, height, width): the images, decoded as their own group
        (``FCMI.reconstruct(X, groups)``), and as another. All rows share one scale.
    names
        Names of the rows.
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
    ValueError
        If ``images`` has another shape, or the number of ``names`` is not the number of rows.
    """
    names = _validate.names("names", names)
    _validate.matrix_like(images, "images")
    if np.ndim(images) != 4 or len(images) != len(names):
        msg = f"images must have shape ({len(names)}, n_images, height, width), one row a name, got {np.shape(images)}."
        raise ValueError(msg)
    n_rows, n_images, high, wide = images.shape
    rows = np.concatenate([np.concatenate(list(row), axis=1) for row in images])
    (panel,) = panels(1, ax, height=COLUMN * rows.shape[0] / rows.shape[1] + 0.1)
    panel.imshow(rows, cmap="gray", interpolation="nearest")
    # Gray lines between rows and images, and around them: images may be white.
    panel.hlines(high * np.arange(1, n_rows) - 0.5, -0.5, rows.shape[1] - 0.5, colors=_LINE, lw=1.5)
    panel.vlines(wide * np.arange(1, n_images) - 0.5, -0.5, rows.shape[0] - 0.5, colors=_LINE, lw=0.5)
    panel.set_xticks([])
    panel.set_yticks(high * (np.arange(n_rows) + 0.5), names, fontsize="small")
    panel.tick_params(length=0)
    panel.spines[:].set_color(_LINE)
    return hand_out([panel], given=ax, show=show, return_fig=return_fig, single=True)
