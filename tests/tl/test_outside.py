"""Cells whose expression is not in memory: the same results as of cells that are."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
import torch
import zarr

import scfcmi

da = pytest.importorskip("dask.array")
QUICK = {"n_clusters": 3, "max_epochs": 3, "progress": False}


def with_matrix(adata: ad.AnnData, X: object) -> ad.AnnData:
    return ad.AnnData(X, obs=adata.obs.copy(), var=adata.var.copy())


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    types, batches = np.arange(240) % 3, np.arange(240) // 3 % 2
    X = np.maximum(rng.normal(size=(240, 40)) + 4 * np.eye(3, 40)[types] + 0.5 * batches[:, None], 0)
    adata = ad.AnnData(sp.csr_matrix(X.astype(np.float32)))
    adata.obs_names = [f"cell{i}" for i in range(240)]
    adata.var_names = [f"gene{i}" for i in range(40)]
    adata.obs["tech"] = pd.Categorical(np.array(["a", "b"])[batches])
    adata.obs["type"] = np.array(["x", "y", "z"])[types]
    adata.var["highly_variable"] = np.arange(40) < 30
    adata.layers["half"] = adata.X / 2
    return adata


@pytest.fixture(scope="module")
def files(cells, tmp_path_factory):
    folder, dense = tmp_path_factory.mktemp("outside"), cells.copy()
    dense.X, dense.layers["half"] = dense.X.toarray(), dense.layers["half"].toarray()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Writing zarr v2 data|zarr v3 autosharding")
        for name, adata in (("csr", cells), ("dense", dense)):
            adata.write_h5ad(folder / f"{name}.h5ad")
            adata.write_zarr(folder / f"{name}.zarr")
    by_columns = cells.copy()
    by_columns.X = by_columns.X.tocsc()
    by_columns.write_h5ad(folder / "csc.h5ad")
    return folder


def backed(files, form):
    return ad.read_h5ad(files / f"{form}.h5ad", backed="r")


def from_zarr(files, form):
    root = zarr.open_group(files / f"{form}.zarr", mode="r")
    X = ad.io.sparse_dataset(root["X"]) if form == "csr" else root["X"]
    return ad.AnnData(X, obs=ad.io.read_elem(root["obs"]), var=ad.io.read_elem(root["var"]))


def lazy(files, form):
    return ad.experimental.read_lazy(files / f"{form}.h5ad")


FORMS = {"backed": backed, "zarr": from_zarr, "lazy": lazy}


@pytest.fixture(params=[(form, kind) for form in FORMS for kind in ("csr", "dense")], ids=" ".join)
def outside(request, files):
    form, kind = request.param
    return FORMS[form](files, kind)


def test_results_are_those_of_cells_in_memory(outside, cells):
    inside, X = cells.copy(), outside.X
    model = scfcmi.tl.fit_model(inside, "tech", **QUICK)
    again = scfcmi.tl.fit_model(outside, "tech", **QUICK)
    np.testing.assert_array_equal(again.embedding_, model.embedding_)
    assert outside.obs["fcmi"].tolist() == inside.obs["fcmi"].tolist()
    assert outside.uns["fcmi"]["params"]["matrix"] == "30 highly variable genes of X"
    assert type(outside.X) is type(X)

    scfcmi.tl.assign(outside, model, batch_key="tech", key_added="new")
    np.testing.assert_array_equal(outside.obsm["X_new"], inside.obsm["X_fcmi"])
    pd.testing.assert_frame_equal(scfcmi.tl.diagnose(outside), scfcmi.tl.diagnose(inside))
    scfcmi.tl.choose_n_clusters(outside)
    pd.testing.assert_series_equal(
        scfcmi.tl.evaluate(outside, "fcmi", "tech", "type"), scfcmi.tl.evaluate(inside, "fcmi", "tech", "type")
    )


def test_layers_and_genes_of_choice(files, cells):
    for lazy_one in (lazy(files, "csr"), lazy(files, "dense")):
        inside = cells.copy()
        for given in ({"layer": "half"}, {"mask_var": np.arange(40) % 2 == 0}, {"use_rep": "X"}):
            scfcmi.tl.fair_cluster(inside, "tech", **QUICK, **given)
            scfcmi.tl.fair_cluster(lazy_one, "tech", **QUICK, **given)
            np.testing.assert_array_equal(lazy_one.obsm["X_fcmi"], inside.obsm["X_fcmi"])


@pytest.mark.parametrize("mode", ["atlas", "paper"])
def test_too_many_clusters_are_told_before_anything_is_read(cells, mode):
    def read(block):
        raise AssertionError

    X = da.zeros((240, 40), chunks=(50, -1), dtype=np.float32).map_blocks(read, dtype=np.float32)
    with pytest.raises(ValueError, match="n_clusters=241 is more than the number of cells, 240"):
        scfcmi.tl.fair_cluster(with_matrix(cells, X), "tech", mode=mode, n_clusters=241)


def test_a_model_matches_genes_by_name(files, cells):
    model = scfcmi.tl.fit_model(cells.copy(), "tech", **QUICK)
    turned = ad.AnnData(
        da.from_array(cells.X.toarray()[:, ::-1], chunks=(50, -1)), cells.obs.copy(), cells.var[::-1].copy()
    )
    scfcmi.tl.assign(turned, model)
    np.testing.assert_array_equal(turned.obsm["X_fcmi"], model.embedding_)


def test_translation_of_a_lazy_one_is_lazy(files, cells, tmp_path):
    genes = cells.var["highly_variable"].to_numpy()
    inside = cells[:, genes].copy()
    model = scfcmi.tl.fit_model(inside, "tech", **QUICK)
    scfcmi.tl.translate(inside, model, "a")
    order = np.r_[5:30, 0:5]
    given = with_matrix(inside[:, order], da.from_array(inside.X.toarray()[:, order], chunks=(70, -1)))
    scfcmi.tl.translate(given, model, "a")
    assert isinstance(given.layers["fcmi_a"], da.Array)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Writing zarr v2 data|zarr v3 autosharding")
        given.write_zarr(tmp_path / "out.zarr")
    written = ad.read_zarr(tmp_path / "out.zarr")
    np.testing.assert_array_equal(written.layers["fcmi_a"], inside.layers["fcmi_a"][:, order])
    stored = backed(files, "csr")
    with pytest.raises(ValueError, match="adata has 40 features, the model decodes 30"):
        scfcmi.tl.translate(stored, model, "a")
    stored.file.close()


def test_stored_by_columns_is_read_whole_and_said(files, cells):
    stored, inside = backed(files, "csc"), cells.copy()
    with pytest.warns(
        UserWarning, match=r"adata.X is stored by columns \(CSC\), so that all of it is read into memory"
    ):
        scfcmi.tl.fair_cluster(stored, "tech", **QUICK)
    scfcmi.tl.fair_cluster(inside, "tech", **QUICK)
    np.testing.assert_array_equal(stored.obsm["X_fcmi"], inside.obsm["X_fcmi"])
    stored.file.close()


def test_counts_are_told_as_in_memory(cells):
    counts = with_matrix(cells, da.from_array(np.rint(cells.X.toarray()), chunks=(100, -1)))
    with pytest.warns(UserWarning, match=r"adata.X looks like raw counts"):
        scfcmi.tl.fair_cluster(counts, "tech", **QUICK)


@pytest.mark.filterwarnings("ignore:adata.X holds values up to")
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e20])
def test_bad_values_are_told_before_training(cells, bad, monkeypatch):
    monkeypatch.setattr("scfcmi.models.atlas.estimator.train_agreement", lambda *_, **__: pytest.fail("trained"))
    X = cells.X.toarray()
    X[200, 3] = bad
    given = with_matrix(cells, da.from_array(X, chunks=(100, -1)))
    with pytest.raises(
        ValueError, match=r"adata.X (has entries that are NaN or infinite|holds values as large as 1e\+20)"
    ):
        scfcmi.tl.fair_cluster(given, "tech", **QUICK)
    assert list(given.obs) == ["tech", "type"]
    same = with_matrix(cells, da.ones((240, 40), chunks=(100, -1), dtype=np.float32))
    with pytest.raises(ValueError, match="All 30 features of X have the same value"):
        scfcmi.tl.fair_cluster(same, "tech", **QUICK)


def test_bad_values_of_new_cells_are_told(cells):
    model = scfcmi.tl.fit_model(cells.copy(), "tech", **QUICK)
    X = cells.X.toarray()
    X[200, 3] = np.nan
    with pytest.raises(ValueError, match=r"adata.X has entries that are NaN"):
        scfcmi.tl.assign(with_matrix(cells, da.from_array(X, chunks=(100, -1))), model)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_paper_mode_reads_into_memory(files, cells):
    stored, inside = backed(files, "csr"), cells.copy()
    for adata in (stored, inside):
        scfcmi.tl.fair_cluster(adata, "tech", mode="paper", **QUICK)
    np.testing.assert_array_equal(stored.obsm["X_fcmi"], inside.obsm["X_fcmi"])
    stored.file.close()


def test_plots_of_a_result_that_is_read_lazily(files, cells, tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    inside = cells.copy()
    scfcmi.tl.fair_cluster(inside, "tech", **QUICK)
    scfcmi.tl.choose_n_clusters(inside)
    inside.write_h5ad(tmp_path / "result.h5ad")
    result = ad.experimental.read_lazy(tmp_path / "result.h5ad")
    pd.testing.assert_frame_equal(scfcmi.tl.diagnose(result), scfcmi.tl.diagnose(inside))
    for adata in (result, inside):
        scfcmi.tl.umap(adata)
    genes = ["gene5", "gene2", "tech"]
    lazily, at_once = (scfcmi.pl.umap(adata, genes, show=False) for adata in (result, inside))
    for one, other in zip(lazily, at_once, strict=True):
        np.testing.assert_array_equal(one.collections[0].get_array(), other.collections[0].get_array())
    scfcmi.pl.n_clusters(result, show=False)
    scfcmi.pl.composition(result, "tech", show=False)
    scfcmi.pl.confusion(result, label_key="type", show=False)
    scfcmi.pl.confidence(result, show=False)
    scfcmi.pl.history(result, show=False)
    inside.write_h5ad(tmp_path / "whole.h5ad")
    for name, adata in (("lazy", ad.experimental.read_lazy(tmp_path / "whole.h5ad")), ("memory", inside)):
        scfcmi.pl.report(adata, tmp_path / f"{name}.html")
    assert (tmp_path / "lazy.html").read_text() == (tmp_path / "memory.html").read_text()
    plt.close("all")


def test_a_repeated_gene_is_not_drawn_lazily(cells):
    X = da.from_array(cells.X.toarray(), chunks=(100, -1))
    adata = with_matrix(cells, X)
    adata.var_names = ["gene0", *adata.var_names[:-1]]
    adata.obsm["X_fcmi"] = adata.obsm["X_fcmi_umap"] = np.zeros((240, 2), np.float32)
    with pytest.raises(KeyError, match="names several genes"):
        scfcmi.pl.umap(adata, "gene0", show=False)


@pytest.mark.filterwarnings("ignore::UserWarning:anndata", "ignore::FutureWarning")
def test_from_counts_on_disk_by_scanpy_s_functions(tmp_path):
    counts = scfcmi.datasets.simulate_atlas(600, 4, 2, random_state=0, progress=False)
    counts.write_h5ad(tmp_path / "counts.h5ad")
    disk = ad.experimental.read_lazy(tmp_path / "counts.h5ad")
    disk.obs, disk.var = disk.obs.to_memory(), disk.var.to_memory()
    for adata in (counts, disk):
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
        sc.pp.highly_variable_genes(adata, n_top_genes=200)
        scfcmi.tl.fair_cluster(adata, "group", n_clusters=4, max_epochs=3, progress=False)
    assert isinstance(disk.X, da.Array)
    assert disk.var["highly_variable"].equals(counts.var["highly_variable"])
    # scanpy sums counts block by block, so that numbers agree to rounding only.
    assert scfcmi.metrics.ari(disk.obs["fcmi"].to_numpy(), counts.obs["fcmi"].to_numpy()) > 0.99
    np.testing.assert_allclose(disk.obsm["X_fcmi"], counts.obsm["X_fcmi"], atol=0.02)


def test_translation_of_sparse_chunks(cells, tmp_path):
    inside = cells[:, :30].copy()
    lazy = with_matrix(inside, da.from_array(inside.X, chunks=(70, -1), asarray=False))
    model = scfcmi.tl.fit_model(lazy, "tech", **QUICK)
    scfcmi.tl.translate(lazy, model, "b")
    scfcmi.tl.translate(inside, model, "b")
    np.testing.assert_allclose(lazy.layers["fcmi_b"].compute(), inside.layers["fcmi_b"], atol=1e-5)
    # Wherever the model computes: workers may have no GPU. Nothing of what it keeps is there, either.
    model.set_params(device="cuda")._network.__dict__["_projected_centers"] = torch.zeros(2, 1, 50, device="meta")
    scfcmi.tl.translate(lazy, model, "b", layer_added="again")
    np.testing.assert_array_equal(lazy.layers["again"].compute(), lazy.layers["fcmi_b"].compute())


@pytest.mark.parametrize("form", ["backed", "lazy"])
def test_cells_without_expression_are_told(cells, tmp_path, form):
    some = cells.copy()
    some.X = sp.diags((np.arange(240) > 4).astype(np.float32)) @ some.X
    some.X = sp.csr_matrix(some.X, dtype=np.float32)
    some.write_h5ad(tmp_path / "some.h5ad")
    read = {"backed": lambda path: ad.read_h5ad(path, backed="r"), "lazy": ad.experimental.read_lazy}[form]
    with pytest.warns(UserWarning, match=r"5 cell\(s\) have no expression in the genes of adata.X that are used"):
        scfcmi.tl.fair_cluster(read(tmp_path / "some.h5ad"), "tech", **QUICK)


@pytest.mark.parametrize("copy", [True, False])
def test_a_lazy_one_gets_tables_in_memory(files, tmp_path, copy):
    lazy = ad.experimental.read_lazy(files / "csr.h5ad")
    found = scfcmi.tl.fair_cluster(lazy, "tech", copy=copy, **QUICK) if copy else lazy
    if not copy:
        scfcmi.tl.fair_cluster(lazy, "tech", **QUICK)
    assert isinstance(found.obs, pd.DataFrame)
    assert isinstance(found.var, pd.DataFrame)
    assert isinstance(found.obs["fcmi"].dtype, pd.CategoricalDtype)
    found.write_h5ad(tmp_path / "out.h5ad")
    assert ad.read_h5ad(tmp_path / "out.h5ad").obs["fcmi"].nunique() == 3


def test_names_that_were_not_loaded(files):
    lazy = ad.experimental.read_lazy(files / "csr.h5ad", load_annotation_index=False)
    with pytest.raises(ValueError, match="has no names of genes"):
        scfcmi.tl.fair_cluster(lazy, "tech", **QUICK)
