from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfcmi import _validate
from scfcmi._adata import check_adata
from scfcmi._random import RandomState, seed_from
from scfcmi.tl._results import actual

if TYPE_CHECKING:
    from anndata import AnnData

_N_NEIGHBORS = 15
# UMAP starts from three eigenvectors of the graph, which fewer cells do not have.
_MIN_CELLS = 4


def umap(
    adata: AnnData, key: str = "fcmi", *, random_state: RandomState = 0, rng: RandomState = None, copy: bool = False
) -> AnnData | None:
    """Compute a map (UMAP) of the embedding that :func:`scfcmi.tl.fair_cluster` stored.

    :func:`scfcmi.pl.umap` draws it. The user's own ``X_umap`` is neither used nor changed.

    Parameters
    ----------
    adata
        Annotated data with ``adata.obsm["X_" + key]``. A view becomes an actual AnnData when written to.
    key
        The ``key_added`` of ``fair_cluster``.
    random_state
        Seed, or a numpy generator. An integer gives the same map again on the same machine.
    rng
        The same under the name that newer scanpy has. Give one of the two.
    copy
        Whether to write to, and return, a copy.

    Returns
    -------
    ``None``, or the copy if ``copy``. Sets the following fields:

    ``adata.obsm["X_" + key + "_umap"]``
        Coordinates: float32, shape (n_obs, 2).
    ``adata.uns[key + "_umap"]``
        How the map was computed: ``n_neighbors`` and ``random_state``.

    Raises
    ------
    KeyError
        If ``fair_cluster`` has not been run under this key.
    ValueError
        If ``random_state`` is not a seed, or there are fewer than four cells.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced()
    >>> scfcmi.tl.fair_cluster(adata, "phase", n_clusters=8, max_epochs=50)
    >>> scfcmi.tl.umap(adata)
    >>> adata.obsm["X_fcmi_umap"].shape
    (700, 2)
    """
    check_adata(adata, copy=copy)
    _validate.text("key", key)
    hint = f"Run scfcmi.tl.fair_cluster(adata, batch_key, key_added={key!r}) first."
    _validate.key_in(adata.obsm.keys(), f"X_{key}", "adata.obsm", hint=hint)
    if adata.n_obs < _MIN_CELLS:
        msg = f"UMAP lays out at least {_MIN_CELLS} cells, adata has {adata.n_obs}. Map more cells together."
        raise ValueError(msg)
    seed = seed_from(random_state, rng)
    embedding = np.asarray(adata.obsm[f"X_{key}"], np.float32)
    n_neighbors = min(_N_NEIGHBORS, adata.n_obs - 1)
    import umap as umap_learn

    # A fixed seed allows one job only. Saying so keeps umap-learn from warning that it overrides the number.
    reducer = umap_learn.UMAP(n_neighbors=n_neighbors, random_state=seed, n_jobs=1)
    place = reducer.fit_transform(embedding)

    out = actual(adata, copy=copy)
    out.obsm[f"X_{key}_umap"] = place
    out.uns[f"{key}_umap"] = {"n_neighbors": n_neighbors, "random_state": seed}
    return out if copy else None
