"""The neighbor graph of codes and its communities: arrays in, arrays out. Nothing here knows an estimator."""

from __future__ import annotations
