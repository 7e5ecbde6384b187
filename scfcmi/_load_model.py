"""Temporary stand-in for the ``load_model`` of the branch that moves the models; ``FCMI.load`` returns either."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from scfcmi.model import FCMI


def load_model(path: str | os.PathLike[str]) -> FCMI:
    """Return the estimator that was saved."""
    from scfcmi.model import FCMI

    return FCMI.load(path)
