from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scfcmi import metrics
from scfcmi.baselines import kmeans, scfc
from scfcmi.baselines._fairlets import fairlets
from scfcmi.baselines._scfc import _ratio
from scfcmi.datasets._digits import read_idx


@settings(max_examples=300, deadline=None)
@given(
    n_red=st.integers(1, 60),
    n_blue=st.integers(1, 60),
    n_dims=st.integers(1, 3),
    n_places=st.integers(1, 40),
    slack=st.integers(0, 3),
    seed=st.integers(0, 2**16),
)
def test_sets_are_a_fair_partition(n_red, n_blue, n_dims, n_places, slack, seed):
    rng = np.random.default_rng(seed)
    p, q = _ratio(n_red, n_blue)
    # Less even than the data would allow.
    p = max(1, p - slack)
    red = rng.permutation(np.arange(n_red + n_blue) < n_red)
    # Few places: points coincide, and colours differ from place to place.
    points = rng.normal(size=(n_places, n_dims))[(rng.integers(n_places, size=len(red)) + red) % n_places]
    sets = fairlets(points, red, p, q, rng)
    assert np.array_equal(np.sort(np.concatenate(sets)), np.arange(len(red)))
    for members in sets:
        a = int(red[members].sum())
        b = len(members) - a
        assert a * p <= b * q
        assert b * p <= a * q
        assert a + b <= p + q
        assert (np.diff(red[members].astype(int)) <= 0).all()


@pytest.mark.parametrize(
    ("a", "b", "ratio"),
    [
        (5, 5, (1, 1)),
        (60_000, 7_291, (1, 9)),
        (2_817, 795, (3, 11)),
        (4_239, 2_715, (7, 11)),
        (10, 20, (1, 2)),
        (1, 1000, (1, 1000)),
    ],
)
def test_ratio(a, b, ratio):
    assert _ratio(a, b) == ratio == _ratio(b, a)


def test_near_points_are_paired():
    rng = np.random.default_rng(0)
    places = rng.uniform(size=(200, 2)).repeat(2, axis=0)
    red = np.arange(400) % 2 == 0
    order = rng.permutation(400)
    sets = fairlets((places + rng.normal(size=(400, 2)) * 1e-3)[order], red[order], 1, 1, rng)
    inside = [np.linalg.norm(np.diff(places[order[members]], axis=0)) for members in sets]
    assert np.median(inside) == 0
    assert np.mean(inside) < 0.1


def test_many_dimensions_pair_in_file_order():
    rng = np.random.default_rng(0)
    red = rng.permutation(np.arange(60) < 30)
    sets = fairlets(rng.normal(size=(60, 200)), red, 1, 1, rng)
    assert np.array_equal(np.stack(sets), np.column_stack([np.flatnonzero(red), np.flatnonzero(~red)]))


def test_balance_holds_with_uneven_groups(digits):
    X, labels = digits
    groups = np.where(np.random.default_rng(0).random(len(X)) < 0.3, "rare", "common")
    few, many = np.sort(np.unique(groups, return_counts=True)[1])
    p, q = _ratio(few, many)
    for n_components in (None, 5):
        found = scfc(X, groups, 10, n_components=n_components)
        assert p / q <= metrics.balance(found, groups) <= 1
    # Pairs by what matters, and in any order.
    assert metrics.nmi(labels, found) > 0.45
    assert metrics.nmi(labels, scfc(X, groups, 10)) < 0.2


def test_too_few_sets():
    with pytest.raises(ValueError, match="at most the number of fair sets, 5, got 6"):
        scfc(np.eye(10), np.arange(10) % 2, 6)


def test_thirty_groups():
    with pytest.raises(ValueError, match="ScFC serves two groups only, got 30"):
        scfc(np.eye(60), np.arange(60) % 30, 6)


def test_published_numbers_are_those_of_file_order(data_dir):
    n = 1500
    images = read_idx(data_dir / "mnist" / "train-images-idx3-ubyte.gz")[:n].reshape(n, -1) / np.float32(127.5) - 1
    digit = read_idx(data_dir / "mnist" / "train-labels-idx1-ubyte.gz")[:n]
    X, labels, groups = np.vstack([images, -images]), np.tile(digit, 2), np.repeat(["original", "reversed"], n)
    plain = kmeans(images, groups[:n], 10, n_init=10)
    ordered = scfc(X, groups, 10, shuffle=False)
    shuffled = scfc(X, groups, 10)
    for metric in (metrics.accuracy, metrics.nmi):
        assert abs(metric(labels, ordered) - metric(digit, plain)) < 0.01
    assert metrics.nmi(labels, ordered) > 0.4
    assert metrics.nmi(labels, shuffled) < 0.2
    assert metrics.balance(ordered, groups) == metrics.balance(shuffled, groups) == 1
