from __future__ import annotations

import inspect
import json
import subprocess
import sys
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from scfcmi import baselines, benchmark
from scfcmi.benchmark import _job, _methods, _runner
from scfcmi.benchmark._data import load
from scfcmi.benchmark._record import Job, append
from scfcmi.cli import main


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """300 digits, a third of them inverted and a third at half contrast: three groups."""
    X, labels = load_digits(return_X_y=True)
    X, labels = X[:300] / 16, labels[:300]
    groups = np.arange(300) % 3
    X = np.select([groups[:, None] == 1, groups[:, None] == 2], [1 - X, X / 2], X)
    obs = pd.DataFrame({"batch": pd.Categorical(groups.astype(str)), "label": labels.astype(str)})
    obs.index = obs.index.astype(str)
    path = tmp_path_factory.mktemp("data") / "digits.h5ad"
    ad.AnnData(X.astype(np.float32), obs=obs).write_h5ad(path)
    return path


def lines(folder):
    return [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]


def done(job, *_):
    return {"status": "done", "f_beta": 0.5, "seed_seen": job.seed}


def quiet(_):
    """Say nothing."""


@pytest.mark.slow
def test_real_runs(digits, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SCFCMI_DATA_DIR", str(tmp_path / "empty"))
    (tmp_path / "empty").mkdir()
    arguments = [
        *("benchmark", "--datasets", str(digits), "mtfl", "--seeds", "1", "--epochs", "2", "-o", str(tmp_path / "r")),
        *("--methods", "kmeans:n_init=0", "scfc", "fcmi", "fcmi+repair", "fcmi+consensus+repair"),
    ]
    assert main(arguments) == 0
    runs = benchmark.read_runs(tmp_path / "r").set_index(["dataset", "method"])
    status = runs["status"]
    assert status["digits", "labels"] == status["digits", "fcmi"] == "done"
    assert runs.loc[("digits", "labels"), "nmi"] == 1
    assert status["digits", "kmeans:n_init=0"] == "failed"
    assert "n_init" in runs.loc[("digits", "kmeans:n_init=0"), "why"]
    assert status["digits", "scfc"] == "cannot"
    assert status["mtfl", "labels"] == "not run"
    assert len(runs.loc["mtfl"]) == 1

    fcmi = runs.loc["digits", "fcmi"]
    assert fcmi["params"]["max_epochs"] == 2
    assert fcmi["params"]["beta"] == 0.20
    assert len(fcmi["params"]["objectives"]) == 1
    assert fcmi["n_clusters"] == 10
    assert fcmi["seconds"] > 0
    assert 50 < fcmi["peak_memory_mb"] < 5000
    assert len(fcmi["data_checksum"]) == 32
    assert fcmi["processor"]
    assert {"python", "numpy", "torch"} <= fcmi["versions"].keys()
    repaired = runs.loc["digits", "fcmi+repair"]
    assert repaired["params"]["repaired"] == "fcmi"
    assert repaired["mnce"] > fcmi["mnce"]
    assert repaired["seconds"] >= fcmi["seconds"]
    of_several = runs.loc["digits", "fcmi+consensus+repair"]
    assert of_several["params"] == {"seeds": [0, 1, 2, 3, 4], "repaired": "fcmi+consensus"}
    # One of its runs was there.
    assert of_several["seconds"] > fcmi["seconds"]
    assert len(list((tmp_path / "r" / "assignments").glob("digits-fcmi-*"))) == 5
    assert not list((tmp_path / "r" / "checkpoints").iterdir())
    assert len(pd.read_csv(next((tmp_path / "r" / "histories").glob("*fcmi-seed0*")))) == 2

    # Nothing is left to do, but for the data that are not here.
    capsys.readouterr()
    assert main(arguments) == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert main(["benchmark", "report", str(tmp_path / "r")]) == 0
    printed = capsys.readouterr().out
    assert "serves two groups only; there are 3" in printed
    assert "## mtfl\n\nNot run: mtfl/features.npz or" in printed.replace("Not run: mtfl: ", "Not run: ")


def test_time_limit(digits, tmp_path):
    start = time.perf_counter()
    benchmark.run(tmp_path, datasets=[str(digits)], methods=["labels"], time_limit=0.2, say=quiet)
    assert time.perf_counter() - start < 5
    assert [line["status"] for line in lines(tmp_path)] == ["time limit", "time limit"]
    assert lines(tmp_path)[0]["why"] == "more than 0.2 s"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_run_that_dies_is_recorded_and_the_next_goes_on(digits, tmp_path, monkeypatch):
    dying = tmp_path / "dying"
    dying.write_text("#!/bin/sh\nkill -9 $$\n")
    dying.chmod(0o755)
    monkeypatch.setattr(_runner.sys, "executable", str(dying))
    folder = tmp_path / "results"
    benchmark.run(folder, datasets=[str(digits)], methods=["kmeans"], seeds=[0], say=quiet)
    assert [line["status"] for line in lines(folder)] == ["failed"] * 3
    assert lines(folder)[2]["why"] == "ended by signal SIGKILL (out of memory?)"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
def test_killed_runner_takes_its_run_along(digits, tmp_path):
    for method in _methods.REFERENCES:
        append(tmp_path, vars(Job("digits", method, 0)) | {"status": "done"})
    code = (
        f"from scfcmi import benchmark; benchmark.run({str(tmp_path)!r}, datasets=[{str(digits)!r}], "
        "methods=['fcmi'], seeds=[0], epochs=100_000)"
    )
    runner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    while not list(tmp_path.glob("logs/*fcmi*")) or b"epoch" not in next(tmp_path.glob("logs/*fcmi*")).read_bytes():
        time.sleep(0.2)
        assert runner.poll() is None
    children = Path(f"/proc/{runner.pid}/task/{runner.pid}/children").read_text().split()
    assert children
    runner.kill()
    runner.wait()
    time.sleep(2.5)
    assert not [pid for pid in children if _alive(pid)]
    assert [line["method"] for line in lines(tmp_path)] == ["labels", "oracle-repair"]


def _alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_goes_on_after_a_kill(digits, tmp_path, monkeypatch):
    made = []

    def until_the_third(job, *_):
        made.append(job)
        if len(made) == 3:
            raise KeyboardInterrupt
        return done(job)

    monkeypatch.setattr(_runner, "_record", until_the_third)
    settings = {"datasets": [str(digits)], "methods": ["kmeans", "fcmi"], "seeds": range(3), "epochs": 5, "say": quiet}
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(tmp_path, **settings)
    # The kill came while a line was written.
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"dataset": "dig')
    benchmark.run(tmp_path, **settings)
    benchmark.run(tmp_path, **settings)
    assert len(made) == 9
    runs = benchmark.read_runs(tmp_path)
    assert len(runs) == 8
    # Epochs are nothing to k-means: another number does not run it again, but does FCMI.
    benchmark.run(tmp_path, **settings | {"epochs": 6})
    assert [job.method for job in made[9:]] == ["fcmi"] * 3


@pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")
def test_seconds_of_a_run_that_went_on_from_a_checkpoint_are_not_known(digits, tmp_path):
    job, data = Job(str(digits), "fcmi", 0, epochs=1), load(str(digits))
    (tmp_path / "checkpoints").mkdir()
    first, second = (_job._outcome(job, data, tmp_path, "cpu")[1] for _ in range(2))
    assert first == 0
    assert np.isnan(second)


def test_failures_are_made_again_when_asked(digits, tmp_path, monkeypatch):
    made = []

    def fail(job, *_):
        made.append(job)
        return {"status": "failed", "why": "boom"} if len(made) < 4 else done(job)

    monkeypatch.setattr(_runner, "_record", fail)
    settings = {"datasets": [str(digits)], "methods": ["kmeans"], "seeds": [0], "say": quiet}
    benchmark.run(tmp_path, **settings)
    benchmark.run(tmp_path, **settings)
    assert len(made) == 3
    benchmark.run(tmp_path, **settings, retry=True)
    assert len(made) == 6
    assert (benchmark.read_runs(tmp_path)["status"] == "done").all()


def test_what_once_could_not_be_made(digits, tmp_path, monkeypatch):
    """A method that was not installed stands back for one seed only until it was made for another."""
    answers = {}
    monkeypatch.setattr(_runner, "_record", lambda job, *_: answers.get(job.seed) or done(job))
    settings = {"datasets": [str(digits)], "methods": ["kmeans"], "say": quiet}
    answers[0] = {"status": "cannot", "why": "not installed"}
    benchmark.run(tmp_path, seeds=[0, 1], **settings)
    of_kmeans = lambda: [(r["seed"], r["status"]) for r in lines(tmp_path) if r["method"] == "kmeans"]
    assert of_kmeans() == [(0, "cannot")]
    benchmark.run(tmp_path, seeds=[0], subset=50, **settings)
    assert of_kmeans() == [(0, "cannot"), (0, "cannot")]
    answers.clear()
    benchmark.run(tmp_path, seeds=[1], retry=True, **settings)
    assert of_kmeans()[-1] == (1, "done")
    benchmark.run(tmp_path, seeds=[0, 1, 2], **settings)
    assert of_kmeans()[3:] == [(0, "done"), (2, "done")]


def test_files_of_one_name_are_not_mixed(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(_runner, "_record", done)
    other = tmp_path / "other" / "digits.h5ad"
    other.parent.mkdir()
    adata = ad.read_h5ad(digits)
    adata[:200].write_h5ad(other)
    settings = {"methods": ["kmeans"], "seeds": [0], "say": quiet}
    with pytest.raises(ValueError, match="several of the name 'digits'"):
        benchmark.run(tmp_path / "r", datasets=[digits, other], **settings)
    benchmark.run(tmp_path / "r", datasets=[digits], **settings)
    with pytest.raises(
        ValueError, match=r"runs of another file than .*digits.h5ad under this name. Give another output"
    ):
        benchmark.run(tmp_path / "r", datasets=[other], **settings)
    other.rename(tmp_path / "har.h5ad")
    with pytest.raises(ValueError, match="has the name of a data set of scfcmi"):
        benchmark.run(tmp_path / "r", datasets=[tmp_path / "har.h5ad"], **settings)


def test_one_group_has_no_f_beta(digits, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(_runner, "_record", lambda *_: {"status": "done", "f_beta": None, "nmi": 0.25})
    benchmark.run(tmp_path, datasets=[digits], methods=["kmeans"], seeds=[0], say=said.append)
    assert "NMI 25.0" in said[-1]


def test_samples_without_a_label_are_told(digits, tmp_path):
    adata = ad.read_h5ad(digits)
    adata.obs["label"] = adata.obs["label"].astype(object).where(np.arange(300) > 4)
    adata.write_h5ad(tmp_path / "some.h5ad")
    with pytest.raises(ValueError, match="has 5 samples without label or group"):
        load(str(tmp_path / "some.h5ad"))


def test_numbers_as_groups_of_many_genes(tmp_path):
    counts = np.random.default_rng(0).poisson(1.0, (60, 3200)).astype(np.float32)
    obs = pd.DataFrame({"group": np.arange(60) % 2, "label": np.arange(60) % 3}, index=np.arange(60).astype(str))
    adata = ad.AnnData(counts, obs=obs)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    data = load(str(tmp_path / "cells.h5ad"))
    assert set(data.groups) == {"0", "1"}
    assert data.matrix.shape == (60, 2000)
    adata.X[0, 0] = np.nan
    adata.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match="not finite"):
        load(str(tmp_path / "cells.h5ad"))
    ad.AnnData(obs=obs).write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match="has no X"):
        load(str(tmp_path / "cells.h5ad"))


def test_files_of_two_data_sets_have_two_names():
    first, second = (Job(f"{name}.h5ad", "kmeans", 0).name for name in ("my data", "my_data"))
    assert second == "my_data-kmeans-seed0"
    assert first.startswith("my_data-")
    assert first.endswith("-kmeans-seed0")
    assert first != second


def test_repair_starts_from_the_clusters():
    """Points nearer to the mean of another cluster stay in their own."""
    X = np.array([[0.0], [1.0], [10.0], [11.0], [4.0]])
    clusters = np.array(["b", "b", "a", "a", "a"])
    scores = _methods.scores_of(_methods.Outcome(clusters, {}), X)
    assert scores.argmax(axis=1).tolist() == [1, 1, 0, 0, 0]


def test_missing_data_are_asked_for_again(tmp_path, monkeypatch):
    answers = iter([{"status": "not run", "why": "gone"}])
    monkeypatch.setattr(_runner, "_record", lambda job, *_: next(answers, None) or done(job))
    settings = {"datasets": ["har"], "methods": ["kmeans"], "seeds": [0, 1], "say": quiet}
    benchmark.run(tmp_path, **settings)
    assert len(lines(tmp_path)) == 1
    benchmark.run(tmp_path, **settings)
    runs = benchmark.read_runs(tmp_path)
    assert (runs["status"] == "done").all()
    assert len(runs) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"methods": ["fcmmi"]}, "Did you mean 'fcmi'"),
        ({"methods": ["fcmi:beta"]}, "settings are key=value"),
        ({"methods": ["fcmi:bta=0"]}, "a setting of fcmi must be one of .*, got 'bta'"),
        ({"methods": ["dec:max_epoch=3"]}, "a setting of dec must be one of"),
        ({"methods": ["fcmi-default:n_clusters=3"]}, "a setting of fcmi-default must be one of"),
        ({"datasets": ["hat"]}, "Did you mean 'har'"),
        ({"time_limit": 0}, "time_limit must be finite and above 0"),
        ({"epochs": 0}, "epochs must be at least 1"),
    ],
)
def test_wrong_use(tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words):
        benchmark.run(tmp_path / "results", **arguments)
    assert not (tmp_path / "results").exists()


def test_settings_in_names():
    for end in ("", "+repair", "+consensus", "+consensus+repair", "+repair+consensus"):
        assert _methods.parse(f"fcmi:beta=0,decoder=shared{end}") == ("fcmi", {"beta": 0, "decoder": "shared"})
    assert (
        Job("a/b/cells.h5ad", "falg:delta=0.1+repair", 3, None, 50).name == "cells-falg_delta=0.1+repair-seed3-50drawn"
    )


def test_runs_of_a_consensus_are_of_no_other():
    parts = [Job("digits", "falg+repair+consensus", seed).parts for seed in (0, 1)]
    assert [part.seed for each in parts for part in each] == list(range(10))
    assert {part.method for each in parts for part in each} == {"falg+repair"}
    assert [part.method for part in parts[0][0].parts] == ["falg"]


def test_clusters_without_soft_assignment_are_one_hot():
    proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    soft, hard = (_methods.Outcome(np.array(c), {}, p) for c, p in (([0, 1, 0], proba), (["a", "b", "c"], None)))
    assert _methods.soft_assignments([soft])[0] is proba
    first, second = _methods.soft_assignments([soft, hard])
    np.testing.assert_array_equal(first, [[1, 0, 0], [0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(second, np.eye(3))


@pytest.mark.parametrize("method", sorted(baselines.DEEP))
def test_deep_methods_take_a_number_of_epochs(method):
    assert _methods.takes_epochs(method)
    assert "max_epochs" in inspect.signature(baselines.METHODS[method]).parameters


def test_one_autoencoder_for_all_that_start_from_it(digits, tmp_path):
    data = load(str(digits))
    shared = tmp_path / "autoencoders"
    found = {name: _methods.cluster(name, data, 0, epochs=2, shared=shared) for name in ("ae_kmeans", "dec", "towards")}
    assert len(list(shared.iterdir())) == 1
    assert found["ae_kmeans"].seconds_before == 0
    for name, outcome in found.items():
        assert name == "ae_kmeans" or outcome.seconds_before > 0
        assert np.array_equal(outcome.clusters, _methods.cluster(name, data, 0, epochs=2).clusters)
        assert "autoencoder" not in outcome.params
    assert found["dec"].params["max_epochs"] == found["dec"].params["pretrain_epochs"] == 2
    _methods.cluster("dec:pretrain_epochs=3", data, 0, epochs=2, shared=shared)
    assert len(list(shared.iterdir())) == 2


def test_lines_of_two_runners_stay_whole(tmp_path):
    for i in range(3):
        append(tmp_path, {"i": i})
    assert [line["i"] for line in lines(tmp_path)] == [0, 1, 2]
