"""Plots of what the tools stored."""

from __future__ import annotations

from scfcmi.pl._umap import umap

__all__ = ["umap"]
