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
        ({"n_expected": 50, "distance": 1.2, "shared": 0.8}, "unknown"),
        ({"n_expected": 50, "distance": 1.1, "shared": 1, "frac_matched": 0.6, "returned": 0.4}, "unknown"),
        ({"n_expected": 50, "distance": 1.1, "shared": 1, "frac_matched": 0.4, "returned": 0.8}, "unknown"),
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


@pytest.mark.parametrize("seed", range(3))
def test_of_uneven_batches_the_small_one_is_looked_at_as_closely(seed, monkeypatch):
    """A type of both batches whose part in the small one is a cluster of its own: a draw of all cells would hold 3 of its 40."""
    rng, n_cells = np.random.default_rng(seed), 30_000
    means = rng.normal(size=(9, 20)) * 2
    batches, types = (rng.random(n_cells) < 0.03).astype(int), rng.integers(0, 8, n_cells)
    for batch, size in ((0, 1500), (1, 45)):
        types[rng.permutation(np.flatnonzero(batches == batch))[:size]] = 8
    codes = means[types] + 0.6 * rng.normal(size=(n_cells, 20)) + 0.1 * rng.normal(size=20) * batches[:, None]
    clusters = np.where((types == 8) & (batches == 1), 9, types)
    counts = np.zeros((10, 2), int)
    np.add.at(counts, (clusters, batches), 1)
    monkeypatch.setattr("scfcmi.models.atlas.presence._MAX_CELLS", 2000)
    monkeypatch.setattr("scfcmi.models.atlas.presence._MAX_MATCHED", 1000)
    found = presence_elsewhere(codes, clusters, batches, lacked_batches(counts), np.random.default_rng(0))
    assert found[8].n_expected > 30
    assert found[8].cause != "biology"
    assert found[8].counterpart == 9


def test_too_few_cells_looked_at_are_no_verdict(monkeypatch):
    """Of 100 cells expected in the lacked batch, five are among those looked at."""
    rng = np.random.default_rng(0)
    batches, clusters = np.arange(4000) % 2, np.repeat([0, 1], [3800, 200])
    batches[clusters == 1] = 0
    codes = rng.normal(size=(2, 8))[clusters] * 6 + rng.normal(size=(4000, 8))
    lacked = np.array([[False, False], [False, True]])
    for most, cause in ((20_000, "biology"), (200, "unknown")):
        monkeypatch.setattr("scfcmi.models.atlas.presence._MAX_CELLS", most)
        found = presence_elsewhere(codes, clusters, batches, lacked, np.random.default_rng(0))[1]
        assert found.n_expected > 100
        assert found.cause == cause


@pytest.mark.parametrize("n_batches", [2, 50, 200])
def test_batches_of_one_composition_lack_nothing(n_batches):
    rng, flagged = np.random.default_rng(0), 0
    for _ in range(20):
        shares = rng.dirichlet(np.full(15, 0.5))
        counts = rng.multinomial(300, shares, size=n_batches).T
        flagged += lacked_batches(counts[counts.sum(axis=1) > 0]).any()
    assert flagged <= 3


def test_a_few_cells_in_each_of_many_batches_are_not_lacked():
    """One batch has it at twenty times the rate of the others, but these hold a third of it together."""
    counts = np.array([[100] + [5] * 10, [0] + [95] * 10])
    assert not lacked_batches(counts)[0].any()
    # Nor is a batch that holds it in full lacked because the others have none.
    of_half = np.array([[50] * 10 + [0] * 10, [100] * 20])
    assert lacked_batches(of_half).tolist() == [[False] * 10 + [True] * 10, [False] * 20]
    assert lacked_batches(np.array([[100] + [1] * 10, [0] + [99] * 10]))[0].tolist() == [False] + [True] * 10


def test_distances_by_hand():
    """A circle: own cells at whole places, those of the lacked batch between them; lengths do not matter."""
    place = np.concatenate([np.arange(400), np.arange(400) + 0.5]) * (2 * np.pi / 400)
    lengths = np.random.default_rng(0).uniform(1, 5, 800)[:, None]
    codes = (np.column_stack([np.cos(place), np.sin(place)]) * lengths).astype(np.float32)
    clusters, batches = np.repeat([0, 1], 400), np.repeat([0, 1], 400)
    lacked = np.array([[False, True], [False, False]])
    found = presence_elsewhere(codes, clusters, batches, lacked, np.random.default_rng(0))[0]
    # The fifth neighbor is 2.5 places away there, and 3 among its own.
    assert found.distance == pytest.approx(2.5 / 3, rel=0.01)
    assert (found.counterpart, found.n_expected) == (1, 400)
    assert found.returned == 1


@pytest.mark.parametrize("n_distinct", [1, 15])
def test_copies_of_cells_say_nothing_of_distance(n_distinct):
    """Two batches of one type, each cell copied many times, and each batch a cluster of its own."""
    rng = np.random.default_rng(0)
    profiles = np.array([1.0, 0, 0, 0]) + 0.2 * rng.normal(size=(2, n_distinct, 4))
    codes = np.repeat(profiles.reshape(-1, 4), 300 // n_distinct, axis=0)
    clusters = batches = np.repeat([0, 1], len(codes) // 2)
    lacked = np.array([[False, True], [True, False]])
    found = presence_elsewhere(codes, clusters, batches, lacked, np.random.default_rng(0))[0]
    # One profile has no neighbors of its own: too few cells to judge.
    assert np.isnan(found.distance) if n_distinct == 1 else 0.3 < found.distance < 3


@pytest.mark.parametrize("n_absent", [8, 4])
def test_only_clusters_of_all_batches_show_how_far_batches_lie_apart(n_absent):
    """Neither one that lacks batches, nor one of which these hold next to nothing."""
    rng = np.random.default_rng(0)
    clusters = np.repeat([0, 1, 2], [400, 400 + n_absent, 400])
    batches = np.concatenate([np.arange(400) % 2, np.repeat([0, 1], [400, n_absent]), np.zeros(400, int)])
    centers = rng.normal(size=(4, 10)) * 5
    codes = centers[np.where((clusters == 1) & (batches == 1), 3, clusters)] + rng.normal(size=(len(clusters), 10))
    lacked = np.array([[False, False], [False, n_absent == 8], [False, True]])
    found = presence_elsewhere(codes, clusters, batches, lacked, np.random.default_rng(0))[2]
    assert 0.8 < found.shared < 1.2
