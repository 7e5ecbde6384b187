"""Every wrong input there is, and the words that answer it. Nothing is trained, and AnnData is left as it was."""

from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from safetensors.torch import safe_open, save_file

import scfcmi
from scfcmi import FCMI, _validate
from scfcmi.errors import ModelFormatError


def change(adata: ad.AnnData, **changes) -> ad.AnnData:
    for name, value in changes.items():
        if name == "X":
            adata.X = value
        else:
            adata.obs[name] = value
    return adata


def with_value(adata: ad.AnnData, value: float) -> ad.AnnData:
    X = adata.X.toarray()
    X[3, 2] = value
    return change(adata, X=sp.csr_matrix(X))


def empty() -> ad.AnnData:
    return ad.AnnData(
        np.zeros((0, 5), dtype=np.float32),
        obs=pd.DataFrame({"tech": pd.Categorical([])}, index=pd.Index([], dtype=str)),
    )


# AnnData (or a change of it), keyword arguments, error, its words.
TOOL = {
    "missing column": (
        None,
        {"batch_key": "thech"},
        KeyError,
        r"'thech' not found in adata.obs. Did you mean 'tech'\?",
    ),
    "column of no name": (None, {"batch_key": 3}, TypeError, "must be a string, got 3"),
    "missing batch": (
        lambda a: change(a, tech=pd.Categorical([None, *a.obs["tech"][1:]])),
        {},
        ValueError,
        r"adata.obs\['tech'\] is missing for 1 of 240 cells. Drop these cells",
    ),
    "one batch": (lambda a: change(a, tech="10x"), {}, ValueError, "has one batch only, '10x'"),
    "one batch with cells": (lambda a: a[a.obs["tech"] == "10x"], {}, ValueError, "has one batch only, '10x'"),
    "no cells": (lambda _: empty(), {}, ValueError, "adata has no cells"),
    "no genes": (lambda a: a[:, []], {}, ValueError, "there are no features"),
    "no X": (lambda a: ad.AnnData(obs=a.obs), {}, ValueError, "there are no features"),
    "paper without n_clusters": (
        None,
        {"n_clusters": None, "mode": "paper"},
        ValueError,
        "mode='paper' needs n_clusters",
    ),
    "unknown mode": (None, {"mode": "papers"}, ValueError, r"mode must be one of .*Did you mean 'paper'"),
    "batches in float16": (
        lambda a: change(a, tech=(a.obs["tech"] == "10x").to_numpy(np.float16)),
        {},
        TypeError,
        "must hold names of groups",
    ),
    "weight of the other mode": (
        None,
        {"beta": 0.2},
        TypeError,
        "mode='atlas' does not take beta. Drop it, or use mode='paper'",
    ),
    "number and resolution": (None, {"resolution": 1.0}, ValueError, "n_clusters or resolution, not both"),
    "zero resolution": (
        None,
        {"resolution": 0, "n_clusters": None},
        ValueError,
        "resolution must be finite and above 0",
    ),
    "negative n_clusters": (None, {"n_clusters": -3}, ValueError, "n_clusters must be at least 2, got -3"),
    "one cluster": (None, {"n_clusters": 1}, ValueError, "n_clusters must be at least 2, got 1"),
    "n_clusters of no integer": (None, {"n_clusters": 2.5}, TypeError, "n_clusters must be an integer, got 2.5"),
    "n_clusters true": (None, {"n_clusters": True}, TypeError, "n_clusters must be an integer, got True"),
    "more clusters than cells": (
        None,
        {"n_clusters": 241},
        ValueError,
        "n_clusters=241 is more than the number of cells",
    ),
    "nan": (lambda a: with_value(a, np.nan), {}, ValueError, "adata.X has 1 entries that are NaN or infinite"),
    "infinite": (lambda a: with_value(a, np.inf), {}, ValueError, "adata.X has 1 entries that are NaN or infinite"),
    "text": (
        lambda a: ad.AnnData(obs=a.obs, obsm={"words": np.full((240, 2), "x")}),
        {"use_rep": "words"},
        ValueError,
        "must hold numbers",
    ),
    "missing layer": (None, {"layer": "log"}, KeyError, "'log' not found in adata.layers"),
    "missing representation": (None, {"use_rep": "X_pca"}, KeyError, "'X_pca' not found in adata.obsm"),
    "two sources": (None, {"use_rep": "X_pca", "layer": "l"}, ValueError, "use_rep='X_pca' is a matrix of its own"),
    "missing mask": (None, {"mask_var": "hvg"}, KeyError, "'hvg' not found in adata.var"),
    "mask of wrong length": (None, {"mask_var": [True]}, ValueError, "boolean with one entry a gene"),
    "mask of nothing": (None, {"mask_var": np.zeros(20, bool)}, ValueError, "leaves no genes"),
    "key is the batch": (None, {"key_added": "tech"}, ValueError, "other than batch_key"),
    "negative alpha": (None, {"mode": "paper", "alpha": -1}, ValueError, "alpha must be finite and at least 0, got -1"),
    "beta of words": (None, {"mode": "paper", "beta": "auto"}, TypeError, "beta must be a number, got 'auto'"),
    "nan beta": (None, {"mode": "paper", "beta": float("nan")}, ValueError, "beta must be finite"),
    "negative balance": (None, {"mode": "paper", "balance": -0.1}, ValueError, "balance must be finite and at least 0"),
    "no epochs": (None, {"max_epochs": 0}, ValueError, "max_epochs must be at least 1, got 0"),
    "batch of one": (None, {"batch_size": 1}, ValueError, "batch_size must be at least 2, got 1"),
    "unknown device": (None, {"device": "gpu0"}, ValueError, "device 'gpu0' cannot be used"),
    "absent device": (None, {"device": "cuda:77"}, ValueError, "device 'cuda:77' cannot be used"),
    "unknown precision": (
        None,
        {"mode": "paper", "precision": "float16"},
        ValueError,
        r"precision must be one of .*Did you mean 'bfloat16'",
    ),
    "negative seed": (None, {"random_state": -1}, ValueError, "random_state must be a non-negative integer"),
    "seed of words": (None, {"random_state": "x"}, ValueError, "random_state must be a non-negative integer"),
}


@pytest.mark.parametrize("case", TOOL)
def test_fair_cluster(small, monkeypatch, case):
    prepare, arguments, error, words = TOOL[case]
    adata = small if prepare is None else prepare(small)
    before = adata.copy()
    for training in ("paper.training.train", "atlas.estimator.train_agreement"):
        monkeypatch.setattr(f"scfcmi.models.{training}", lambda *_, **__: pytest.fail("training started"))
    with pytest.raises(error, match=words):
        scfcmi.tl.fair_cluster(adata, **({"batch_key": "tech", "n_clusters": 3} | arguments))
    assert list(adata.obs) == list(before.obs)
    assert list(adata.obsm) == list(before.obsm)
    assert list(adata.uns) == list(before.uns)


X = np.random.default_rng(0).normal(size=(30, 4))
HALVES = np.arange(30) % 2

# Parameters, data, groups, error, its words.
ESTIMATOR = {
    "more clusters than cells": ({"n_clusters": 31}, X, None, ValueError, "n_clusters=31 is more than"),
    "no clusters": ({"n_clusters": 0}, X, None, ValueError, "n_clusters must be at least 1"),
    "nan": ({}, np.where(X > 2, np.nan, X), None, ValueError, "contains NaN"),
    "infinite": ({}, np.where(X > 2, np.inf, X), None, ValueError, "contains infinity"),
    "one cell": ({"n_clusters": 1}, X[:1], None, ValueError, "minimum of 2 is required"),
    "no features": ({}, X[:, :0], None, ValueError, "0 feature"),
    "too few groups": ({}, X, HALVES[:5], ValueError, "groups has 5 entries for 30 cells"),
    "missing group": ({}, X, [None, *HALVES[1:]], ValueError, "groups is missing for 1 of 30 cells"),
    "groups of two columns": ({}, X, np.c_[HALVES, HALVES], ValueError, "groups must be one-dimensional"),
    "groups of one word": ({}, X, "tech", TypeError, "groups must be an array"),
    "images of other size": ({}, np.zeros((30, 1, 32, 32)), None, ValueError, r"shape \(n_cells, 1, 28, 28\)"),
    "unknown decoder": ({"decoder": "branch"}, X, None, ValueError, "Did you mean 'branches'"),
    "zero temperature": ({"temperature": 0}, X, None, ValueError, "temperature must be finite and above 0"),
    "zero learning rate": ({"learning_rate": 0}, X, None, ValueError, "learning_rate must be finite and above 0"),
    "negative warm-up": ({"warmup_epochs": -1}, X, None, ValueError, "warmup_epochs must be at least 0"),
    "no patience": ({"patience": 0}, X, None, ValueError, "patience must be at least 1"),
    "no components": ({"n_components": 0}, X, None, ValueError, "n_components must be at least 1"),
}


@pytest.mark.parametrize("case", ESTIMATOR)
def test_fit(case, monkeypatch):
    parameters, data, groups, error, words = ESTIMATOR[case]
    monkeypatch.setattr("scfcmi.models.paper.training.train", lambda *_, **__: pytest.fail("training started"))
    with pytest.raises(error, match=words):
        FCMI(**({"n_clusters": 3} | parameters)).fit(data, groups=groups)


settled = pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")


@settled
def test_after_fit():
    model = FCMI(2, max_epochs=1).fit(X, groups=np.array(["tenx", "seqwell"])[HALVES])
    with pytest.raises(ValueError, match="X has 3 features, but FCMI is expecting 4 features"):
        model.predict(X[:, :3])
    with pytest.raises(ValueError, match="fitted on a matrix"):
        model.transform(np.zeros((3, 1, 28, 28)))
    with pytest.raises(ValueError, match=r"Group 'seqwel' was not seen in fit. Did you mean 'seqwell'\?"):
        model.reconstruct(X, ["seqwel"] * 30)
    with pytest.raises(ValueError, match="groups has 2 entries for 30 cells"):
        model.reconstruct(X, ["tenx"] * 2)


@settled
def test_model_files(tmp_path):
    path = tmp_path / "model"
    FCMI(2, max_epochs=1).fit(X).save(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:100], b"", b"not a model at all", b"\x80\x04\x95" + whole[3:]):
        path.write_bytes(damaged)
        with pytest.raises(ModelFormatError, match="truncated or no scfcmi model"):
            FCMI.load(path)
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ModelFormatError, match="is no scfcmi model"):
        FCMI.load(path)
    save_file({"weight": torch.zeros(3)}, path, {"scfcmi": "model", "format": "99", "content": "{}"})
    with pytest.raises(ModelFormatError, match="format 99"):
        FCMI.load(path)
    save_file({"weight": torch.zeros(3)}, path, {"scfcmi": "model", "format": "1", "content": "{}"})
    with pytest.raises(ModelFormatError, match="no complete scfcmi model"):
        FCMI.load(path)
    with pytest.raises(FileNotFoundError, match="No file at"):
        FCMI.load(tmp_path / "nothing")


@settled
def test_model_file_cannot_ask_for_memory_that_is_not_there(tmp_path):
    path = tmp_path / "model"
    FCMI(2, max_epochs=1).fit(X).save(path)
    with safe_open(path, framework="pt") as file:
        header, tensors = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    content = json.loads(header["content"])
    content["architecture"]["n_features"] = 10**12
    save_file(tensors, path, header | {"content": json.dumps(content)})
    with pytest.raises(ModelFormatError, match="do not fit its own description"):
        FCMI.load(path)


@pytest.mark.parametrize(("part", "value"), [("indices", 10**6), ("indices", -1), ("indptr", 10**6), ("indptr", -1)])
def test_a_sparse_matrix_that_points_outside_itself(blobs, part, value):
    """scipy would read foreign memory, or crash."""
    X = sp.csr_matrix(blobs[0])
    getattr(X, part)[5] = value
    adata = ad.AnnData(sp.csr_matrix(blobs[0]), obs={"batch": blobs[2].astype(str)})
    getattr(adata.X, part)[5] = value
    for fit in (
        lambda: scfcmi.AtlasFCMI(3).fit(X, groups=blobs[2]),
        lambda: scfcmi.tl.fair_cluster(adata, "batch"),
        lambda: scfcmi.tl.fair_cluster(adata, "batch", mask_var=np.arange(20) < 10),
    ):
        with pytest.raises(ValueError, match="X is a damaged CSR matrix: its indices do not fit its shape"):
            fit()


@pytest.mark.parametrize("value", [True, np.True_])
def test_true_is_no_number(value):
    with pytest.raises(TypeError, match="beta must be a number, got"):
        _validate.number("beta", value)


@pytest.mark.parametrize("index", [-1, 3])
@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_matrix])
def test_an_index_outside_of_a_sparse_matrix(kind, index):
    X = kind(np.eye(3, dtype=np.float32))
    _validate.sparse_structure("X", X)
    X.indices[1] = index
    with pytest.raises(ValueError, match=r"X is a damaged CS. matrix"):
        _validate.sparse_structure("X", X)
