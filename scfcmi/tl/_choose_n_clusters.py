from __future__ import annotations

from typing import TYPE_CHECKING

from scfcmi import _validate
from scfcmi._adata import check_adata, in_memory
from scfcmi._random import RandomState, seed_from
from scfcmi.graph.communities import resolution_curve
from scfcmi.tl._results import actual, storable

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def choose_n_clusters(
    adata: AnnData, key: str = "fcmi", *, random_state: RandomState = 0, rng: RandomState = None
) -> pd.DataFrame:
    """Show how many clusters each resolution gives, and how stable and separated they are.

    It cuts the neighbor graph that :func:`fair_cluster` stored at eleven resolutions. It trains nothing. A good resolution
    gives stable and separated clusters. Several resolutions may be good. Pass the one you want to :func:`fair_cluster`, or
    to ``sc.tl.leiden`` with ``neighbors_key=key``.

    Parameters
    ----------
    adata
        Annotated data that :func:`fair_cluster` has written to, in atlas mode.
    key
        The ``key_added`` of :func:`fair_cluster`.
    random_state, rng
        Seed, as :func:`fair_cluster`.

    Returns
    -------
    A table with a row for each resolution:

    ``resolution``
        From 0.05 to 2.
    ``n_clusters``
        Number of clusters at this resolution.
    ``modularity``
        Share of links within clusters, beyond what chance gives.
    ``stability``
        Mean adjusted Rand index between these clusters and those of four runs that each leave out a fifth of the links.
        1 means that the clusters do not change.
    ``separation``
        Of its links, the share that a cluster keeps to itself. The number is that of the least separated cluster.

    Sets ``adata.uns[key + "_n_clusters"]``: ``curve``, the same table. :func:`scfcmi.pl.n_clusters` draws it.

    Raises
    ------
    KeyError
        If there is no graph under this key.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced()
    >>> scfcmi.tl.fair_cluster(adata, "phase", max_epochs=50)
    >>> curve = scfcmi.tl.choose_n_clusters(adata)
    >>> curve.columns[:3].tolist()
    ['resolution', 'n_clusters', 'modularity']
    """
    check_adata(adata)
    _validate.text("key", key)
    name = f"{key}_connectivities"
    hint = f"Run scfcmi.tl.fair_cluster(adata, batch_key, key_added={key!r}) in atlas mode first."
    _validate.key_in(adata.obsp.keys(), name, "adata.obsp", hint=hint)
    curve = resolution_curve(in_memory(adata.obsp[name]).tocsr(), seed_from(random_state, rng))
    actual(adata).uns[f"{key}_n_clusters"] = {"curve": storable(curve)}
    return curve
