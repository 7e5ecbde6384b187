"""Errors and warnings of our own; everything else is a ``KeyError``, ``TypeError`` or ``ValueError``."""

from __future__ import annotations


class ChecksumError(OSError):
    """A file of a data set is not the one that its manifest describes."""


class DatasetUnavailableError(OSError):
    """Files of a data set are not here, and cannot or must not be fetched."""


class ModelFormatError(ValueError):
    """A file is no scfcmi model, is truncated, or was written by a newer version."""
