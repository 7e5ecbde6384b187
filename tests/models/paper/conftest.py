from __future__ import annotations

from copy import deepcopy

import pytest

from scfcmi import FCMI

_kept: dict[str, FCMI] = {}


@pytest.fixture
def fitted(blobs):
    """A model of one's own, fitted once in each process."""
    if not _kept:
        X, _, groups = blobs
        _kept["model"] = FCMI(3, max_epochs=30, warmup_epochs=10, random_state=0).fit(X, groups=groups)
    return deepcopy(_kept["model"])
