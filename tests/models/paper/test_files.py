"""What is written to disk and read again: models and checkpoints."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import safe_open
from sklearn.base import clone

from scfcmi import FCMI
from scfcmi.errors import ModelFormatError
from scfcmi.models.paper import training

QUICK = {"max_epochs": 8, "warmup_epochs": 2}
unsettled = pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")


@unsettled
@pytest.mark.parametrize("names", [["a", "b"], [3, 5], [True, False], pd.Categorical(["u", "v"])])
def test_save_and_load(tmp_path, blobs, names):
    X, _, codes = blobs
    groups = pd.Series(names).to_numpy()[codes] if not isinstance(names, pd.Categorical) else names.take(codes)
    frame = pd.DataFrame(X, columns=[f"gene{i}" for i in range(20)])
    model = FCMI(3, **QUICK, checkpoint=tmp_path / "state").fit(frame, groups=groups)
    model.save(tmp_path / "model.fcmi")
    loaded = FCMI.load(tmp_path / "model.fcmi")
    np.testing.assert_array_equal(loaded.predict_proba(frame), model.predict_proba(frame))
    np.testing.assert_array_equal(loaded.reconstruct(frame, groups), model.reconstruct(frame, groups))
    pd.testing.assert_frame_equal(loaded.history_, model.history_)
    assert loaded.get_params() == model.get_params() | {"checkpoint": None, "random_state": 0}
    assert loaded.feature_names_in_.tolist() == frame.columns.tolist()
    assert (loaded.n_features_in_, loaded.n_iter_, loaded.decoder_) == (20, model.n_iter_, model.decoder_)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@unsettled
def test_convolutional_model_survives_saving(tmp_path):
    images = np.random.default_rng(0).uniform(-1, 1, (20, 1, 28, 28)).astype(np.float32)
    model = FCMI(2, max_epochs=2, warmup_epochs=1).fit(images, groups=np.arange(20) % 2)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(FCMI.load(tmp_path / "model").predict_proba(images), model.predict_proba(images))


def test_file_holds_no_pickle_and_no_cells(tmp_path, fitted):
    fitted.save(tmp_path / "model")
    with safe_open(tmp_path / "model", framework="pt") as file:
        content = json.loads(file.metadata()["content"])
        assert all(file.get_tensor(k).shape[:1] != (240,) for k in file.keys())  # noqa: SIM118
    assert content["groups"] == ["1", "0"]


def test_pickle_and_clone(blobs, fitted):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(blobs[0]), fitted.labels_)
    assert clone(fitted).get_params() == fitted.get_params()


def test_failed_save_leaves_the_old_file(tmp_path, fitted, monkeypatch):
    path = tmp_path / "model"
    fitted.save(path)
    before = path.read_bytes()

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("scfcmi.models.files.save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        fitted.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@unsettled
def test_interrupted_training_goes_on_to_the_same_end(tmp_path, blobs, monkeypatch):
    X, _, groups = blobs
    path = tmp_path / "state"
    settings = {"n_clusters": 3, "max_epochs": 12, "warmup_epochs": 4, "random_state": 1}
    whole = FCMI(**settings).fit(X, groups=groups)

    monkeypatch.setattr("scfcmi.models.paper.checkpoint._SECONDS", -1)
    describe = training._describe

    def interrupt(progress, *args):
        if progress.epoch == 7:
            raise KeyboardInterrupt
        return describe(progress, *args)

    monkeypatch.setattr(training, "_describe", interrupt)
    with pytest.raises(KeyboardInterrupt):
        FCMI(**settings, checkpoint=path).fit(X, groups=groups)
    monkeypatch.setattr(training, "_describe", describe)
    resumed = FCMI(**settings, checkpoint=path).fit(X, groups=groups)
    np.testing.assert_array_equal(resumed.embedding_, whole.embedding_)
    pd.testing.assert_frame_equal(resumed.history_, whole.history_)
    # Once more, from the end.
    np.testing.assert_array_equal(FCMI(**settings, checkpoint=path).fit(X, groups=groups).labels_, whole.labels_)

    with pytest.raises(ValueError, match=r"of another run: \['weights'\] differ"):
        FCMI(**settings, alpha=0.5, checkpoint=path).fit(X, groups=groups)
    with pytest.raises(ValueError, match=r"\['network'\] differ"):
        FCMI(**settings, decoder="branches", checkpoint=path).fit(X, groups=groups)
    with pytest.raises(ValueError, match=r"of another run: \['data'\] differ"):
        FCMI(**settings, checkpoint=path).fit(X + 1, groups=groups)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelFormatError, match="truncated"):
        FCMI(**settings, checkpoint=path).fit(X, groups=groups)


@unsettled
@pytest.mark.parametrize("decoder", ["shared", "branches"])
def test_training_of_images_goes_on_to_the_same_end(tmp_path, decoder):
    images = np.random.default_rng(0).uniform(-1, 1, (120, 1, 28, 28)).astype(np.float32)
    settings = {"n_clusters": 3, "batch_size": 40, "warmup_epochs": 1, "decoder": decoder, "precision": "float32"}
    groups = np.arange(120) % 2
    whole = FCMI(**settings, max_epochs=4).fit(images, groups=groups)
    for max_epochs in (2, 4):
        model = FCMI(**settings, max_epochs=max_epochs, checkpoint=tmp_path / "state").fit(images, groups=groups)
    np.testing.assert_array_equal(model.embedding_, whole.embedding_)


@unsettled
def test_a_checkpoint_of_more_epochs_than_are_asked_for(tmp_path, blobs):
    X, _, groups = blobs
    settings = {"n_clusters": 3, "warmup_epochs": 1, "checkpoint": tmp_path / "state"}
    FCMI(**settings, max_epochs=3).fit(X, groups=groups)
    with pytest.raises(ValueError, match=r"has 3 epochs, more than max_epochs=2. Raise it, or give another file"):
        FCMI(**settings, max_epochs=2).fit(X, groups=groups)
    assert FCMI(**settings, max_epochs=4).fit(X, groups=groups).n_iter_ == 4


def test_training_that_settles_leaves_its_end(tmp_path, blobs, monkeypatch):
    X, _, groups = blobs
    settings = {"n_clusters": 3, "max_epochs": 200, "warmup_epochs": 5, "patience": 4, "checkpoint": tmp_path / "state"}
    whole = FCMI(**settings).fit(X, groups=groups)
    monkeypatch.setattr(training, "_train_epoch", lambda *_, **__: pytest.fail("trained again"))
    again = FCMI(**settings).fit(X, groups=groups)
    assert again.n_iter_ == whole.n_iter_ < 200
    np.testing.assert_array_equal(again.embedding_, whole.embedding_)


@pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")
def test_a_checkpoint_of_other_groups(tmp_path, blobs):
    X, _, groups = blobs
    model = FCMI(3, max_epochs=1, checkpoint=tmp_path / "state").fit(X, groups=groups)
    with pytest.raises(ValueError, match=r"\['groups'\] differ"):
        model.fit(X, groups=np.roll(groups, 1))
