"""Errors and warnings of our own; everything else is a ``KeyError``, ``TypeError`` or ``ValueError``."""

from __future__ import annotations


class ConvergenceWarning(UserWarning):
    """Training ended while cells were still changing cluster, or clusters could not be told apart."""


class ModelFormatError(ValueError):
    """A file is no scfcmi model, is truncated, or was written by a newer version."""
