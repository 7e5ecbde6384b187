from __future__ import annotations

from typing import TYPE_CHECKING

from scfcmi import _validate
from scfcmi._adata import check_adata
from scfcmi._random import RandomState, seed_from
from scfcmi.graph.communities import resolution_curve
from scfcmi.models.progress import Stages
from scfcmi.tl._graph import graph_of
from scfcmi.tl._results import actual, storable

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def choose_n_clusters(
    adata: AnnData,
    key: str = "fcmi",
    *,
    random_state: RandomState = 0,
    rng: RandomState = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Show how many clusters each resolution gives, and how stable and separated they are.

    It cuts the neighbor graph of :func:`fair_cluster` at eleven resolutions. It trains nothing. A good resolution gives
    stable and separated clusters. Several resolutions may be good. Pass the one you want to :func:`fair_cluster`.

    With more than 50,000 cells, the graph is that of a sample that keeps rare cells. It is computed again, and all takes
    some minutes.

    Parameters
    ----------
    adata
        Annotated data that :func:`fair_cluster` has written to, in atlas mode.
    key
        The ``key_added`` of :func:`fair_cluster`.
    random_state, rng
        Seed, as :func:`fair_cluster`.
    progress
        Whether to draw a progress bar. ``None`` draws it on a terminal or in a notebook only.

    Returns
    -------
    A table with a row for each resolution:

    ``resolution``
        From 0.05 to 2.
    ``n_clusters``
        Number of clusters at this resolution.
    ``modularity``
        Share of links within clusters, beyond what chance gives (at resolution 1).
    ``stability``
        Mean adjusted Rand index between these clusters and those of four runs that each leave out a fifth of the links.
        1 means that the clusters do not change. NaN for one cluster, which cannot change.
    ``separation``
        Each cluster keeps a share of its links to itself. This is the lowest share. NaN for one cluster, which keeps all.

    Sets ``adata.uns[key + "_n_clusters"]``: ``curve``, the same table, and ``n_cells``, the number of cells.
    :func:`scfcmi.pl.n_clusters` draws it.

    Raises
    ------
    KeyError
        If there is no result of atlas mode under this key.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    >>> scfcmi.tl.fair_cluster(adata, "phase", max_epochs=50)
    >>> curve = scfcmi.tl.choose_n_clusters(adata)
    >>> curve.columns[:3].tolist()
    ['resolution', 'n_clusters', 'modularity']
    """
    check_adata(adata)
    _validate.text("key", key)
    if progress is not None:
        _validate.boolean("progress", progress)
    seed, found = seed_from(random_state, rng), graph_of(adata, key, for_resolution=True)
    if found is None:
        hint = f"Run scfcmi.tl.fair_cluster(adata, batch_key, key_added={key!r}) in atlas mode first. Assigned cells have no graph."
        _validate.key_in(adata.obsp.keys(), f"{key}_connectivities", "adata.obsp", hint=hint)
    # scikit-network takes seeds of 32 bits, and runs take the next ones.
    curve = resolution_curve(found[0], seed % 2**31, Stages(progress).tracked("resolutions"))
    actual(adata).uns[f"{key}_n_clusters"] = {"curve": storable(curve), "n_cells": adata.n_obs}
    return curve
