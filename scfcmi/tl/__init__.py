"""Tools: AnnData in, AnnData out."""

from __future__ import annotations

from scfcmi.tl._assign import assign
from scfcmi.tl._fair_cluster import fair_cluster
from scfcmi.tl._translate import translate

__all__ = ["assign", "fair_cluster", "translate"]
