from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scfcmi import metrics
from scfcmi.baselines import falg, kmeans
from scfcmi.baselines._falg import _fractional, _rounded
from scfcmi.baselines._inputs import check_inputs


@pytest.mark.parametrize(
    ("few", "many", "published"), [(2715, 4239, 0.454), (795, 2817, 0.214), (1000, 1000, 0.667), (729, 6000, 0.095)]
)
def test_balance_is_that_of_the_formula(few, many, published):
    # The smaller group would all be in the last cluster, and is in the others at the bound.
    rng = np.random.default_rng(0)
    groups = np.repeat(["few", "many"], [few, many])
    side = np.concatenate([np.full(few, 3), rng.choice(4, many, p=[0.1, 0.1, 0.2, 0.6])])
    X = np.eye(4)[side] * 10 + rng.normal(size=(few + many, 4))
    found = falg(X, groups, 4)
    share = 0.8 * few / (few + many)
    formula = share / (1 - share)
    assert round(formula, 3) == pytest.approx(published, abs=0.0011)
    # One cell more or less, of the smallest cluster there is.
    common = min(np.bincount(found, weights=groups == "many"))
    assert metrics.balance(found, groups) == pytest.approx(formula, abs=(1 + formula) / common)
    assert metrics.balance(kmeans(X, groups, 4), groups) == 0


def test_thirty_uneven_groups():
    # The sizes of HAR's smallest and largest subject, who sit at opposite ends.
    rng = np.random.default_rng(0)
    sizes = np.linspace(281, 409, 30).astype(int)
    groups = np.repeat(np.arange(30), sizes)
    place = rng.integers(6, size=len(groups))
    place[groups == 0], place[groups == 29] = 0, 5
    found = falg((10.0 * place + rng.normal(size=len(groups)))[:, None], groups, 6)
    counts = np.stack([np.bincount(groups[found == k], minlength=30) for k in range(6)])
    formula = (281 * 0.8) / (409 / 0.8)
    # One cell more or less of some 85.
    assert metrics.balance(found, groups) == pytest.approx(formula, abs=(1 + formula) / counts.max())
    fair = sizes / sizes.sum() * counts.sum(axis=1, keepdims=True)
    assert (counts > 0.8 * fair - 2).all()
    assert (counts < fair / 0.8 + 3).all()


@settings(max_examples=60, deadline=None)
@given(
    n_cells=st.integers(2, 80),
    n_groups=st.integers(1, 12),
    n_clusters=st.integers(1, 6),
    delta=st.sampled_from([0.0, 0.05, 0.2, 0.9]),
    seed=st.integers(0, 2**16),
)
def test_rounding_moves_no_count_by_one(n_cells, n_groups, n_clusters, delta, seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(n_groups, size=n_cells)
    member = check_inputs(np.zeros((n_cells, 1)), groups, 1, 0).membership
    cost = rng.uniform(size=(n_cells, n_clusters))
    x = _fractional(cost, member, delta)
    labels = _rounded(x, cost, member)
    assert labels.min() >= 0
    whole = np.eye(n_clusters)[labels]
    assert (np.abs(member.T @ whole - member.T @ x) < 1).all()
    assert (np.abs(whole.sum(axis=0) - x.sum(axis=0)) < 1).all()
    # And the fractional solution is what it should be.
    counts = member.T @ x
    share = member.mean(axis=0).A1[:, None]
    assert np.allclose(x.sum(axis=1), 1)
    assert (counts >= (1 - delta) * share * x.sum(axis=0) - 1e-6).all()
    assert (counts <= share / (1 - delta) * x.sum(axis=0) + 1e-6).all()


def test_wide_tolerance_is_kmeans(blobs):
    X, _, groups = blobs
    assert metrics.ari(falg(X, groups, 3, delta=0.99), kmeans(X, groups, 3, n_init=10)) == 1
