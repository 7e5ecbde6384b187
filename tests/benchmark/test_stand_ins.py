"""The paper's data sets that no test can have, by made-up files of the same form, through the loaders and the command."""

from __future__ import annotations

import dataclasses
import gzip

import numpy as np
import pandas as pd
import pytest

from scfcmi import benchmark
from scfcmi.benchmark import _job, _runner
from scfcmi.cli import main
from scfcmi.datasets import _tran
from scfcmi.datasets._manifest import read_manifest
from scfcmi.errors import DatasetUnavailableError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Results will not compare with published ones:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*of the cells changed cluster in the last epoch"),
]

N, N_GENES = 80, 400


@pytest.fixture
def command(tmp_path, monkeypatch):
    """``scfcmi benchmark`` on a data set, in this process; returns its runs by method."""

    def in_this_process(job, folder, device, _):
        try:
            return _job._run(job, folder, device)
        except DatasetUnavailableError as error:
            return {"status": "not run", "why": str(error)}

    def run(dataset):
        methods = ("--methods", "kmeans", "scfc", "fcmi", "--epochs", "2", "--seeds", "1")
        assert main(["benchmark", "--datasets", dataset, *methods, "-o", str(tmp_path / "results")]) == 0
        return benchmark.read_runs(tmp_path / "results").set_index("method")

    monkeypatch.setattr(_runner, "_record", in_this_process)
    monkeypatch.setenv("SCFCMI_DATA_DIR", str(tmp_path))
    return run


def labels_and_groups(name):
    """Four labels, in two groups half of each."""
    expected = read_manifest(name).expected
    labels, groups = list(expected.labels)[:4], list(expected.groups)
    return np.array(labels)[np.arange(N) % len(labels)], np.array(groups)[np.arange(N) // 4 % 2]


def check(runs, name):
    assert (runs["status"] == "done").all()
    assert set(runs.index) == {"labels", "oracle-repair", "kmeans", "scfc", "fcmi"}
    assert (runs["n_cells"] == N).all()
    assert (runs["n_groups"] == 2).all()
    assert runs.loc["kmeans", "nmi"] > 0.9
    assert runs.loc["fcmi", "params"]["n_components"] == {"mtfl": 5}.get(name)
    assert runs.loc["fcmi", "params"]["beta"] == {"mouse_atlas": 0}.get(name, 0.2)


@pytest.mark.parametrize("name", ["office31", "mtfl"])
def test_features(name, command, tmp_path):
    labels, groups = labels_and_groups(name)
    rng = np.random.default_rng(0)
    centers = {label: rng.normal(size=64) for label in np.unique(labels)}
    X = np.stack([centers[label] for label in labels]) + 0.3 * rng.normal(size=(N, 64))
    (tmp_path / name).mkdir()
    np.savez(tmp_path / name / "features.npz", features=X, label=labels, group=groups)
    check(command(name), name)


def test_atlas(command, tmp_path, monkeypatch):
    labels, groups = labels_and_groups("mouse_atlas")
    rng = np.random.default_rng(0)
    means = {label: rng.gamma(0.6, 20, N_GENES) for label in np.unique(labels)}
    counts = rng.poisson(np.stack([means[label] for label in labels]))
    cells = [f"cell{i}" for i in range(N)]
    manifest = read_manifest("mouse_atlas")
    expression, table = (tmp_path / file.path for file in manifest.files)
    expression.parent.mkdir()
    with gzip.open(expression, "wt") as file:
        pd.DataFrame(counts.T, index=[f"Gene{i}" for i in range(N_GENES)], columns=cells).to_csv(file, sep="\t")
    columns = {"batchlb": groups, "ct": labels, "tissue": "lung", "organ": "lung"}
    pd.DataFrame(columns, index=cells).to_csv(table, sep="\t", index_label=False)
    files = tuple(dataclasses.replace(file, checksum=None, size=None) for file in manifest.files)
    monkeypatch.setattr(_tran, "read_manifest", lambda _: dataclasses.replace(manifest, files=files))
    monkeypatch.setattr(_tran, "_MIN_GENES", 10)
    check(command("mouse_atlas"), "mouse_atlas")


@pytest.mark.parametrize("name", ["office31", "mtfl", "mouse_atlas"])
def test_without_files(name, command, tmp_path):
    runs = command(name)
    assert runs["status"].tolist() == ["not run"]
    report = benchmark.write_report(benchmark.read_runs(tmp_path / "results"), tmp_path).read_text()
    assert f"## {name}\n\nNot run: " in report
