from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scfcmi import _adata, _validate
from scfcmi._adata import check_adata, in_memory, own
from scfcmi.pl._colors import categories, colors_of
from scfcmi.pl._figure import at_print_size, hand_out, is_light, no_formulas, panels
from scfcmi.pl._labels import legend, legend_size, scale
from scfcmi.pl._places import middle, spread
from scfcmi.pl._values import values_of
from scfcmi.pl._visible import height, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches of a map, and of one in small multiples.
_SIZE, _SMALL = 2.4, 1.7
# Area of all points together, in square points, and the largest and least of one: maps are covered, few cells are no blots,
# and a million of them no haze.
_AREA, _MOST, _LEAST = 60_000, 40, 0.6
# Of cells of other panels, on a light and on a dark background.
_GRAY, _DARK_GRAY = "#e3e3e3", "#3c3c3c"
# Settings of scanpy that may have a value for each cell.
_PER_CELL = ("size", "mask_obs", "alpha")
# And for each panel.
_PER_PANEL = ("title", "vmin", "vmax", "vcenter", "norm", "cmap", "color_map", "marker")
# Points by which a name stands above a small cluster, and that stay free between names; the line to a cluster whose name
# had to move away.
_ABOVE, _GAP = 7.0, 1.5
# Letters in a line: of a cluster's name, and of the title of a small panel.
_LETTERS_OF_NAME, _LETTERS_OF_PANEL = 20, 17
# Of more names, none could be read.
_MOST_NAMES = 100
_LINE = {"arrowstyle": "-", "lw": 0.6, "color": "#555555", "shrinkA": 0, "shrinkB": 0}


@at_print_size
def umap(
    adata: AnnData,
    color: str | Sequence[str] | None = None,
    *,
    key: str = "fcmi",
    split_by: str | None = None,
    random_state: int = 0,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    **kwargs: Any,
) -> list[Axes] | Figure | None:
    """Draw the map of :func:`scfcmi.tl.umap`: clusters, batches, labels or genes side by side.

    Cells are drawn in random order, so that no batch hides another. Points are smaller if there are many. With more than
    100,000 cells, those that others hide completely are not drawn, so a million take seconds. Names of clusters stand on
    the map and do not overlap; more than 100 have no names.

    Parameters
    ----------
    adata
        Annotated data that ``fair_cluster`` and ``scfcmi.tl.umap`` have written to.
    color
        Columns of ``adata.obs``, or genes: a panel for each. ``None`` takes the clusters, and the ``batch_key`` of
        ``fair_cluster`` or ``assign`` if it was given. To add your labels, name all three: ``["fcmi", "tech", "cell_type"]``.
    key
        The ``key_added`` of ``fair_cluster``.
    split_by
        Column of ``adata.obs``: a panel for each of its categories, with the cells of all others in gray. ``color`` then
        names one column, by default the clusters.
    random_state
        Seed of the drawing order.
    ax
        Axes to draw in, one for each panel. ``None`` makes a figure.
    show
        Whether to show the figure. ``None`` follows ``scanpy.settings.autoshow``, and shows nothing if ``ax`` is given.
    return_fig
        Whether to return the figure, to save it or to change it.
    kwargs
        Passed to :func:`scanpy.pl.embedding`: ``size``, ``cmap``, ``legend_loc``, ``frameon``, ``layer``, ``use_raw``,
        ``mask_obs`` and so on, but for ``edges`` and ``save``. ``title``, ``vmin``, ``vmax``, ``vcenter``, ``norm`` and
        ``cmap`` may be lists with a value for each panel. ``ncols`` is the number of panels in a row, four by default. To choose the
        colors of categories, set ``adata.uns[column + "_colors"]``.

    Returns
    -------
    A list of axes, one for each panel. The figure, if ``return_fig``. ``None``, if the figure was shown.
    Sets the colors ``adata.uns[column + "_colors"]`` if there are none.

    Raises
    ------
    KeyError
        If ``fair_cluster`` or ``scfcmi.tl.umap`` has not been run under this key, or a column is not there.
    ValueError
        If the number of ``ax`` is not the number of panels, ``split_by`` meets more than one ``color``, or there is nothing
        to draw.
    TypeError
        If a ``palette``, ``edges`` or ``save`` is given.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    >>> scfcmi.tl.fair_cluster(adata, "phase", n_clusters=8, max_epochs=50)
    >>> scfcmi.tl.umap(adata)
    >>> panels = scfcmi.pl.umap(adata, ["fcmi", "phase", "bulk_labels"], show=False)
    """
    check_adata(adata)
    _validate.text("key", key)
    hint = f"Run scfcmi.tl.fair_cluster(adata, batch_key, key_added={key!r}) first."
    if key in adata.obs and key not in adata.uns:
        hint = f"To color by this column: scfcmi.pl.umap(adata, {key!r})."
    _validate.key_in(adata.obsm.keys(), f"X_{key}", "adata.obsm", hint=hint)
    _validate.key_in(
        adata.obsm.keys(), f"X_{key}_umap", "adata.obsm", hint=f"Run scfcmi.tl.umap(adata, key={key!r}) first."
    )
    columns = _columns_of(adata, color, key, split_by, kwargs, hint)
    expression = {name: kwargs.pop(name) for name in ("layer", "use_raw", "gene_symbols") if name in kwargs}
    values = values_of(adata, columns, **expression)
    if split_by is not None:
        split = categories(adata, split_by).remove_unused_categories()
        if len(columns) != 1:
            msg = f"split_by takes one color, got {columns}."
            raise ValueError(msg)
        if not len(split.categories):
            msg = f"split_by={split_by!r} has no value in any cell."
            raise ValueError(msg)

    order = np.random.default_rng(_validate.integer("random_state", random_state, minimum=0)).permutation(adata.n_obs)
    place = np.asarray(in_memory(adata.obsm[f"X_{key}_umap"]))
    # Batches and clusters with numbers for names are no scale.
    groups = {key, own(adata, key).get("params", {}).get("batch_key")}
    values |= {column: pd.Series(categories(adata, column)) for column in columns if column in groups}
    if isinstance(kwargs.get("mask_obs"), str):
        _validate.key_in(adata.obs.columns, kwargs["mask_obs"], "adata.obs")
        kwargs["mask_obs"] = _adata.column(adata.obs, kwargs["mask_obs"]).to_numpy()
    heights = [height(of_cells, kwargs) for of_cells in values.values()]
    order = visible(order, place, heights, None if split_by is None else split.codes)
    light = _light(adata, values, f"X_{key}_umap", place[order], order)
    kwargs |= {name: np.asarray(kwargs[name])[order] for name in _of_cells(kwargs, adata.n_obs)}
    kwargs = {"frameon": False, "size": float(np.clip(_AREA / max(1, adata.n_obs), _LEAST, _MOST))} | kwargs
    n_columns = min(
        _validate.integer("ncols", kwargs.pop("ncols", 4), minimum=1),
        len(columns) if split_by is None else len(split.categories),
    )
    if split_by is None:
        extra = [0.0 if column == key else _width_of_legend(light, column, _SIZE) for column in columns]
        axes = panels(len(columns), ax, width=_SIZE + float(np.mean(extra)), height=_SIZE + 0.3, n_columns=n_columns)
        for number, (column, panel) in enumerate(zip(columns, axes, strict=True)):
            _draw(light, key, column, panel, _of_panel(kwargs, number, len(axes)))
            if "legend_loc" not in kwargs and column != key:
                _explain(light, column, panel, _SIZE, kwargs)
        if "legend_loc" not in kwargs and key in columns:
            if ax is None:
                # Names are placed in points, so that the size of the axes has to be known.
                no_formulas(axes)
                axes[0].figure.draw_without_rendering()
            _name_clusters(light, key, axes[columns.index(key)])
    else:
        (column,) = columns
        high = _SMALL * math.ceil(len(split.categories) / n_columns)
        width = _SMALL + _width_of_legend(light, column, high) / n_columns
        titles = [
            textwrap.fill(f"{name} ({n:,})", _LETTERS_OF_PANEL)
            for name, n in zip(split.categories, split.value_counts(), strict=True)
        ]
        panel_height = _SMALL + 0.1 + 0.2 * (1 + max(title.count("\n") for title in titles))
        axes = panels(len(titles), ax, width=width, height=panel_height, n_columns=n_columns)
        _draw_split(light, key, column, split[order], titles, axes, kwargs)
        if "legend_loc" not in kwargs:
            _explain(light, column, axes[n_columns - 1], high, kwargs, title=column)

    for name, colors in light.uns.items():
        # A view would become an AnnData of its own.
        if not adata.is_view and len(adata.uns.get(name, ())) < len(colors):
            adata.uns[name] = colors
    return hand_out(axes, given=ax, show=show, return_fig=return_fig)


def _columns_of(
    adata: AnnData,
    color: str | Sequence[str] | None,
    key: str,
    split_by: str | None,
    settings: dict[str, Any],
    hint: str,
) -> list[str]:
    """Return what colors the panels; raise for settings that scanpy has and this plot has not."""
    if color is None:
        _validate.key_in(adata.obs.columns, key, "adata.obs", hint=hint)
        batch = own(adata, key).get("params", {}).get("batch_key")
        color = key if split_by is not None or batch is None else (key, batch)
    if not np.iterable(color):
        msg = f"color must be a column of adata.obs, a gene, or a list of these, got {color!r}."
        raise TypeError(msg)
    columns = [color] if isinstance(color, str) else list(color)
    if not columns:
        msg = "color names nothing to draw. Name a column of adata.obs or a gene, or drop it."
        raise ValueError(msg)
    if "palette" in settings:
        msg = f"umap takes no palette. Set adata.uns[{columns[0] + '_colors'!r}] to the colors you want."
        raise TypeError(msg)
    if settings.get("save"):
        msg = "umap saves nothing. Save the figure: scfcmi.pl.umap(adata, return_fig=True).savefig('map.png')."
        raise TypeError(msg)
    if settings.get("projection", "2d") != "2d" or "basis" in settings:
        msg = f"umap draws adata.obsm['X_{key}_umap'], which has two dimensions. For another map: sc.pl.embedding."
        raise TypeError(msg)
    if settings.get("edges"):
        msg = f"umap draws no edges. scanpy does: sc.pl.embedding(adata, {key + '_umap'!r}, neighbors_key={key!r}, edges=True)."
        raise TypeError(msg)
    return columns


def _draw(light: AnnData, key: str, column: str, ax: Axes, settings: dict[str, Any]) -> None:
    import scanpy as sc

    settings = {"legend_loc": "none", "colorbar_loc": None} | settings
    sc.pl.embedding(light, f"{key}_umap", color=column, ax=ax, show=False, **settings)
    for points in ax.collections:
        points.set_rasterized(True)


def _draw_split(
    light: AnnData,
    key: str,
    column: str,
    groups: pd.Categorical,
    titles: list[str],
    axes: list[Axes],
    settings: dict[str, Any],
) -> None:
    place = light.obsm[f"X_{key}_umap"]
    values = light.obs[column]
    if not isinstance(values.dtype, pd.CategoricalDtype):
        # One scale for all panels.
        settings = {"vmin": values.min(), "vmax": values.max()} | settings
    for number, (ax, group) in enumerate(zip(axes, groups.categories, strict=True)):
        mine = np.asarray(groups == group)
        of_group = {name: settings[name][mine] for name in _of_cells(settings, len(mine))}
        of_panel = {"title": titles[number]} | _of_panel(settings, number, len(axes))
        size = np.broadcast_to(settings["size"], len(mine))[~mine]
        gray = _GRAY if is_light(ax.figure.get_facecolor()) else _DARK_GRAY
        ax.scatter(*place[~mine].T, c=gray, s=size, marker=".", linewidths=0)
        _draw(light[mine].copy(), key, column, ax, of_panel | of_group)


def _of_cells(settings: dict[str, Any], n_cells: int) -> list[str]:
    """Return the names of settings that have a value for each cell."""
    return [name for name in _PER_CELL if np.ndim(settings.get(name)) == 1 and len(settings[name]) == n_cells]


def _name_clusters(light: AnnData, key: str, ax: Axes) -> None:
    """Write names of clusters on their middle cell, above it where they would hide the cluster, and never on each other."""
    from matplotlib.patheffects import withStroke

    place, cells_of = light.obsm[f"X_{key}_umap"], light.obs.groupby(key, observed=True).indices
    if not 0 < len(cells_of) <= _MOST_NAMES:
        return
    wide = np.ptp(place, axis=0)
    texts, wanted = [], []
    for name, rows in cells_of.items():
        center, hidden = middle(place[rows], wide)
        wanted.append((0.0, _ABOVE if hidden else 0.0))
        texts.append(
            ax.annotate(
                textwrap.fill(str(name), _LETTERS_OF_NAME, max_lines=3, placeholder=" …"),
                center,
                xytext=wanted[-1],
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize="small",
                fontweight="bold",
                # With its white line, also on a dark background.
                color="black",
                linespacing=0.9,
                path_effects=[withStroke(linewidth=2, foreground="white")],
                parse_math=False,
            )
        )
        # Names keep to the axes, which need no room for them.
        texts[-1].set_in_layout(False)
    # All in points: texts keep their size when the figure gets another.
    unit = 72 / ax.figure.dpi
    boxes = [text.get_window_extent() for text in texts]
    sizes = np.array([(box.width, box.height) for box in boxes]) * unit + _GAP
    centers = ax.transData.transform([text.xy for text in texts]) * unit
    moved = spread(centers + wanted, sizes, ax.get_window_extent().get_points() * unit) - centers
    for text, by, to, (_, high) in zip(texts, wanted, moved, sizes, strict=True):
        text.set_position(tuple(to))
        if np.hypot(*(to - by)) > high:
            ax.annotate("", text.xy, xytext=tuple(to), textcoords="offset points", arrowprops=_LINE, zorder=2)


def _of_panel(settings: dict[str, Any], number: int, n_panels: int) -> dict[str, Any]:
    """Return settings with the value of one panel, where a list has one for each."""
    lists = {name: settings[name] for name in _PER_PANEL if isinstance(settings.get(name), (list, tuple))}
    for name, values in lists.items():
        if len(values) != n_panels:
            msg = f"{name} must be one value or a list of {n_panels}, one for each panel, got {values!r}."
            raise ValueError(msg)
    return settings | {name: values[number] for name, values in lists.items()}


def _explain(
    light: AnnData, column: str, ax: Axes, height: float, settings: dict[str, Any], *, title: str | None = None
) -> None:
    """Add the legend or the scale of a column to the right of ``ax``; ``height`` is the room for it, in inches."""
    values = light.obs[column]
    if isinstance(values.dtype, pd.CategoricalDtype):
        colors = dict(zip(values.cat.categories, light.uns[f"{column}_colors"], strict=False))
        if settings.get("groups") is not None:
            groups = settings["groups"]
            wanted = {groups} if isinstance(groups, str) else set(groups)
            colors = {name: color for name, color in colors.items() if name in wanted}
        legend(ax, colors, height, title=title)
    elif "colorbar_loc" not in settings:
        scale(ax, ax.collections[-1], column)


def _light(adata: AnnData, values: dict[str, pd.Series], name: str, place: np.ndarray, order: np.ndarray) -> AnnData:
    """Return what is drawn, in drawing order: scanpy draws rows as they come, and may write to what it is given."""
    import anndata as ad

    frame, colors = {}, {}
    for column, of_cells in values.items():
        if pd.api.types.is_numeric_dtype(of_cells) and not pd.api.types.is_bool_dtype(of_cells):
            frame[column] = of_cells.to_numpy()[order]
        else:
            frame[column] = categories(adata, column)[order]
            colors[f"{column}_colors"] = list(colors_of(adata, column, frame[column].categories).values())
    obs = pd.DataFrame(frame, index=pd.RangeIndex(len(order)).astype(str))
    return ad.AnnData(obs=obs, obsm={name: place}, uns=colors)


def _width_of_legend(light: AnnData, column: str, height: float) -> float:
    values = light.obs[column]
    if isinstance(values.dtype, pd.CategoricalDtype):
        return legend_size(values.cat.categories, height)[0]
    return 0.5  # of a scale
