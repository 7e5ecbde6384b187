from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scfcmi import _validate
from scfcmi.metrics._contingency import in_one_order
from scfcmi.metrics._fairness import _f_beta, balance, batch_leakage, mnce
from scfcmi.metrics._quality import accuracy, ari, nmi

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def evaluate(labels: ArrayLike, clusters: ArrayLike, groups: ArrayLike, beta: float = 1.0) -> pd.Series:
    """Measure clusters against reference labels and batches, by all metrics at once.

    Parameters
    ----------
    labels
        Reference label of each cell, shape (n_cells,).
    clusters
        Cluster of each cell, shape (n_cells,).
    groups
        Group (batch) of each cell, shape (n_cells,).
    beta
        Weight of fairness in :func:`f_beta`.

    Returns
    -------
    ``accuracy``, ``nmi``, ``ari``, ``balance``, ``mnce``, ``f_beta`` and ``batch_leakage``: what the functions of these
    names return.

    Raises
    ------
    ValueError
        If lengths differ, there are no cells, or a value is missing.
    """
    beta = _validate.number("beta", beta)
    labels, clusters, groups = in_one_order(labels=labels, clusters=clusters, groups=groups).values()
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
