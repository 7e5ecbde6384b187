"""Batches go by one name, text, in fit, in files and in assign, whatever kind of value a column holds."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

import scfcmi
from scfcmi._validate import codes_by_appearance, group_codes, group_name

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning"),
    pytest.mark.usefixtures("quick_decoders"),
]
QUICK = {"n_clusters": 3, "max_epochs": 2}
NUMBERS = np.arange(240) // 3 % 2
DAYS = pd.to_datetime(np.array(["2024-03-01", "2024-03-05"])[NUMBERS])
COLUMNS = {
    "intervals": (pd.cut(NUMBERS, [-1, 0, 1]), ["(-1, 0]", "(0, 1]"]),
    "periods": (DAYS.to_period("D"), ["2024-03-01", "2024-03-05"]),
    "datetimes": (DAYS, ["2024-03-01 00:00:00", "2024-03-05 00:00:00"]),
    "datetimes of seconds": (DAYS.as_unit("s"), ["2024-03-01 00:00:00", "2024-03-05 00:00:00"]),
    "dates": (DAYS.date, ["2024-03-01", "2024-03-05"]),
    "floats": (NUMBERS + 0.5, ["0.5", "1.5"]),
    "floats of four bytes": ((NUMBERS + 0.1).astype(np.float32), ["0.1", "1.1"]),
    "whole floats": (NUMBERS.astype(float), ["0", "1"]),
    "integers": (NUMBERS, ["0", "1"]),
    "nullable integers": (pd.array(NUMBERS, dtype="Int64"), ["0", "1"]),
    "booleans": (NUMBERS == 1, ["False", "True"]),
    "bytes": (np.array([b"a", b"b"], dtype=object)[NUMBERS], ["a", "b"]),
    "mixed": (np.array(["x", 3], dtype=object)[NUMBERS], ["x", "3"]),
    "numbers as text": (NUMBERS.astype(str), ["0", "1"]),
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("mode", ["atlas", "paper"])
def test_saved_loaded_and_found_again(small, tmp_path, kind, mode):
    values, names = COLUMNS[kind]
    small.obs["batch"] = values
    before = small.obs["batch"].copy()
    scfcmi.tl.fit_model(small, "batch", mode=mode, **(QUICK | {"max_epochs": 1})).save(tmp_path / "model")
    pd.testing.assert_series_equal(small.obs["batch"], before)
    model = scfcmi.load_model(tmp_path / "model")
    assert model.groups_.tolist() == small.uns["fcmi"]["groups"].tolist() == names
    scfcmi.tl.assign(small, model, batch_key="batch")
    assert "unseen_groups" not in small.uns["fcmi"]["params"]
    scfcmi.tl.translate(small, model, values[0], layer_added="there")
    assert small.layers["there"].shape == small.shape


@pytest.mark.parametrize("kind", ["whole floats", "numbers as text", "nullable integers"])
def test_numbers_and_their_text_are_one_batch(small, kind):
    small.obs["batch"] = NUMBERS
    model = scfcmi.tl.fit_model(small, "batch", **QUICK)
    small.obs["batch"] = COLUMNS[kind][0]
    scfcmi.tl.assign(small, model, batch_key="batch")
    assert "unseen_groups" not in small.uns["fcmi"]["params"]
    small.obs["batch"] = [*NUMBERS.astype(str)[:-1], "2"]
    scfcmi.tl.assign(small, model, batch_key="batch")
    assert small.uns["fcmi"]["params"]["unseen_groups"].tolist() == ["2"]


def test_values_of_one_name_are_one_group():
    codes, names = group_codes([1, "1", 2, b"2"], 4)
    assert codes.tolist() == [0, 0, 1, 1]
    assert names.tolist() == ["1", "2"]
    # The group of the first cell comes first, whatever its name and place among categories.
    codes, names = codes_by_appearance(pd.Categorical([10, 7, 10], categories=[7, 8, 10]), 3)
    assert (codes.tolist(), names.tolist()) == ([0, 1, 0], ["10", "7"])
    assert [group_name(v) for v in (True, np.float64(-0.0), float("inf"), None, 2**60)] == [
        *("True", "0", "inf", "None", str(2**60)),
    ]
    assert group_name(datetime.date(2024, 3, 1)) == "2024-03-01"


def test_models_of_earlier_versions_are_read(blobs, tmp_path):
    X, _, groups = blobs
    model = scfcmi.AtlasFCMI(3, max_epochs=1).fit(X, groups=groups)
    model.groups_ = [0, 1]
    model.save(tmp_path / "model")
    assert scfcmi.load_model(tmp_path / "model").groups_.tolist() == ["0", "1"]
