"""The methods over arrays; nothing here knows AnnData."""

from __future__ import annotations

from scfcmi.models.atlas import AtlasFCMI
from scfcmi.models.consensus import consensus
from scfcmi.models.paper import FCMI
from scfcmi.models.registry import load_model

__all__ = ["FCMI", "AtlasFCMI", "consensus", "load_model"]
