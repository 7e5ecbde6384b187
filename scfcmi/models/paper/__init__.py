"""The paper's method: Eq. 12 on expression, features or images."""

from __future__ import annotations

from scfcmi.models.paper.estimator import FCMI

__all__ = ["FCMI"]
