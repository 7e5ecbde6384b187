"""Wrong values for every argument of every public function: a documented error, in seconds, before any work.

Values are chosen by the annotation of the argument. What a tool was given is the same afterwards, byte for byte.
"""

from __future__ import annotations

import inspect
import time

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import scfcmi
from scfcmi import FCMI, AtlasFCMI, baselines, benchmark, datasets, metrics, pl, tl
from scfcmi.datasets import simulate_atlas

DOCUMENTED = (KeyError, TypeError, ValueError, OSError, NotFittedError)
SECONDS = 10
# Words of Python and numpy that name no argument.
UNCLEAR = (
    "has no len",
    "is not iterable",
    "not subscriptable",
    "expected str, bytes",
    "has no attribute",
    "float() argument",
)
NAN = float("nan")

# By words of an annotation: values that no argument of this kind takes.
WRONG = {
    "bool": ("yes", 2, None),
    "int": ("3", -3, 2.5, True, NAN),
    "float": ("0.5", -1.0, NAN, float("inf"), [1.0]),
    "str": (3, "nothere", b"fcmi", ["fcmi"]),
    "Literal": (3, "nothere", ["atlas"]),
    "RandomState": (-1, "seed", 2.5, [1]),
    "ArrayLike": (None, 3, "words", {"a": 1}, np.zeros((2, 3, 2)), []),
    "AnnData": (None, "a.h5ad", 3, np.zeros((4, 2)), {}),
    "GroupedClusterer": (None, "model", FCMI(), AtlasFCMI),
    "Axes": (3, "axes", [1, 2]),
    "Sequence": (3, [object()], ["nothere"]),
    "AutoEncoder": ("model", 3, FCMI(), {}),
    "tuple": (3, "64", (0, 3), (2.5,), ()),
    "DataFrame": (None, 3, {"a": [1]}, np.zeros((2, 2)), pd.DataFrame({"a": [1]})),
    "ndarray": (None, 3, "images", np.zeros(3), np.zeros((2, 3))),
    "Callable": (3, "print"),
}
# Values that are right after all.
RIGHT = {
    *(("key_added", "nothere"), ("layer_added", "nothere"), ("checkpoint", "nothere"), ("path", "nothere")),
    *(("source", "nothere"), ("fairness", float("inf")), ("beta", float("inf"))),
    *(("output", "nothere"), ("folder", "nothere"), ("data_dir", "nothere")),
}


def kinds(annotation: str) -> list[str]:
    found = [kind for kind in WRONG if kind in annotation.replace("np.integer", "").replace("points", "")]
    if "Literal" in found:
        found = ["Literal"]
    if any(kind in found for kind in set(WRONG) - {"bool", "int", "float", "str", "Literal"}):
        found = [kind for kind in found if kind not in ("str", "int", "bool", "float")]
    return found


def cases(functions: dict[str, object], skip: tuple[str, ...] = ()) -> list:
    found = []
    for name, function in functions.items():
        for argument, parameter in inspect.signature(function).parameters.items():
            annotation = str(parameter.annotation)
            if argument in skip or parameter.kind is parameter.VAR_KEYWORD:
                continue
            for kind in kinds(annotation):
                for i, value in enumerate(WRONG[kind]):
                    allowed = value is None and ("None" in annotation or parameter.default is None)
                    takes = isinstance(value, str) and (argument, value) in RIGHT
                    if allowed or takes or any(argument == a and value is v for a, v in RIGHT):
                        continue
                    found.append(pytest.param(name, argument, value, id=f"{name}-{argument}-{kind}{i}"))
    return found


def content(adata) -> str:
    parts = [adata.X, adata.obs, adata.var, dict(adata.uns)]
    parts += [dict(part) for part in (adata.obsm, adata.varm, adata.obsp, adata.layers)]
    return joblib.hash(parts)


@pytest.fixture
def no_training(monkeypatch):
    for work in (
        *(
            "models.paper.training.train",
            "models.atlas.estimator.train_agreement",
            "models.atlas.estimator.fit_projections",
        ),
        *("models.base.GroupedClusterer.transform", "models.base.GroupedClusterer.reconstruct"),
        "tl._choose_n_clusters.resolution_curve",
    ):
        monkeypatch.setattr(f"scfcmi.{work}", lambda *_, **__: pytest.fail("work started"))


@pytest.fixture(scope="module")
def fitted():
    X = np.random.default_rng(0).normal(size=(40, 4))
    return AtlasFCMI(2, max_epochs=1).fit(X, groups=np.arange(40) % 2)


def refused(function, arguments, name, value):
    start = time.monotonic()
    with pytest.raises(DOCUMENTED) as caught:
        function(**(arguments | {name: value}))
    assert time.monotonic() - start < SECONDS
    assert len(str(caught.value)) > 20
    assert not any(words in str(caught.value) for words in UNCLEAR)


TOOLS = {
    name: getattr(tl, name)
    for name in ("fair_cluster", "assign", "translate", "umap", "diagnose", "choose_n_clusters", "evaluate")
}
TOOL_ARGUMENTS = {
    "fair_cluster": {"batch_key": "tech", "n_clusters": 3},
    "assign": {"use_rep": "X_four"},
    "translate": {"to": "0"},
    "evaluate": {"cluster_key": "fcmi", "batch_key": "tech", "label_key": "label"},
}
# Of paper mode only.
PAPER = ("alpha", "beta", "balance", "precision", "n_runs")


@pytest.mark.parametrize(("name", "argument", "value"), cases(TOOLS))
def test_tools(clustered, fitted, no_training, name, argument, value):
    clustered.obsm["X_four"] = np.ones((240, 4), np.float32)
    clustered.obsp["fcmi_connectivities"] = clustered.X @ clustered.X.T
    arguments = {"adata": clustered} | TOOL_ARGUMENTS.get(name, {})
    if name in ("assign", "translate"):
        arguments["model"] = fitted
    if name == "fair_cluster" and argument in PAPER:
        arguments["mode"] = "paper"
    before = content(clustered)
    refused(TOOLS[name], arguments, argument, value)
    assert content(clustered) == before


PLOTS = {
    name: getattr(pl, name)
    for name in ("umap", "composition", "confidence", "confusion", "history", "n_clusters", "report")
}


# Any table of numbers is a history.
@pytest.mark.parametrize(
    ("name", "argument", "value"), [case for case in cases(PLOTS) if case.id != "history-data-DataFrame4"]
)
def test_plots(clustered, put_map, tmp_path, monkeypatch, name, argument, value):
    monkeypatch.chdir(tmp_path)
    put_map(clustered)
    clustered.uns["fcmi_n_clusters"] = {"curve": _curve()}
    arguments = {"data" if name == "history" else "adata": clustered, "show": False}
    if name == "confusion":
        arguments["label_key"] = "label"
    if name == "report":
        arguments = {"adata": clustered, "path": "page.html"}
    before = content(clustered)
    refused(PLOTS[name], arguments, argument, value)
    assert content(clustered) == before
    assert not list(tmp_path.iterdir())


def _curve():
    names = ["resolution", "n_clusters", "modularity", "stability", "separation"]
    return pd.DataFrame(np.ones((2, 5)), columns=names, index=["0", "1"])


X, HALVES = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 2
ESTIMATORS = {"FCMI": FCMI, "AtlasFCMI": AtlasFCMI}
FITS = {name: model(2).fit for name, model in ESTIMATORS.items()}


@pytest.mark.parametrize(("name", "argument", "value"), cases(ESTIMATORS))
def test_parameters(no_training, name, argument, value):
    arguments = {} if argument == "resolution" else {"n_clusters": 2}
    refused(lambda **given: ESTIMATORS[name](**given).fit(X, groups=HALVES), arguments, argument, value)


@pytest.mark.parametrize(("name", "argument", "value"), cases(FITS, skip=("y",)))
def test_fits(no_training, name, argument, value):
    refused(FITS[name], {"X": X, "groups": HALVES}, argument, value)


METRICS = {name: getattr(metrics, name) for name in metrics.__all__ if name != "evaluate_adata"}


@pytest.mark.parametrize(("name", "argument", "value"), cases(METRICS))
def test_metrics(name, argument, value):
    arguments = dict.fromkeys(("labels", "clusters", "groups"), HALVES)
    known = inspect.signature(METRICS[name]).parameters
    refused(METRICS[name], {k: v for k, v in arguments.items() if k in known}, argument, value)


BASELINES = {name: getattr(baselines, name) for name in (*baselines.METHODS, "fair_repair", "pretrain_autoencoder")}


@pytest.fixture
def no_deep_training(monkeypatch):
    for work in ("pretrain", "refine", "batches"):
        monkeypatch.setattr(f"scfcmi.baselines._deep.{work}", lambda *_, **__: pytest.fail("work started"))


# Images are made flat.
@pytest.mark.usefixtures("no_deep_training")
@pytest.mark.parametrize(
    ("name", "argument", "value"), [case for case in cases(BASELINES) if case.id != "pretrain_autoencoder-X-ArrayLike4"]
)
def test_baselines(name, argument, value):
    arguments = {"X": X, "proba": X, "groups": HALVES, "n_clusters": 2}
    known = inspect.signature(BASELINES[name]).parameters
    refused(BASELINES[name], {k: v for k, v in arguments.items() if k in known}, argument, value)


LOADERS = {name: getattr(datasets, name) for name in datasets.__all__ if name != "simulate_atlas"}


@pytest.mark.parametrize(("name", "argument", "value"), cases(LOADERS))
def test_loaders(tmp_path, monkeypatch, name, argument, value):
    """Told before anything is looked for or fetched: what is there is not said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scfcmi.datasets._fetch.fetch", lambda *_, **__: pytest.fail("fetched"))
    given = {"data_dir": tmp_path, "download": True} | {argument: value}
    with pytest.raises((TypeError, ValueError), match=argument) as caught:
        LOADERS[name](**given)
    assert len(str(caught.value)) > 20


BENCHMARK = {
    "run": (benchmark.run, {"output": "runs", "datasets": ["har"], "methods": ["kmeans"]}),
    "read_runs": (benchmark.read_runs, {"folder": "."}),
    "write_report": (benchmark.write_report, {"runs": pd.DataFrame(), "folder": "."}),
    "plot_table": (benchmark.plot_table, {"results": ".", "show": False}),
    "plot_sensitivity": (benchmark.plot_sensitivity, {"table": pd.DataFrame(), "show": False}),
    "plot_reconstructions": (benchmark.plot_reconstructions, {"images": np.zeros((3, 4, 8, 8)), "show": False}),
}


@pytest.mark.parametrize(("name", "argument", "value"), cases({name: what[0] for name, what in BENCHMARK.items()}))
def test_benchmark(tmp_path, monkeypatch, name, argument, value):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("work started"))
    function, arguments = BENCHMARK[name]
    refused(function, arguments, argument, value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "argument", "value"), cases({"simulate_atlas": simulate_atlas}))
def test_simulated(name, argument, value):
    refused(simulate_atlas, {"n_cells": 50, "n_types": 2, "n_genes": 20}, argument, value)


@pytest.mark.parametrize("value", [None, 3, b"x", [np.ones(3)], [np.ones((3, 2)), np.ones((3, 3))], [], "words"])
def test_consensus(value):
    refused(scfcmi.consensus, {}, "assignments", value)


@pytest.mark.parametrize("value", [None, 3, "nothere", ["a"]])
def test_load_model(value):
    refused(scfcmi.load_model, {}, "path", value)


@pytest.mark.parametrize("value", [None, 3, "loud", ["info"]])
def test_set_verbosity(value):
    refused(scfcmi.set_verbosity, {}, "level", value)
