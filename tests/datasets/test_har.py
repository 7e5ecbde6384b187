from __future__ import annotations

import dataclasses
import zipfile

import numpy as np
import pytest

from scfcmi import datasets
from scfcmi.datasets import _har
from scfcmi.datasets._build import differences
from scfcmi.datasets._manifest import read_manifest
from scfcmi.errors import ChecksumError

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (12, 561)).round(7).astype(np.float32)
ACTIVITIES, SUBJECTS = np.arange(12) % 6, np.arange(12) % 4


def write_zip(path, ending: str) -> None:
    """As UCI's: numbers of 16 places after one or two spaces, folders with spaces in their names."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, rows in (("train", slice(0, 8)), ("test", slice(8, 12))):
            features = ending.join("".join(f"{value: 17.7e}" for value in row) for row in X[rows]) + ending
            archive.writestr(f"UCI HAR Dataset/{part}/X_{part}.txt", features)
            archive.writestr(
                f"UCI HAR Dataset/{part}/y_{part}.txt", ending.join(map(str, ACTIVITIES[rows] + 1)) + ending
            )
            subjects = ending.join(map(str, SUBJECTS[rows] + 1)) + ending
            archive.writestr(f"UCI HAR Dataset/{part}/subject_{part}.txt", subjects)
        archive.writestr("__MACOSX/UCI HAR Dataset/train/._X_train.txt", "x")


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_zip(tmp_path, ending, monkeypatch):
    (tmp_path / "har").mkdir()
    write_zip(tmp_path / "har" / "UCI HAR Dataset.zip", ending)
    with pytest.raises(ChecksumError, match=r"has train/X_train.txt with checksum git_blob"):
        datasets.har(data_dir=tmp_path, download=False)

    manifest = read_manifest("har")
    made_up = dataclasses.replace(manifest, files=(dataclasses.replace(manifest.files[0], members={}),))
    monkeypatch.setattr(_har, "read_manifest", lambda _: made_up)
    adata = datasets.har(data_dir=tmp_path, download=False)
    assert np.allclose(adata.X, X, atol=1e-6)
    assert adata.X.dtype == np.float32
    assert adata.obs["label"].tolist()[:3] == ["WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS"]
    assert adata.obs["subject"].tolist() == [str(s + 1) for s in SUBJECTS]
    assert adata.uns["dataset"]["variant"] == "as published"


@pytest.mark.needs_data
def test_npz():
    adata = datasets.har(download=False)
    assert differences(adata.obs, read_manifest("har"), adata.n_vars) == []
    assert adata.X.dtype == np.float32
    assert np.abs(adata.X).max() <= 1
    assert adata.obs["group"].cat.categories.tolist() == [str(i) for i in range(1, 31)]
    assert adata.obs_names.is_unique
    assert adata.uns["dataset"]["variant"] == "features recomputed"
    few = datasets.har(download=False, subset=600)
    assert few.n_obs == 600
    assert few.obs.groupby(["label", "group"], observed=True).ngroups == 180
    assert np.array_equal(adata[few.obs_names].X, few.X)
