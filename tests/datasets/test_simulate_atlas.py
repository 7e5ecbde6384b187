from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy.stats import nbinom
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from scfcmi.datasets import _simulate, simulate_atlas
from scfcmi.datasets._manifest import read_manifest


def test_types_and_batches_can_be_seen_in_the_counts():
    atlas = simulate_atlas(3000, 4, 2, n_genes=500, random_state=1)
    assert atlas.X.format == "csr"
    assert atlas.X.dtype == np.float32
    assert np.array_equal(atlas.X.data, np.rint(atlas.X.data))
    assert atlas.X.data.min() >= 1
    assert atlas.X.has_sorted_indices
    assert 0.04 < atlas.X.nnz / np.prod(atlas.shape) < 0.12
    # Averaged over few cells, types come apart.
    X = np.log1p(atlas.X.toarray())
    means = pd.DataFrame(X).groupby([np.arange(3000) // 4 % 50, atlas.obs["label"].to_numpy()]).mean()
    found = KMeans(4, n_init=5, random_state=0).fit_predict(PCA(10, random_state=0).fit_transform(means))
    assert pd.crosstab(found, means.index.get_level_values(1)).max(axis=1).sum() > 0.98 * len(means)
    # The batch shifts genes within a type.
    one = X[atlas.obs["label"] == "type0"], atlas.obs.loc[atlas.obs["label"] == "type0", "group"] == "batch0"
    assert np.abs(one[0][one[1]].mean(axis=0) - one[0][~one[1]].mean(axis=0)).max() > 0.2


def test_mouse_atlas():
    expected = read_manifest("mouse_atlas").expected
    atlas = simulate_atlas(6954, composition="mouse_atlas", n_genes=30)
    table = pd.crosstab(atlas.obs["label"], atlas.obs["group"])
    assert {label: tuple(row) for label, row in zip(table.index, table.to_numpy(), strict=True)} == expected.table
    assert atlas.obs["label"].iloc[:200].nunique() > 5


def test_search_gives_negative_binomial_counts(monkeypatch):
    rng = np.random.default_rng(0)
    p = (1 / (1 + rng.gamma(0.5, 20, 20_000) / _simulate._SIZE)).astype(np.float32)
    u = rng.random(20_000, dtype=np.float32)
    some = u >= p.astype(float) ** _simulate._SIZE
    counts = _simulate._search(u[some], p[some])
    assert counts.max() > _simulate._STEPS
    exact = nbinom.ppf(u[some].astype(float), _simulate._SIZE, p[some].astype(float))
    assert (counts != exact).mean() < 1e-3


@pytest.mark.parametrize("suffix", [".zarr", ".h5ad"])
def test_indices_are_of_32_bits_as_scikit_learn_asks(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(_simulate, "_CHUNK", 96)
    path = simulate_atlas(200, 3, 2, n_genes=60, path=tmp_path / f"atlas{suffix}")
    back = ad.read_zarr(path) if suffix == ".zarr" else ad.read_h5ad(path)
    assert back.X.indices.dtype == back.X.indptr.dtype == np.int32
    sc.pp.pca(back, n_comps=5)
    assert back.obsm["X_pca"].shape == (200, 5)


@pytest.mark.parametrize("suffix", [".zarr", ".h5ad"])
def test_written_in_chunks_it_is_the_same(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(_simulate, "_BLOCK", 32)
    monkeypatch.setattr(_simulate, "_CHUNK", 96)
    whole = simulate_atlas(500, 3, 2, n_genes=60, random_state=7)
    path = tmp_path / f"atlas{suffix}"
    assert simulate_atlas(500, 3, 2, n_genes=60, random_state=7, path=str(path), progress=False) == path
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    back = ad.read_zarr(path) if suffix == ".zarr" else ad.read_h5ad(path)
    assert (back.X != whole.X).nnz == 0
    assert back.X.dtype == np.float32
    pd.testing.assert_frame_equal(back.obs, whole.obs)
    assert back.var_names.equals(whole.var_names)
    assert back.uns["dataset"] == whole.uns["dataset"]
    with pytest.raises(FileExistsError, match="exists already"):
        simulate_atlas(10, path=path)


@pytest.mark.parametrize("suffix", [".zarr", ".h5ad"])
def test_a_failure_leaves_nothing(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(_simulate, "_CHUNK", 20)
    monkeypatch.setattr(_simulate, "_BLOCK", 20)
    good = _simulate._block

    def fail(atlas, start, stop):
        if start:
            raise KeyboardInterrupt
        return good(atlas, start, stop)

    monkeypatch.setattr(_simulate, "_block", fail)
    with pytest.raises(KeyboardInterrupt):
        simulate_atlas(50, n_genes=20, path=tmp_path / f"x{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_random_state():
    one, again, other = (simulate_atlas(50, n_genes=40, random_state=seed) for seed in (3, 3, 4))
    assert (one.X != again.X).nnz == 0
    assert (one.X != other.X).nnz > 0


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n_cells": 0}, ValueError, "n_cells must be at least 1"),
        ({"n_types": 2.0}, TypeError, "n_types must be an integer"),
        ({"n_batches": -1}, ValueError, "n_batches must be at least 1"),
        ({"n_genes": "many"}, TypeError, "n_genes must be an integer"),
        ({"composition": "mouse_atlass"}, ValueError, "Did you mean 'mouse_atlas'"),
        ({"composition": "mouse_atlas", "n_types": 4}, ValueError, r"= \(4, 2\), got shape \(11, 2\)"),
        ({"composition": np.ones((2, 11))}, ValueError, r"= \(11, 2\), got shape \(2, 11\)"),
        ({"composition": -np.ones((11, 2))}, ValueError, "weights of at least zero"),
        ({"composition": np.zeros((11, 2))}, ValueError, "weights of at least zero"),
        ({"path": "x.loom"}, ValueError, r"path must end in .zarr or .h5ad, got 'x.loom'"),
        ({"path": "/nowhere/x.zarr"}, FileNotFoundError, "folder that does not exist"),
        ({"random_state": "x"}, ValueError, "random_state"),
    ],
)
def test_wrong_input(arguments, error, words):
    with pytest.raises(error, match=words):
        simulate_atlas(**({"n_cells": 10} | arguments))
