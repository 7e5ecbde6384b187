"""The method over arrays; nothing here knows AnnData."""

from __future__ import annotations

from scfcmi.model.atlas import AtlasFCMI
from scfcmi.model.ensemble import consensus
from scfcmi.model.fcmi import FCMI

__all__ = ["FCMI", "AtlasFCMI", "consensus"]
