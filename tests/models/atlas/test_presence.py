from __future__ import annotations

import numpy as np
import pytest

from scfcmi.models.atlas.presence import Presence, lacked_batches, presence_elsewhere


def test_a_few_cells_of_a_tiny_batch_are_no_evidence():
    """16 of 1,800 cells beside 2 of 3: nothing says that the cluster is of the small batch only."""
    counts = np.array([[16, 2], [1784, 1]])
    assert not lacked_batches(counts).any()
    assert lacked_batches(np.array([[0, 6], [1800, 1]])).tolist() == [[True, False], [False, False]]


def test_lacked_batches_by_rate_and_not_by_number():
    counts = np.array([[100, 10, 10], [100, 0, 10], [100, 0, 0], [700, 90, 80]])
    assert lacked_batches(counts).tolist() == [[False] * 3, [False, True, False], [False, True, True], [False] * 3]


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"n_expected": 10, "distance": 3, "shared": 1}, "unknown"),
        ({"n_expected": 50}, "unknown"),
        ({"n_expected": 50, "distance": 3, "shared": 1}, "biology"),
        ({"n_expected": 50, "distance": 3}, "unknown"),
        ({"n_expected": 50, "distance": 3, "shared": 3}, "unknown"),
        ({"n_expected": 50, "distance": 1.1, "shared": 1}, "unknown"),
        ({"n_expected": 50, "distance": 1.1, "shared": 1, "frac_matched": 0.6, "returned": 0.4}, "unknown"),
        ({"n_expected": 10, "distance": 3, "shared": 1, "frac_matched": 0.6, "returned": 0.8}, "unknown"),
        ({"n_expected": 50, "distance": 3, "shared": 1, "frac_matched": 0.6, "returned": 0.8}, "batch"),
    ],
)
def test_cause(facts, cause):
    assert Presence(**facts).cause == cause


def test_presence_of_many_cells_is_that_of_a_draw(monkeypatch):
    """Type 2 is in the first batch only; type 1 is two clusters, one of each batch."""
    rng = np.random.default_rng(0)
    types, batches = np.repeat([0, 1, 2], 400), np.arange(1200) % 2
    batches[types == 2] = 0
    codes = rng.normal(size=(3, 8))[types] * 6 + rng.normal(size=(1200, 8))
    clusters = np.where((types == 1) & (batches == 1), 3, types)
    lacked = np.array([[False, False], [False, True], [False, True], [True, False]])
    for most in (20_000, 600):
        monkeypatch.setattr("scfcmi.models.atlas.presence._MAX_CELLS", most)
        found = presence_elsewhere(codes, clusters, batches, lacked, np.random.default_rng(0))
        assert {cluster: presence.cause for cluster, presence in found.items()} == {
            1: "batch",
            2: "biology",
            3: "batch",
        }
        assert [found[1].counterpart, found[3].counterpart] == [3, 1]
        assert found[2].n_expected == pytest.approx(400 * 400 / 800)
