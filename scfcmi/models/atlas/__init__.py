"""Atlas mode: principal components, counterparts across groups that agree, clusters from the neighbor graph."""

from __future__ import annotations

from scfcmi.models.atlas.estimator import AtlasFCMI

__all__ = ["AtlasFCMI"]
