from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from scfcmi import FCMI
from scfcmi.models import objective
from scfcmi.models.paper import best_of, training
from scfcmi.models.paper.composition import composition_imbalance
from scfcmi.rows import rows_of

pytestmark = pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")
SETTINGS = {"n_clusters": 3, "max_epochs": 4, "warmup_epochs": 1, "precision": "float32"}


def test_first_run_is_that_of_one_run(blobs):
    X, _, groups = blobs
    one, three = (FCMI(**SETTINGS, n_init=n).fit(X, groups=groups) for n in (1, 3))
    assert len(one.objectives_) == 1
    assert len(set(three.objectives_)) == 3
    assert three.objectives_[0] == one.objectives_[0]


def test_lowest_objective_is_kept(blobs):
    X, _, groups = blobs
    model = FCMI(**SETTINGS, n_init=4).fit(X, groups=groups)
    # Eq. 12 from what the model hands out.
    last = model.history_.iloc[-1]
    error = ((model.reconstruct(X, groups) - X) ** 2).mean()
    value = error + 0.04 * (last["H_C_given_X"] - last["H_C"]) + 0.20 * last["I_G_C"]
    assert value == pytest.approx(min(model.objectives_), rel=1e-5)
    np.testing.assert_array_equal(model.predict(X), model.labels_)


@pytest.mark.slow
def test_runs_resume_one_by_one(blobs, tmp_path, monkeypatch):
    X, _, groups = blobs
    whole = FCMI(**SETTINGS, n_init=3).fit(X, groups=groups)
    started, start = [], training.start

    def start_two(*arguments):
        started.append(arguments)
        if len(started) == 3:
            raise KeyboardInterrupt
        return start(*arguments)

    model = FCMI(**SETTINGS, n_init=3, checkpoint=tmp_path / "state")
    monkeypatch.setattr("scfcmi.models.paper.training.start", start_two)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, groups=groups)
    monkeypatch.setattr("scfcmi.models.paper.training.start", start)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state", "state.2"]

    trained, train_epoch = [], training._train_epoch
    monkeypatch.setattr(
        "scfcmi.models.paper.training._train_epoch", lambda *a, **k: trained.append(1) or train_epoch(*a, **k)
    )
    model.fit(X, groups=groups)
    assert len(trained) == SETTINGS["max_epochs"]
    assert model.objectives_ == whole.objectives_
    np.testing.assert_array_equal(model.labels_, whole.labels_)


def test_no_run_is_refused(blobs):
    with pytest.raises(ValueError, match="n_init must be at least 1"):
        FCMI(3, n_init=0).fit(blobs[0])


def test_the_objective_of_a_run_by_hand(monkeypatch):
    monkeypatch.setattr(best_of.inference, "reconstruction_error", lambda *_: 2.0)
    progress = SimpleNamespace(network=None, history=[{}, {"H_C_given_X": 0.5, "H_C": 3.0, "I_G_C": 0.25}])
    weights = objective.Weights(compactness=0.1, balance=0.2, fairness=0.4)
    assert best_of.objective_over_cells(progress, None, None, weights) == pytest.approx(2 + 0.05 - 0.6 + 0.1)


def test_composition_forgives_shift_and_scale_and_chance():
    rng = np.random.default_rng(0)
    types, groups = np.arange(600) % 4, rng.integers(2, size=600)
    X = rng.normal(size=(4, 30))[types] * 4 + rng.normal(size=(600, 30))
    moved = np.where(groups[:, None] == 1, 5 * X + 20, X)
    for cells in (X, moved):
        assert composition_imbalance(rows_of(cells.astype(np.float32)), groups, 4) < 0.01
    # Nothing in common is one, one type less is more than nothing.
    alone = (types < 2) == (groups == 0)
    assert composition_imbalance(rows_of(X[alone].astype(np.float32)), groups[alone], 4) == pytest.approx(1, abs=0.05)
    less = (groups == 0) | (types > 0)
    assert composition_imbalance(rows_of(X[less].astype(np.float32)), groups[less], 4) > 0.1
