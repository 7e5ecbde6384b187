from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scfcmi
from scfcmi.tl._graph import graph_of


def test_curve_is_returned_stored_and_drawn(small, tmp_path):
    scfcmi.tl.fair_cluster(small, "tech", max_epochs=15)
    curve = scfcmi.tl.choose_n_clusters(small)
    assert curve.set_index("resolution").loc[0.3, "n_clusters"] == small.obs["fcmi"].nunique() == 3
    assert set(small.uns) == {"fcmi", "fcmi_n_clusters"}
    small.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    stored = again.uns["fcmi_n_clusters"]["curve"]
    pd.testing.assert_frame_equal(stored.reset_index(drop=True), curve, check_index_type=False)
    assert scfcmi.pl.n_clusters(again, show=False).get_xlabel() == "resolution"


def test_any_seed(small):
    scfcmi.tl.fair_cluster(small, "tech", max_epochs=5)
    curves = [scfcmi.tl.choose_n_clusters(small, random_state=seed) for seed in (3, 2**31 + 3, 2**32 - 1)]
    pd.testing.assert_frame_equal(curves[0], curves[1])


def test_without_a_graph(small):
    with pytest.raises(KeyError, match="in atlas mode first"):
        scfcmi.tl.choose_n_clusters(small)


def test_more_cells_than_the_graph_holds(small, monkeypatch):
    """The graph of the sample is computed again from the embedding: it is the one that was clustered."""
    monkeypatch.setattr("scfcmi.models.atlas.cell_graph._MAX_CELLS", 150)
    monkeypatch.setattr("scfcmi.graph.sample._N_PARTS", 20)
    for asked in ({}, {"n_clusters": 3}):
        model = scfcmi.tl.fit_model(small, "tech", max_epochs=15, random_state=7, **asked)
        assert not small.obsp
        graph, cells = graph_of(small, "fcmi")
        assert graph.shape == (150, 150) == (len(cells), len(np.unique(cells)))
        assert (graph != model.graph_).nnz == 0
        curve = scfcmi.tl.choose_n_clusters(small)
        assert curve.set_index("resolution").loc[0.3, "n_clusters"] == 3
        table = scfcmi.tl.diagnose(small)
        assert (table["own_links"] > 0.9).all()
        assert (table["n_parts"] == 1).all()
    # A cluster of which the graph holds no cell.
    clusters = small.obs["fcmi"].cat.add_categories("none")
    clusters.iloc[np.setdiff1d(np.arange(small.n_obs), cells)[:3]] = "none"
    small.obs["fcmi"] = clusters
    table = scfcmi.tl.diagnose(small)
    assert table["own_links"].isna().to_dict() == {"0": False, "1": False, "2": False, "none": True}


@pytest.mark.parametrize("n_cells", [1, 2, 5])
def test_few_of_many_cells(small, monkeypatch, n_cells):
    monkeypatch.setattr("scfcmi.models.atlas.cell_graph._MAX_CELLS", 150)
    scfcmi.tl.fair_cluster(small, "tech", max_epochs=2)
    few = small[:n_cells].copy()
    assert len(scfcmi.tl.choose_n_clusters(few, progress=False)) == 11


def test_the_curve_of_a_number_is_that_of_the_default(small):
    """Clusters at a number are of a graph with one part less; what is asked is what a resolution would give."""
    curves = []
    for choice in ({"n_clusters": 4}, {}):
        scfcmi.tl.fair_cluster(small, "tech", max_epochs=5, **choice)
        curves.append(scfcmi.tl.choose_n_clusters(small))
    pd.testing.assert_frame_equal(*curves)


def test_a_graph_stored_with_small_indices(small, tmp_path):
    scfcmi.tl.fair_cluster(small, "tech", max_epochs=3)
    expected = scfcmi.tl.choose_n_clusters(small, progress=False)
    graph = small.obsp["fcmi_connectivities"]
    # As anndata writes it with write_csr_csc_indices_with_min_possible_dtype.
    graph.indices, graph.indptr = graph.indices.astype(np.uint8), graph.indptr.astype(np.uint16)
    assert scfcmi.tl.choose_n_clusters(small, progress=False).equals(expected)
    scfcmi.tl.diagnose(small)
