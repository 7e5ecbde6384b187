from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.special import softmax

from scfcmi import metrics
from scfcmi.baselines import fair_repair, kmeans


def bounds(labels, groups, n_clusters, delta):
    sizes = np.bincount(labels, minlength=n_clusters)
    fair = np.bincount(groups)[:, None] * sizes / len(labels)
    least, most = np.round((1 - delta) * fair, 9), np.round(fair / (1 - delta), 9)
    return np.minimum(np.ceil(least), np.floor(fair)), np.maximum(np.floor(most), np.ceil(fair))


def best_sum(scores, lower, upper):
    n, k = scores.shape
    clusters = np.kron(np.ones((1, n)), np.eye(k))
    solution = linprog(
        -scores.ravel(),
        A_ub=np.vstack([clusters, -clusters]),
        b_ub=np.concatenate([upper, -lower]),
        A_eq=np.kron(np.eye(n), np.ones((1, k))),
        b_eq=np.ones(n),
    )
    assert solution.status == 0
    return -solution.fun


@settings(max_examples=150, deadline=None)
@given(
    n_cells=st.integers(1, 60),
    n_groups=st.integers(1, 5),
    n_clusters=st.integers(1, 6),
    delta=st.sampled_from([0.0, 0.02, 0.3]),
    ties=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_best_of_all_labels_within_bounds(n_cells, n_groups, n_clusters, delta, ties, seed):
    rng = np.random.default_rng(seed)
    groups = np.unique(rng.integers(n_groups, size=n_cells), return_inverse=True)[1]
    scores = rng.normal(size=(n_cells, n_clusters)) + rng.normal(size=(n_groups, n_clusters))[groups]
    if ties:
        scores = scores.round()
    labels = scores.argmax(axis=1)
    found = fair_repair(scores, groups, delta=delta, fair_enough=2)
    lower, upper = bounds(labels, groups, n_clusters, delta)
    counts = np.stack([np.bincount(found[groups == g], minlength=n_clusters) for g in range(groups.max() + 1)])
    if groups.max() == 0:
        assert np.array_equal(found, labels)
        return
    assert (lower <= counts).all()
    assert (counts <= upper).all()
    for g in range(groups.max() + 1):
        cells = groups == g
        total = scores[cells, found[cells]].sum()
        assert total == pytest.approx(best_sum(scores[cells], lower[g], upper[g]), abs=1e-6)


@pytest.fixture
def unfair(digits):
    """Soft clusters by k-means of digits, where digits below five lean to one group: proba, labels, groups."""
    X, labels = digits
    groups = (np.random.default_rng(0).random(len(X)) < np.where(labels < 5, 0.75, 0.35)).astype(int)
    clusters = kmeans(X, groups, 10)
    means = np.stack([X[clusters == k].mean(axis=0) for k in range(10)])
    return softmax(-((X[:, None] - means) ** 2).sum(axis=2), axis=1), labels, groups


def test_fair_at_less_cost_than_random_members(unfair):
    proba, labels, groups = unfair
    before = proba.argmax(axis=1)
    repaired = fair_repair(proba, groups, delta=0.02)
    blind = np.eye(10)[before] + 1e-6 * np.random.default_rng(0).random(proba.shape)
    random_members = fair_repair(blind, groups, delta=0.02)
    assert metrics.mnce(before, groups) < 0.85
    assert min(metrics.mnce(repaired, groups), metrics.mnce(random_members, groups)) > 0.995
    assert metrics.nmi(labels, repaired) > metrics.nmi(labels, random_members) + 0.02


def test_tolerance_moves_fewer(unfair):
    proba, _, groups = unfair
    before = proba.argmax(axis=1)
    moved = [int((fair_repair(proba, groups, delta=delta) != before).sum()) for delta in (0, 0.02, 0.1, 0.3)]
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > moved[-1] > 0


def test_sizes_stay_without_tolerance(unfair):
    proba, _, groups = unfair
    before, after = (np.bincount(labels) for labels in (proba.argmax(axis=1), fair_repair(proba, groups, delta=0)))
    # Each of the two groups may round by less than one.
    assert np.abs(before - after).max() < 2


def test_fair_clusters_are_left_alone(unfair):
    proba, _, _ = unfair
    groups = np.random.default_rng(0).integers(2, size=len(proba))
    before = proba.argmax(axis=1)
    assert metrics.mnce(before, groups) > 0.95
    assert np.array_equal(fair_repair(proba, groups, fair_enough=0.95), before)
    assert not np.array_equal(fair_repair(proba, groups, delta=0, fair_enough=1), before)
    assert np.array_equal(fair_repair(proba, np.zeros(len(proba))), before)


def test_wrong_arguments():
    proba = np.eye(4)
    with pytest.raises(ValueError, match="groups has 3 entries for 4 cells"):
        fair_repair(proba, [0, 1, 0])
    with pytest.raises(ValueError, match="proba contains NaN"):
        fair_repair(np.full((4, 2), np.nan), [0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"proba spans from -1e\+308 to 1e\+308"):
        fair_repair(np.array([[1e308, 0], [-1e308, 0], [1, 0], [1, 0]]), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="delta must be below 1, got 1"):
        fair_repair(proba, [0, 1, 0, 1], delta=1)
    with pytest.raises(ValueError, match="Expected 2D array"):
        fair_repair([0, 1, 0, 1], [0, 1, 0, 1])


def test_groups_of_a_data_frame_are_matched_by_name(unfair):
    proba, _, groups = unfair
    frame, series = pd.DataFrame(proba).rename(str), pd.Series(groups).rename(str)
    assert np.array_equal(fair_repair(frame, series.sample(frac=1, random_state=0)), fair_repair(proba, groups))
