from __future__ import annotations

import anndata as ad
import pandas as pd
import pytest

import scfcmi


def test_curve_is_returned_stored_and_drawn(small, tmp_path):
    scfcmi.tl.fair_cluster(small, "tech", max_epochs=15)
    curve = scfcmi.tl.choose_n_clusters(small)
    assert curve.set_index("resolution").loc[0.4, "n_clusters"] == small.obs["fcmi"].nunique() == 3
    assert set(small.uns) == {"fcmi", "fcmi_n_clusters"}
    small.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    stored = again.uns["fcmi_n_clusters"]["curve"]
    pd.testing.assert_frame_equal(stored.reset_index(drop=True), curve, check_index_type=False)
    assert scfcmi.pl.n_clusters(again, show=False).get_xlabel() == "resolution"


def test_without_a_graph(small):
    with pytest.raises(KeyError, match="in atlas mode first"):
        scfcmi.tl.choose_n_clusters(small)
