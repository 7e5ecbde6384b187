from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from scfcmi.models import assignment as module
from scfcmi.models.assignment import _some_of_each, classify, fit_classifier, soft_assignment, with_all


@pytest.mark.parametrize("n_types", [1, 2, 5])
@pytest.mark.parametrize("n_cells", [400, 30_000])
def test_classifier_knows_its_cells_and_new_ones(n_types, n_cells):
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(5, 8))
    # The last type is rare.
    labels = np.where(rng.random(n_cells) < 0.01, n_types - 1, rng.integers(max(1, n_types - 1), size=n_cells))
    labels[:n_types] = np.arange(n_types)
    codes = (centers[labels] + rng.normal(size=(n_cells, 8)) * 0.1).astype(np.float32)
    proba = classify(codes, *fit_classifier(codes, labels, rng))
    assert proba.shape == (n_cells, n_types)
    assert proba.dtype == np.float32
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    assert (proba.argmax(axis=1) == labels).mean() > 0.99
    rare = labels == n_types - 1
    assert (proba[rare].argmax(axis=1) == labels[rare]).mean() > 0.9


def test_a_small_cluster_has_its_share_of_the_probability():
    """Of 60,000 cells 20,000 are fitted, of the small cluster all."""
    rng = np.random.default_rng(0)
    labels = (rng.random(60_000) < 0.002).astype(int)
    codes = (np.array([[0.0, 1.0], [1.0, 0.0]])[labels] + rng.normal(size=(60_000, 2)) * 0.4).astype(np.float32)
    proba = classify(codes, *fit_classifier(codes, labels, rng))
    assert abs(proba[:, 1].sum() / labels.sum() - 1) < 0.2


def test_probabilities_are_calibrated():
    """Two types that run into each other: of cells given 0.7, seven in ten are of the type."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=8000)
    codes = (np.array([[0.0, 1.0], [1.0, 0.0]])[labels] + rng.normal(size=(8000, 2)) * 0.8).astype(np.float32)
    weights = fit_classifier(codes[:4000], labels[:4000], rng)
    proba = classify(codes[4000:], *weights)
    largest, right = proba.max(axis=1), proba.argmax(axis=1) == labels[4000:]
    for low in (0.5, 0.6, 0.7, 0.8, 0.9):
        inside = (largest >= low) & (largest < low + 0.1)
        assert abs(right[inside].mean() - largest[inside].mean()) < 0.06


def test_any_temperature_is_finite():
    codes = F.normalize(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    soft = soft_assignment(codes, codes[:2], 0.005)
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(5))


@pytest.mark.parametrize(("penalty", "unit"), [(1000, 0.02), (0.02, 1)])
def test_the_classifier_is_that_of_scikit_learn(monkeypatch, penalty, unit):
    """Three types that run into each other, in units so small that the penalty matters."""
    # The first is what we use.
    if penalty != 1000:
        monkeypatch.setattr(module, "_PENALTY", penalty)
    monkeypatch.setattr(module, "_MAX_ITER", 1000)
    monkeypatch.setattr(module, "_SLOPE", 1e-7)
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [200, 80, 20])
    codes = (unit * (np.eye(3)[labels] + rng.normal(size=(300, 3)))).astype(np.float32)
    theirs = LogisticRegression(C=penalty, tol=1e-8, max_iter=10_000).fit(codes, labels).predict_proba(codes)
    np.testing.assert_allclose(classify(codes, *fit_classifier(codes, labels, rng)), theirs, atol=0.01)


def test_small_clusters_are_drawn_whole():
    labels = np.repeat([0, 1, 2], [59_750, 200, 50])
    drawn = _some_of_each(labels, np.random.default_rng(0))
    assert np.bincount(labels[drawn]).tolist() == [19_916, 100, 50]
    assert (np.diff(drawn) > 0).all()
    assert drawn[labels[drawn] == 0].max() > 59_000


def test_a_cluster_without_cells_is_raised_until_it_has_half_of_its_own():
    labels = np.repeat([0, 1], [900, 101])
    codes = np.concatenate([np.linspace(-3, -1, 900), np.linspace(0, 1, 101) ** 2])[:, None].astype(np.float32)
    weights, offsets = np.array([[0.0, 2.0]], np.float32), np.array([0.0, -5.0], np.float32)
    assert (classify(codes, weights, offsets).argmax(axis=1) == 0).all()
    found = classify(codes, weights, with_all(codes, labels, weights, offsets)).argmax(axis=1)
    assert found[labels == 0].sum() == 0
    assert found[labels == 1].sum() == 51
