from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scfcmi import _validate, metrics
from scfcmi._adata import check_adata, column, proba_of

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData


def evaluate(
    adata: AnnData, cluster_key: str, batch_key: str, label_key: str | None = None, *, beta: float = 1.0
) -> pd.Series:
    """Measure clusters against batches and, if there are any, against reference labels.

    It runs :func:`scfcmi.metrics.evaluate` on columns of ``adata.obs``. ``scfcmi.metrics.evaluate_adata`` is the same
    function.

    Parameters
    ----------
    adata
        Annotated data, left as it is.
    cluster_key
        Column of ``adata.obs`` with the clusters.
    batch_key
        Column of ``adata.obs`` with the batches.
    label_key
        Column of ``adata.obs`` with reference labels, if there are any.
    beta
        Weight of fairness in :func:`scfcmi.metrics.f_beta`.

    Returns
    -------
    The metrics of :func:`scfcmi.metrics.evaluate`. Without ``label_key``, only ``balance`` and ``mnce``. Clusters of
    :func:`scfcmi.tl.fair_cluster` and :func:`scfcmi.tl.assign` also get ``H_C``, ``H_C_given_X``, ``I_G_C`` and
    ``I_X_C_given_G``: H(C), H(C|X), I(G;C) and I(X;C|G) of their probabilities for these cells, in nats, where G is
    ``batch_key``. If you join or split clusters, these are left out.

    Raises
    ------
    KeyError
        If a column is not there.
    ValueError
        If there are no cells, or a value is missing.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    >>> scores = scfcmi.tl.evaluate(adata, "louvain", "phase", "bulk_labels")
    >>> scores.index[:3].tolist()
    ['accuracy', 'nmi', 'ari']
    """
    check_adata(adata, written=False)
    for key in (cluster_key, batch_key) if label_key is None else (cluster_key, batch_key, label_key):
        _validate.key_in(adata.obs.columns, key, "adata.obs")
    clusters, groups = column(adata.obs, cluster_key), column(adata.obs, batch_key)
    if label_key is None:
        scores = pd.Series({"balance": metrics.balance(clusters, groups), "mnce": metrics.mnce(clusters, groups)})
    else:
        scores = metrics.evaluate(column(adata.obs, label_key), clusters, groups, beta)
    proba = proba_of(adata, cluster_key)
    if proba is not None:
        scores = pd.concat([scores, pd.Series(information_of(proba, groups))])
    return scores.astype(float)


def information_of(proba: np.ndarray, groups: pd.Series) -> dict[str, float]:
    """Return the terms of Eq. 3 to 6, in nats, for probabilities of shape (n_obs, n_clusters)."""
    import torch

    from scfcmi.models.objective import information

    codes, names = _validate.group_codes(groups, len(proba))
    return information(torch.from_numpy(proba), torch.from_numpy(codes), len(names))
