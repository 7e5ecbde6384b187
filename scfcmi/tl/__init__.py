"""Tools: AnnData in, AnnData out."""

from __future__ import annotations

from scfcmi.tl._assign import assign
from scfcmi.tl._choose_n_clusters import choose_n_clusters
from scfcmi.tl._diagnose import diagnose
from scfcmi.tl._fair_cluster import fair_cluster, fit_model
from scfcmi.tl._translate import translate

__all__ = ["assign", "choose_n_clusters", "diagnose", "fair_cluster", "fit_model", "translate"]
