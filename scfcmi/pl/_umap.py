from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from scfcmi import _validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def umap(
    adata: AnnData,
    color: str | Sequence[str] | None = None,
    *,
    key: str = "fcmi",
    random_state: int = 0,
    show: bool | None = None,
    return_fig: bool = False,
    **kwargs: Any,
) -> list[Axes] | Figure | None:
    """Draw the embedding of :func:`scfcmi.tl.fair_cluster`, cluster and batch side by side.

    The map is computed from ``adata.obsm["X_" + key]`` on first use and kept, so that drawing again is quick; the
    user's own ``X_umap`` is neither used nor changed. Cells are drawn in random order, so that no batch hides another.

    Parameters
    ----------
    adata
        Annotated data that ``fair_cluster`` has written to.
    color
        Columns of ``adata.obs``, or genes, a panel each. ``None`` takes the clusters and the batch they were made
        against.
    key
        The ``key_added`` of ``fair_cluster``.
    random_state
        Seed of the map and of the drawing order.
    show
        Whether to show the figure. ``None`` leaves it to ``scanpy.settings.autoshow``.
    return_fig
        Whether to return the figure instead.
    kwargs
        Passed to :func:`scanpy.pl.embedding`: ``palette``, ``size``, ``ncols``, ``frameon`` and so on.

    Returns
    -------
    The axes, one a panel; the figure if ``return_fig``; ``None`` if shown. Sets ``adata.obsm["X_" + key + "_umap"]``,
    float32, shape (n_obs, 2), ``adata.uns[key + "_umap"]``, which says what it was computed from, and colours
    ``adata.uns[column + "_colors"]`` where there were none.

    Raises
    ------
    KeyError
        If ``fair_cluster`` has not been run under this key, or a column is not there.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced()
    >>> scfcmi.tl.fair_cluster(adata, "phase", n_clusters=8, max_epochs=50)
    >>> panels = scfcmi.pl.umap(adata, ["fcmi", "phase", "bulk_labels"], show=False)
    """
    import anndata as ad
    import scanpy as sc

    hint = f"Run scfcmi.tl.fair_cluster(adata, batch_key, key_added={key!r}) first."
    _validate.key_in(adata.obsm.keys(), f"X_{key}", "adata.obsm", hint=hint)
    if color is None:
        _validate.key_in(adata.uns.keys(), key, "adata.uns", hint=hint)
        color = (key, adata.uns[key]["params"]["batch_key"])
    columns = [color] if isinstance(color, str) else list(color)
    for column in columns:
        _validate.key_in([*adata.obs.columns, *adata.var_names], column, "adata.obs or adata.var_names")

    basis = f"{key}_umap"
    _ensure_map(adata, key, random_state)
    # A light shuffled copy: scanpy draws in row order, and may write to what it is given.
    order = np.random.default_rng(random_state).permutation(adata.n_obs)
    values = {column: adata.obs_vector(column)[order] for column in columns}
    light = ad.AnnData(obs=_frame(adata, values, order), obsm={basis: adata.obsm[f"X_{basis}"][order]})
    light.uns = {f"{c}_colors": adata.uns[f"{c}_colors"] for c in columns if f"{c}_colors" in adata.uns}
    axes = sc.pl.embedding(light, basis, color=columns, show=False, **({"frameon": False} | kwargs))
    axes = axes if isinstance(axes, list) else [axes]
    for name, colors in light.uns.items():
        adata.uns.setdefault(name, colors)

    if return_fig:
        return axes[0].figure
    if sc.settings.autoshow if show is None else show:
        import matplotlib.pyplot as plt

        plt.show()
        return None
    return axes


def _frame(adata: AnnData, values: dict[str, Any], order: np.ndarray) -> Any:
    import pandas as pd

    columns = {c: adata.obs[c].iloc[order].array if c in adata.obs else v for c, v in values.items()}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(order)).astype(str))


def _ensure_map(adata: AnnData, key: str, random_state: int) -> None:
    embedding = np.ascontiguousarray(adata.obsm[f"X_{key}"], dtype=np.float32)
    source = {"embedding_crc32": zlib.crc32(embedding), "random_state": random_state}
    stored = adata.uns.get(f"{key}_umap", {})
    if f"X_{key}_umap" in adata.obsm and all(stored.get(k) == v for k, v in source.items()):
        return
    import umap as umap_learn

    # One job is what a fixed random state allows; saying so keeps umap-learn from warning that it overrides.
    reducer = umap_learn.UMAP(n_neighbors=min(15, adata.n_obs - 1), random_state=random_state, n_jobs=1)
    adata.obsm[f"X_{key}_umap"] = reducer.fit_transform(embedding).astype(np.float32)
    adata.uns[f"{key}_umap"] = source
