"""What estimators of both modes promise beyond the contract of scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn

import scfcmi
from scfcmi import FCMI, AtlasFCMI, load_model

pytestmark = pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")


def estimators(**settings):
    return [AtlasFCMI(max_epochs=3, **settings), FCMI(max_epochs=3, warmup_epochs=1, **settings)]


def test_parameters_may_be_numbers_of_numpy(blobs, tmp_path):
    X, _, groups = blobs
    for model in estimators(n_clusters=np.int64(3), checkpoint=str(tmp_path / "checkpoint")):
        model.fit(X, groups=groups).save(tmp_path / "model")
        assert load_model(tmp_path / "model").n_clusters == 3
        (tmp_path / "checkpoint").unlink(missing_ok=True)
    AtlasFCMI(resolution=np.float32(0.5), max_epochs=1).fit(X, groups=groups).save(tmp_path / "model")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        model.save(tmp_path)


def test_arrays_whatever_scikit_learn_returns(blobs):
    X, _, groups = blobs
    for model in estimators(n_clusters=3):
        labels = model.fit(X, groups=groups).labels_
        with sklearn.config_context(transform_output="pandas"):
            assert isinstance(model.transform(X), pd.DataFrame)
            np.testing.assert_array_equal(model.predict(X), labels)


def test_assign_whatever_scikit_learn_returns(small):
    model = scfcmi.tl.fit_model(small, "tech", n_clusters=3, max_epochs=3)
    expected = small.obs["fcmi"].tolist()
    with sklearn.config_context(transform_output="pandas"):
        scfcmi.tl.assign(small, model)
    assert small.obs["fcmi"].tolist() == expected


def test_columns_of_a_data_frame_are_matched_by_name(small):
    model = scfcmi.tl.fit_model(small, "tech", n_clusters=3, max_epochs=3)
    table = small.to_df()
    np.testing.assert_array_equal(model.predict(table.iloc[:, ::-1]), model.labels_)
    np.testing.assert_array_equal(model.predict(table.assign(more=1.0)), model.labels_)
    np.testing.assert_array_equal(model.predict(small.X), model.labels_)
    with pytest.raises(ValueError, match=r"X lacks 1 of them: \['3'\]"):
        model.predict(table.drop(columns="3"))


def test_a_second_fit_forgets_the_names_of_the_first(small):
    model = scfcmi.tl.fit_model(small, "tech", n_clusters=3, max_epochs=3)
    assert len(model.var_names_) == small.n_vars
    model.fit(small.X[:, ::-1], groups=small.obs["tech"])
    assert not hasattr(model, "var_names_")


def test_training_that_diverges_is_told_as_such(blobs):
    X, _, groups = blobs
    for batch_size in (16, 512):
        with pytest.raises(FloatingPointError, match="Lower learning_rate"):
            AtlasFCMI(learning_rate=1e30, batch_size=batch_size, max_epochs=8).fit(X, groups=groups)


def test_callbacks_see_the_rows_of_history(blobs):
    X, _, groups = blobs
    for model in estimators(n_clusters=3):
        seen = []
        model.set_params(callbacks=[lambda epoch, seen=seen: seen.append(dict(epoch.history))]).fit(X, groups=groups)
        # The shift of codes is known later for the last epoch.
        expected = model.history_.drop(columns="code_shift", errors="ignore").to_dict("records")
        assert [{name: row[name] for name in expected[0]} for row in seen] == expected


def test_warnings_point_to_the_caller(blobs):
    X, labels, _ = blobs
    for model in estimators(n_clusters=3):
        with pytest.warns(UserWarning, match="ignores y") as told:
            model.fit(X, labels)
        assert told[0].filename == __file__
