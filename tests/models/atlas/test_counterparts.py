from __future__ import annotations

import numpy as np
import pytest

from scfcmi.models.atlas.counterparts import _mutual, find_counterparts
from scfcmi.models.atlas.training import Counterparts


def test_counterparts_are_of_the_same_type(blobs):
    X, labels, groups = blobs
    codes = np.unique(groups, return_inverse=True)[1]
    # The second group lacks the first type.
    keep = ~((codes == 1) & (labels == 0))
    X, labels, codes = X[keep], labels[keep], codes[keep]
    first, second = find_counterparts(X - X.mean(axis=0), codes, 10, np.random.default_rng(0))
    assert (codes[first] != codes[second]).all()
    assert (labels[first] == labels[second]).mean() > 0.97
    assert np.isin(first, np.flatnonzero(labels == 0)).mean() < 0.05
    assert set(zip(first, second, strict=True)) == set(zip(second, first, strict=True))


def test_batches_that_share_no_type_have_hardly_any_counterparts():
    """Four types, two in each group: without a bound on the shift, their difference would pass for one."""
    rng = np.random.default_rng(0)
    types = np.repeat(np.arange(4), 100)
    centers = rng.normal(size=(4, 30))
    X = centers[types] + rng.normal(size=(400, 30)) * 0.7
    groups = types // 2
    assert len(find_counterparts(X, groups, 40, np.random.default_rng(0))[0]) < 100
    # The same types in both groups, one group moved by as much as its types are apart.
    shifted = np.concatenate([X, X + rng.normal(size=30) * 0.5])
    both = find_counterparts(shifted, np.repeat([0, 1], 400), 40, np.random.default_rng(0))
    assert len(np.unique(both[0])) > 600


def test_a_batch_of_few_cells_is_not_everything_to_everyone():
    """The tenth neighbor among sixteen cells is of another type: it is no measure of what is near."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(16, 20))
    # The other batch lacks types 8 to 15, each of which is like one of types 0 to 7.
    centers[8:] = centers[:8] + 0.7 * rng.normal(size=(8, 20))
    labels = np.concatenate([np.repeat(np.arange(16), 20), np.repeat(np.arange(8), 2)])
    X = centers[labels] + 0.4 * rng.normal(size=(336, 20))
    first, second = find_counterparts(X, np.repeat([0, 1], [320, 16]), 40, np.random.default_rng(0))
    assert len(np.unique(first)) > 70
    assert (labels[first] == labels[second]).mean() > 0.95


def test_three_hundred_groups_cost_no_more_pairs_than_eight_partners():
    rng = np.random.default_rng(0)
    X, codes = rng.normal(size=(6000, 5)).astype(np.float32), np.arange(6000) % 300
    first, second = find_counterparts(X, codes, 40, rng)
    partners = {(a, b) for a, b in zip(codes[first], codes[second], strict=True)}
    assert 0 < len(partners) <= 300 * 8


def test_groups_with_many_counterparts_do_not_hide_those_with_few():
    """Cell 0 has thirty counterparts in one group and one in another; cell 41 has none but cell 0."""
    groups = np.array([0] + [1] * 30 + [2] * 11)
    first = np.array([0] * 31 + [41])
    second = np.array([41, *range(1, 31), 0])
    # Pairs come in any order.
    mixed = np.random.default_rng(1).permutation(32)
    pairs = Counterparts(first[mixed], second[mixed], 42, groups)
    assert pairs.share == pytest.approx(2 / 42)
    cells, others = (part for part in pairs.draw(42000, np.random.default_rng(0)))
    assert set(cells) == {0, 41}
    assert (others[cells == 41] == 0).all()
    of_cell = others[cells == 0]
    assert np.mean(groups[of_cell] == 2) == pytest.approx(0.5, abs=0.05)
    assert set(of_cell) == {*range(1, 31), 41}


def test_batches_of_one_cell_have_no_counterparts():
    X = np.random.default_rng(0).normal(size=(60, 10))
    first, _ = find_counterparts(X, np.arange(60), 40, np.random.default_rng(0))
    assert len(first) == 0
    pairs = Counterparts(first, first, 60, np.arange(60))
    assert pairs.share == 0
    assert (pairs.draw(5, np.random.default_rng(0))[0] == 0).all()


@pytest.mark.parametrize(("n_neighbors", "near_for", "nearer"), [(5, "both", min), (20, "both", min), (20, "one", max)])
def test_pairs_are_those_of_every_pair_looked_at(n_neighbors, near_for, nearer):
    """Two groups, shifted, of four types; the definition, pair by pair, in plain numpy."""
    rng = np.random.default_rng(0)
    types, groups = rng.integers(0, 4, 330), np.repeat([0, 1], [90, 240])
    origin = rng.normal(size=(4, 6))[types] + rng.normal(size=(330, 6))
    codes = origin + groups[:, None] * rng.normal(size=6) + 1.5 * rng.normal(size=(330, 6))
    pairs = find_counterparts(codes, groups, n_neighbors, np.random.default_rng(1), origin, near_for=near_for)
    found = set(zip(*pairs, strict=True))

    origin, codes = (values / np.linalg.norm(values, axis=1, keepdims=True) for values in (origin, codes))
    members, draws = [np.flatnonzero(groups == group) for group in (0, 1)], np.random.default_rng(1)
    distances = np.linalg.norm(codes[:, None] - codes, axis=-1)
    at_start = np.linalg.norm(origin[:, None] - origin, axis=-1)
    usual, medians, own = [], [], np.zeros(330)
    for cells, nth in zip(members, (4, 10), strict=True):
        shuffled = draws.permutation(cells)
        usual.append(np.median(at_start[shuffled, np.roll(shuffled, 1)]))
        own[cells] = np.sort(distances[np.ix_(cells, cells)], axis=1)[:, nth] ** 2
        medians.append(np.median(own[cells]))
        own[cells] /= medians[-1]
    noise, ranks = np.mean(medians), {}
    for cells, others in (members, members[::-1]):
        order = np.argsort(distances[np.ix_(cells, others)], axis=1)[:, : min(n_neighbors, len(others) // 6)]
        ranks |= {int(cell): set(others[row].tolist()) for cell, row in zip(cells, order, strict=True)}
    mutual = [(int(i), j) for i in members[0] for j in sorted(ranks[int(i)]) if int(i) in ranks[j]]
    shift = np.median([codes[i] - codes[j] for i, j in mutual], axis=0)
    expected = {
        (i, j)
        for i, j in mutual
        if np.linalg.norm(codes[i] - codes[j] - shift) ** 2 <= nearer(own[i], own[j]) * noise
        and at_start[i, j] <= np.mean(usual)
    }
    # Both filters have something to do, and the shift is of all mutual pairs.
    assert 20 < len(expected) < 0.9 * len(mutual) < 1800
    assert found == expected | {(j, i) for i, j in expected}


def test_neighbors_are_at_most_a_sixth_of_a_group():
    cosines = np.random.default_rng(0).random((60, 12), np.float32)
    rows, columns = _mutual(cosines, 40, np.random.default_rng(0))
    assert np.bincount(rows).max() <= 12 // 6
    assert np.bincount(columns).max() <= 60 // 6
    rows, columns = _mutual(cosines, 3, np.random.default_rng(0))
    assert np.bincount(columns).max() <= 3


@pytest.mark.parametrize(("moved", "paired"), [(0.0, True), (1.2, False), (4.0, False)])
def test_types_that_training_has_pulled_together_are_no_counterparts(moved, paired):
    """Codes of both groups are alike; before training the second lay farther off than two cells of a group do."""
    rng = np.random.default_rng(0)
    codes = np.eye(1, 20) + 0.02 * rng.normal(size=(400, 20))
    groups, origin = np.repeat([0, 1], 200), np.eye(1, 20) + 0.02 * rng.normal(size=(400, 20))
    apart = 0.02 * np.sqrt(2 * 19)
    origin[200:, 1] += moved * apart
    first, _ = find_counterparts(codes, groups, 10, np.random.default_rng(0), origin)
    assert len(first) > 100 if paired else len(first) < 20


def test_one_pair_shows_no_shift():
    """Thirty degrees apart, where the nearest of one's own group is ten: the shift of one pair would be all of that."""
    angles = np.deg2rad([0, 10, 90, -30, -40, -120])
    codes = np.column_stack([np.cos(angles), np.sin(angles)])
    assert len(find_counterparts(codes, np.repeat([0, 1], 3), 40, np.random.default_rng(0))[0]) == 0


def test_copies_have_no_more_pairs_than_others():
    rows, columns = _mutual(np.ones((60, 60), np.float32), 5, np.random.default_rng(0))
    assert len(rows) == len(set(zip(rows, columns, strict=True))) == 60 * 5
    assert (np.diff(rows) >= 0).all()
