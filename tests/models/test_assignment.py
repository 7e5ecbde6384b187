from __future__ import annotations

import numpy as np
import pytest

from scfcmi.models.assignment import classify, fit_classifier


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
