"""Plots of what the tools stored.

A plot draws into ``ax``, or into a figure of its own at the size of a paper's column. It returns the axes, or the figure
with ``return_fig=True``. No plot saves a file: use ``figure.savefig``. Only :func:`report` writes one, a page of HTML.
Colors come from ``adata.uns[column + "_colors"]``. If there are none, scfcmi chooses colors that people of any color vision
can tell apart, and keeps them there.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
