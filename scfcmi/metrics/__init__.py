"""Clustering quality, fairness, and both at once: label arrays in, numbers out.

Labels, clusters and groups are arrays (or pandas Series, or categoricals) of one entry a cell, of any kind of value.
Clusters or groups without cells do not exist here; a missing value is a ``ValueError``.
"""

from __future__ import annotations

from scfcmi.metrics._evaluate import evaluate, evaluate_adata
from scfcmi.metrics._fairness import balance, batch_leakage, f_beta, mnce
from scfcmi.metrics._quality import accuracy, ari, nmi

__all__ = ["accuracy", "ari", "balance", "batch_leakage", "evaluate", "evaluate_adata", "f_beta", "mnce", "nmi"]
