"""What the package says: its logger, silent below warnings until :func:`set_verbosity` says otherwise, and warnings."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Literal, TextIO, get_args

from scfcmi._shown import shown

Verbosity = Literal["error", "warning", "info", "debug"]

logger = logging.getLogger("scfcmi")
logger.addHandler(logging.NullHandler())


class _StderrHandler(logging.StreamHandler):
    """Writes to what standard error is at the time, which notebooks and tests exchange."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr


class _Formatter(logging.Formatter):
    """Shows names of batches, which messages hold, without control characters."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return shown(super().formatMessage(record))


def set_verbosity(level: Verbosity) -> None:
    """Choose how much scfcmi says on standard error.

    Parameters
    ----------
    level
        ``"warning"`` is the state after import. ``"info"`` adds lines that say which matrix and which settings each call
        uses. ``"error"`` says less, ``"debug"`` more.

    Raises
    ------
    ValueError
        If ``level`` is not one of the four names.
    """
    if level not in get_args(Verbosity):
        msg = f"level must be one of {list(get_args(Verbosity))}, got {level!r}."
        raise ValueError(msg)
    if not any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
        handler = _StderrHandler()
        handler.setFormatter(_Formatter("scfcmi: %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, and point to the line outside of this package that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "scfcmi":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
