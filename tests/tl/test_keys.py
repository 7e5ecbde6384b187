"""Names under which results are stored: files must hold them, and nothing of the user's is overwritten."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc

from scfcmi import load_model, tl

pytestmark = pytest.mark.usefixtures("quick_decoders")
BAD = ["run/1", "run\\1", "a\0b", "a\nb", "", ".", "..", "x" * 300, "\ud800", 3, "_index", ".zattrs", "zarr.json"]
ODD_BATCHES = ["10x/v2", "a\nb", "x" * 300, "é世界", "None", "", " ", "=1+1", "nan"]


@pytest.fixture
def cells(small):
    return small


@pytest.fixture
def fit():
    return {"n_clusters": 2, "max_epochs": 2, "progress": False}


@pytest.mark.parametrize("key", BAD)
def test_a_key_that_files_cannot_hold_is_refused(cells, fit, key):
    with pytest.raises(ValueError, match="key_added"):
        tl.fair_cluster(cells, "tech", key_added=key, **fit)


@pytest.mark.parametrize("key", ["mine", "label"])
def test_nothing_of_the_user_is_overwritten(cells, fit, key):
    sc.pp.pca(cells, n_comps=5, key_added="mine")
    before = cells.copy()
    with pytest.raises(ValueError, match="not written by scfcmi"):
        tl.fair_cluster(cells, "tech", key_added=key, **fit)
    assert list(cells.uns) == list(before.uns)
    np.testing.assert_array_equal(cells.obsm["mine"], before.obsm["mine"])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_column_of_the_user_s_beside_a_result_stays(cells, fit):
    tl.fair_cluster(cells, "tech", **fit)
    cells.obs["fcmi_agreement"] = "mine"
    for settings in ({}, {"mode": "paper", "n_runs": 2}):
        with pytest.raises(ValueError, match=r"overwrite adata.obs\['fcmi_agreement'\], not written by scfcmi"):
            tl.fair_cluster(cells, "tech", **fit, **settings)
    del cells.obs["fcmi_agreement"]
    for _ in range(2):
        tl.fair_cluster(cells, "tech", mode="paper", n_runs=2, **fit)
    assert cells.obs["fcmi_agreement"].dtype == np.float32


def test_labels_of_another_tool_stay(cells, fit):
    """scANVI stores types, an embedding and probabilities, and others store a map, under names of the same form."""
    cells.obsm["X_scanvi"] = cells.obsm["scanvi_proba"] = np.ones((cells.n_obs, 2), np.float32)
    cells.obs["scanvi"] = pd.Categorical(np.where(np.arange(cells.n_obs) % 2, "T", "B"))
    cells.obsm["X_mine_umap"] = np.ones((cells.n_obs, 2))
    for key, words in (("scanvi", r"obs\['scanvi'\]"), ("mine", r"obsm\['X_mine_umap'\]")):
        with pytest.raises(ValueError, match=f"would overwrite adata.{words}.*not written by scfcmi"):
            tl.fair_cluster(cells, "tech", key_added=key, **fit)
    assert {"scanvi", "label"} <= set(cells.obs)
    assert "X_mine_umap" in cells.obsm


def test_own_results_are_replaced(cells, fit, tmp_path):
    tl.fair_cluster(cells, "tech", **fit)
    tl.fair_cluster(cells, "tech", **fit)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    stored = ad.read_h5ad(tmp_path / "cells.h5ad")
    tl.fair_cluster(stored, "tech", **fit)
    # Joined sets lose uns, but not the columns of a result.
    joined = ad.concat([stored, cells], index_unique="-")
    tl.fair_cluster(joined, "tech", **fit)


@pytest.mark.parametrize("batch", ODD_BATCHES)
@pytest.mark.filterwarnings("ignore:Writing zarr v2")
@pytest.mark.parametrize("store", ["h5ad", "zarr"])
def test_odd_batch_names_survive_files(cells, fit, tmp_path, batch, store):
    names = np.where(np.arange(cells.n_obs) % 2, "other", batch)
    cells.obs["tech"] = pd.Categorical(names)
    model = tl.fit_model(cells, "tech", **fit)
    tl.translate(cells, model, batch, layer_added="decoded" if len(batch) > 200 else None)
    path = tmp_path / f"cells.{store}"
    getattr(cells, f"write_{store}")(path)
    stored = getattr(ad, f"read_{store}")(path)
    assert set(stored.uns["fcmi"]["groups"]) == {batch, "other"}
    assert set(stored.layers) == set(cells.layers)
    assert stored.obs["fcmi"].tolist() == cells.obs["fcmi"].tolist()
    model.save(tmp_path / "model")
    tl.assign(stored, load_model(tmp_path / "model"), batch_key="tech")
    assert "unseen_groups" not in stored.uns["fcmi"]["params"]


def test_a_batch_that_files_cannot_hold_is_refused(cells, fit):
    cells.obs["tech"] = np.where(np.arange(cells.n_obs) % 2, "a\0b", "c")
    with pytest.raises(ValueError, match=r"a\\x00b.*rename"):
        tl.fair_cluster(cells, "tech", **fit)


def test_layers_of_two_batches_do_not_meet(cells, fit):
    cells.obs["tech"] = np.where(np.arange(cells.n_obs) % 2, "v/2", "v_2")
    model = tl.fit_model(cells, "tech", **fit)
    with pytest.raises(ValueError, match=r"'v_2' has it, too.*layer_added"):
        tl.translate(cells, model, "v/2")
    tl.translate(cells, model, "v/2", layer_added="v2")
    with pytest.raises(ValueError, match="there already"):
        tl.translate(cells, model, "v/2", layer_added="v2")


@pytest.mark.parametrize("key", ["umap", "pca"])
def test_names_of_scanpy_are_refused(small, key):
    with pytest.raises(ValueError, match="scanpy stores"):
        tl.fair_cluster(small, "tech", key_added=key)


@pytest.mark.parametrize("name", ["cell", "cell_agreement"])
def test_the_name_of_the_cells_is_refused(small, name):
    small.obs.index.name = name
    with pytest.raises(ValueError, match=f"adata.obs.index has the name '{name}'"):
        tl.fair_cluster(small, "tech", key_added="cell")


@pytest.mark.parametrize("ending", ["umap", "n_clusters", "diagnosis", "agreement"])
def test_names_of_companions_are_refused(cells, fit, ending):
    tl.fair_cluster(cells, "tech", **fit)
    with pytest.raises(ValueError, match="belongs to the result 'fcmi'"):
        tl.fair_cluster(cells, "tech", key_added=f"fcmi_{ending}", **fit)
