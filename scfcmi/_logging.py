"""The package's logger. Silent below warnings until :func:`set_verbosity` says otherwise."""

from __future__ import annotations

import logging
from typing import Literal, get_args

Verbosity = Literal["error", "warning", "info", "debug"]

logger = logging.getLogger("scfcmi")
logger.addHandler(logging.NullHandler())


class _StderrHandler(logging.StreamHandler):
    """Named so that a second call replaces the first one's handler instead of doubling every line."""


def set_verbosity(level: Verbosity) -> None:
    """Choose how much scfcmi says on standard error.

    Parameters
    ----------
    level
        ``"warning"`` is the state after import; ``"info"`` adds a line a call that says which matrix, which
        weights and which device were taken.

    Raises
    ------
    ValueError
        If ``level`` is not one of the four names.
    """
    if level not in get_args(Verbosity):
        msg = f"level must be one of {list(get_args(Verbosity))}, got {level!r}."
        raise ValueError(msg)
    for handler in [h for h in logger.handlers if isinstance(h, _StderrHandler)]:
        logger.removeHandler(handler)
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("scfcmi: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
