from __future__ import annotations

import pytest

from scfcmi import FCMI


@pytest.fixture
def fitted(blobs):
    X, _, groups = blobs
    return FCMI(3, max_epochs=30, warmup_epochs=10, random_state=0).fit(X, groups=groups)
