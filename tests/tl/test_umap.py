from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp

import scfcmi


def test_writes_a_map_and_nothing_else(clustered, tmp_path):
    clustered.obsm["X_umap"] = np.zeros((240, 2))
    before = set(clustered.obs), set(clustered.obsm), set(clustered.uns)
    assert scfcmi.tl.umap(clustered) is None
    place = clustered.obsm["X_fcmi_umap"]
    assert place.shape == (240, 2)
    assert place.dtype == np.float32
    assert (clustered.obsm["X_umap"] == 0).all()
    after = before[0], before[1] | {"X_fcmi_umap"}, before[2] | {"fcmi_umap"}
    assert (set(clustered.obs), set(clustered.obsm), set(clustered.uns)) == after
    source = clustered.uns["fcmi_umap"]
    assert (source["n_neighbors"], source["random_state"]) == (15, 0)

    # Read back, it is still the map of the embedding.
    clustered.write_h5ad(tmp_path / "cells.h5ad")
    scfcmi.pl.umap(ad.read_h5ad(tmp_path / "cells.h5ad"), show=False)

    other = scfcmi.tl.umap(clustered[:100], random_state=1, copy=True)
    assert other.obsm["X_fcmi_umap"].shape == (100, 2)
    assert other.uns["fcmi_umap"] != source

    # Clusters lie apart on it.
    middles = np.array([place[clustered.obs["fcmi"] == name].mean(axis=0) for name in "012"])
    nearest = np.linalg.norm(place[:, None] - middles, axis=-1).argmin(axis=1)
    assert (nearest == clustered.obs["fcmi"].cat.codes).mean() > 0.95


def test_the_stored_graph_is_laid_out_as_scanpy_does(clustered):
    """Cells that the graph joins lie together, whatever the embedding says."""
    halves = np.arange(240) % 2
    rng = np.random.default_rng(0)
    links = rng.random((240, 240)) * (rng.random((240, 240)) < 0.2) * (halves[:, None] == halves[None])
    clustered.obsp["fcmi_connectivities"] = sp.csr_matrix(np.maximum(links, links.T))
    clustered.uns["fcmi"]["connectivities_key"] = "fcmi_connectivities"
    clustered.obsm["X_umap"] = np.zeros((240, 2))
    clustered.uns["umap"] = {"params": "mine"}
    before = clustered.obsp["fcmi_connectivities"].copy()
    scfcmi.tl.umap(clustered)
    place = clustered.obsm["X_fcmi_umap"]
    assert place.dtype == np.float32
    middles = np.array([place[halves == half].mean(axis=0) for half in (0, 1)])
    assert (np.linalg.norm(place[:, None] - middles, axis=-1).argmin(axis=1) == halves).all()
    assert clustered.uns["fcmi_umap"] == {
        "connectivities_key": "fcmi_connectivities",
        "min_dist": 1.5,
        "spread": 1.5,
        "random_state": 0,
    }
    assert (clustered.obsm["X_umap"] == 0).all()
    assert clustered.uns["umap"] == {"params": "mine"}
    assert (clustered.obsp["fcmi_connectivities"] != before).nnz == 0

    theirs = clustered.copy()
    theirs.uns["fcmi"]["params"] |= {"method": "umap", "use_rep": "X_fcmi"}
    theirs.uns["fcmi"]["distances_key"] = "fcmi_connectivities"
    sc.tl.umap(theirs, neighbors_key="fcmi", min_dist=1.5, spread=1.5)
    np.testing.assert_array_equal(theirs.obsm["X_umap"], place)


def test_a_view_becomes_actual(clustered, monkeypatch):
    _no_compiling(monkeypatch)
    few = clustered[:100]
    with pytest.warns(UserWarning, match="Received a view"):
        scfcmi.tl.umap(few)
    assert not few.is_view
    assert few.obsm["X_fcmi_umap"].shape == (100, 2)
    assert "X_fcmi_umap" not in clustered.obsm


def test_cells_without_links_are_laid_out_by_their_embedding(clustered, monkeypatch):
    _no_compiling(monkeypatch)
    clustered.obsp["fcmi_connectivities"] = sp.csr_matrix((240, 240))
    scfcmi.tl.umap(clustered)
    assert clustered.uns["fcmi_umap"]["n_neighbors"] == 15
    assert "connectivities_key" not in clustered.uns["fcmi_umap"]


def test_wrong_use(clustered):
    with pytest.raises(KeyError, match=r"'X_other' not found in adata\.obsm.* Run scfcmi\.tl\.fair_cluster"):
        scfcmi.tl.umap(clustered, "other")
    with pytest.raises(ValueError, match="random_state must be"):
        scfcmi.tl.umap(clustered, random_state=-1)
    with pytest.raises(ValueError, match="at least 4 cells, adata has 2"):
        scfcmi.tl.umap(clustered[:2].copy())
    assert "X_fcmi_umap" not in clustered.obsm


def _no_compiling(monkeypatch):
    class Reducer:
        def __init__(self, **_):
            pass

        def fit_transform(self, codes):
            return codes[:, :2]

    monkeypatch.setattr("umap.UMAP", Reducer)


@pytest.mark.parametrize("graph", [True, False])
def test_another_seed_is_another_map(clustered, monkeypatch, graph):
    seen = []
    monkeypatch.setattr(
        "scanpy.tl.umap", lambda adata, **told: seen.append(told) or adata.obsm.update(X_umap=np.zeros((240, 2)))
    )
    monkeypatch.setattr(
        "umap.UMAP",
        lambda **told: seen.append(told) or type("Reducer", (), {"fit_transform": lambda _, codes: codes[:, :2]})(),
    )
    if graph:
        clustered.obsp["fcmi_connectivities"] = sp.csr_matrix(np.ones((240, 240), np.float32))
        clustered.uns["fcmi"]["connectivities_key"] = "fcmi_connectivities"
    for seed in (0, 3, 2**32 + 5):
        scfcmi.tl.umap(clustered, random_state=seed)
    assert [told["random_state"] for told in seen] == [0, 3, 5]
