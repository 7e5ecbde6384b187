"""Tools: cluster cells, label new cells, find out which clusters follow a batch. AnnData in, AnnData out."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
