"""Tools: AnnData in, AnnData out."""

from __future__ import annotations

from scfcmi.tl._fair_cluster import fair_cluster

__all__ = ["fair_cluster"]
