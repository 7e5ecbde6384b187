from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from scfcmi import FCMI, consensus, metrics

pytestmark = pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")
SETTINGS = {"n_clusters": 3, "max_epochs": 4, "warmup_epochs": 1, "precision": "float32"}


def one_hot(clusters):
    return np.eye(3)[clusters]


def test_consensus_of_one_clustering_numbered_otherwise_is_that_clustering():
    soft = np.random.default_rng(0).dirichlet([0.3] * 4, 50)
    found = consensus([soft, soft[:, [2, 0, 3, 1]], soft[:, ::-1]])
    np.testing.assert_allclose(found, soft, rtol=1e-12)


def test_consensus_is_right_where_most_are():
    truth = np.repeat([0, 1, 2], 20)
    runs = [truth.copy() for _ in range(3)]
    for run, start in zip(runs, (0, 5, 10), strict=True):
        # Each run errs on cells of its own.
        run[start : start + 5] = 1
    renumbered = [(run + shift) % 3 for shift, run in enumerate(runs)]
    assert (renumbered[1] != truth).mean() > 0.9
    np.testing.assert_array_equal(consensus(list(map(one_hot, renumbered))).argmax(axis=1), truth)


@pytest.mark.slow
def test_consensus_of_fits_errs_less_than_the_worst():
    X, labels = (array[:900] for array in load_digits(return_X_y=True))
    groups = np.arange(len(labels)) // 10 % 2
    settings = SETTINGS | {"n_clusters": 10, "max_epochs": 16, "warmup_epochs": 4}
    fits = [FCMI(**settings, random_state=seed).fit(X, groups=groups) for seed in range(3)]
    found = consensus([fit.predict_proba(X) for fit in fits])
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    accuracy = [metrics.accuracy(labels, clusters) for clusters in (found.argmax(axis=1), *(f.labels_ for f in fits))]
    assert accuracy[0] > min(accuracy[1:])


@pytest.mark.parametrize("assignments", [[], [one_hot([0, 1]), one_hot([0, 1, 2])], [np.zeros(3), np.zeros(3)]])
def test_assignments_of_other_shapes(assignments):
    with pytest.raises(ValueError, match="assignments must be of one shape"):
        consensus(assignments)


def test_values_that_are_no_probabilities():
    with pytest.raises(ValueError, match="must hold probabilities"):
        consensus([one_hot([0, 1]), one_hot([0, 1]) * np.nan])
