"""Plots of what the tools stored.

A plot draws into ``ax``, or into a figure of its own at the size of a paper's column. It returns axes, or the figure
with ``return_fig=True``, and saves nothing: ``figure.savefig`` does. :func:`report` alone writes a file, a page of HTML.
Colors come from ``adata.uns[column + "_colors"]`` and are kept there; people of any color vision can tell apart those that
scfcmi makes.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
