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

    It works on the graph that :func:`fair_cluster` stored and trains nothing. A good resolution gives stable and separated
    clusters; several resolutions may be good. Pass the one you want to :func:`fair_cluster`, or to ``sc.tl.leiden`` with
    ``neighbors_key=key``.

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
    A row a resolution: ``resolution``; ``n_clusters``; ``modularity``; ``stability``, the mean adjusted Rand index between
    these clusters and those of four runs that each leave out a fifth of the links; ``separation``, the share of its links
    that the least separated cluster keeps to itself. Sets ``adata.uns[key + "_n_clusters"]``: ``curve``, the same table.
    Draw it with :func:`scfcmi.pl.n_clusters`.

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
