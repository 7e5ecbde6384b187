"""Errors and warnings of our own; everything else is a ``KeyError``, ``TypeError`` or ``ValueError``."""

from __future__ import annotations


class ChecksumError(OSError):
    """A file of a data set has another checksum or content than expected."""


class DatasetUnavailableError(OSError):
    """Files of a data set are missing, and were not or could not be downloaded."""


class ModelFormatError(ValueError):
    """A file is no scfcmi model, is cut short, or was written by a newer version."""
