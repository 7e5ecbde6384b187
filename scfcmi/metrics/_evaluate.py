from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scfcmi import _validate
from scfcmi.metrics._fairness import _f_beta, balance, batch_leakage, mnce
from scfcmi.metrics._quality import accuracy, ari, nmi

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import ArrayLike


def evaluate(labels: ArrayLike, clusters: ArrayLike, groups: ArrayLike, beta: float = 1.0) -> pd.Series:
    """Measure clusters against reference labels and groups, all metrics at once.

    Parameters
    ----------
    labels
        Reference label of each cell, shape (n_cells,).
    clusters
        Cluster of each cell, shape (n_cells,).
    groups
        Group of each cell, shape (n_cells,).
    beta
        Of :func:`f_beta`.

    Returns
    -------
    ``accuracy``, ``nmi``, ``ari``, ``balance``, ``mnce``, ``f_beta`` and ``batch_leakage``, as the functions of these
    names return them.

    Raises
    ------
    ValueError
        If lengths differ, there are no cells, or a value is missing.
    """
    beta = _validate.number("beta", beta)
    quality, fairness = nmi(labels, clusters), mnce(clusters, groups)
    return pd.Series(
        {
            "accuracy": accuracy(labels, clusters),
            "nmi": quality,
            "ari": ari(labels, clusters),
            "balance": balance(clusters, groups),
            "mnce": fairness,
            "f_beta": _f_beta(quality, fairness, beta),
            "batch_leakage": batch_leakage(labels, clusters, groups),
        },
        dtype=float,
    )


def evaluate_adata(
    adata: AnnData, cluster_key: str, batch_key: str, label_key: str | None = None, *, beta: float = 1.0
) -> pd.Series:
    """Measure the clusters of an AnnData.

    Parameters
    ----------
    adata
        Annotated data, left as it is.
    cluster_key
        Column of ``adata.obs`` with the clusters.
    batch_key
        Column of ``adata.obs`` with the groups.
    label_key
        Column of ``adata.obs`` with reference labels, if there are any.
    beta
        Of :func:`f_beta`.

    Returns
    -------
    As :func:`evaluate`; without ``label_key`` only ``balance`` and ``mnce``.

    Raises
    ------
    KeyError
        If a column is not there.
    ValueError
        If there are no cells, or a value is missing.
    """
    for key in (cluster_key, batch_key) if label_key is None else (cluster_key, batch_key, label_key):
        _validate.key_in(adata.obs.columns, key, "adata.obs")
    clusters, groups = adata.obs[cluster_key], adata.obs[batch_key]
    if label_key is None:
        return pd.Series({"balance": balance(clusters, groups), "mnce": mnce(clusters, groups)}, dtype=float)
    return evaluate(adata.obs[label_key], clusters, groups, beta)
