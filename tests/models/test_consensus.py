from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from scfcmi import FCMI, consensus, metrics
from scfcmi.models.consensus import _renumbered, agreement, joined

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


def test_agreement_counts_runs_whatever_they_call_their_clusters():
    truth = np.repeat([0, 1, 2], 20)
    runs = [truth.copy() for _ in range(3)]
    runs[2][:5] = 1
    soft = [np.eye(3)[(run + shift) % 3] for shift, run in enumerate(runs)]
    agreed = agreement(soft, consensus(soft))
    np.testing.assert_array_equal(agreed, np.array(runs) == truth)


def test_the_consensus_starts_from_the_run_most_like_the_others():
    truth = np.repeat([0, 1, 2], 20)
    other = np.tile([0, 1, 2], 20)
    one_hot = lambda labels: np.eye(3)[labels]
    names = [(truth + 1) % 3, (truth + 1) % 3, other]
    for order in ([0, 1, 2], [2, 0, 1], [0, 2, 1]):
        np.testing.assert_array_equal(consensus([one_hot(names[k]) for k in order]).argmax(axis=1), names[0])


def test_a_consensus_repeats_itself():
    rng = np.random.default_rng(0)
    for _ in range(20):
        soft = list(rng.dirichlet([0.3] * 6, (5, 12)))
        found = consensus(soft)
        np.testing.assert_array_equal(np.mean([_renumbered(run, found) for run in soft], axis=0), found)


def test_the_run_that_agrees_most_is_taken():
    truth = np.repeat([0, 1, 2], 20)
    labels = [truth.copy() for _ in range(3)]
    labels[0][:8], labels[2][30:34] = 2, 0
    # Each run numbers clusters in its own way.
    labels = [(run + shift) % 3 for shift, run in enumerate(labels)]
    runs = [
        SimpleNamespace(embedding_=np.eye(3)[run], assignment_of=lambda codes: codes, labels_=run) for run in labels
    ]
    model, found, proba, agreed = joined(runs)
    assert model is runs[1]
    np.testing.assert_array_equal(found, labels[1])
    np.testing.assert_array_equal(proba.argmax(axis=1), found)
    expected = np.ones(60)
    expected[:8] = expected[30:34] = 2 / 3
    np.testing.assert_allclose(agreed, expected)


def test_the_consensus_is_numbered_as_the_run_that_is_taken():
    """The first run is surest, so that the consensus starts from it, but errs on most cells; the others number otherwise."""
    truth = np.repeat([0, 1, 2], 20)
    sure = truth.copy()
    sure[:8] = 2
    soft = [np.eye(3)[sure], *[np.eye(3)[(truth + 1) % 3] * 0.4 + 0.2] * 4]
    runs = [
        SimpleNamespace(embedding_=run, assignment_of=lambda codes: codes, labels_=run.argmax(axis=1)) for run in soft
    ]
    model, labels, proba, agreed = joined(runs)
    assert model is runs[1]
    np.testing.assert_array_equal(labels, model.labels_)
    np.testing.assert_array_equal(proba.argmax(axis=1), labels)
    np.testing.assert_allclose(agreed, np.where(sure == truth, 1, 0.8))
