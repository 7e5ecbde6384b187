from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import scfcmi

mpl.use("agg")
pytestmark = pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")


@pytest.fixture
def clustered(small):
    scfcmi.tl.fair_cluster(small, "tech", n_clusters=3, max_epochs=15)
    yield small
    plt.close("all")


def test_umap(clustered):
    clustered.obsm["X_umap"] = np.zeros((240, 2))
    axes = scfcmi.pl.umap(clustered, show=False)
    assert [ax.get_title() for ax in axes] == ["fcmi", "tech"]
    for ax in axes:
        points = ax.collections[0].get_offsets()
        assert points.shape == (240, 2)
        # Drawn in random order, not cell by cell as they come.
        assert not np.allclose(points, clustered.obsm["X_fcmi_umap"])
        np.testing.assert_allclose(np.sort(points[:, 0]), np.sort(clustered.obsm["X_fcmi_umap"][:, 0]), rtol=1e-6)
    legend = [text.get_text() for text in axes[1].get_legend().get_texts()]
    assert {"10x", "seqwell"} <= set(legend)
    assert (clustered.obsm["X_umap"] == 0).all()
    assert len(clustered.uns["fcmi_colors"]) == 3

    # Kept, and drawn again with the colours as they are.
    before = clustered.obsm["X_fcmi_umap"]
    clustered.uns["tech_colors"] = ["#ff0000", "#00ff00", "#0000ff"]  # the third category has no cells
    figure = scfcmi.pl.umap(clustered, "tech", return_fig=True)
    assert clustered.obsm["X_fcmi_umap"] is before
    assert {mpl.colors.to_hex(c) for c in figure.axes[0].collections[0].get_facecolors()} == {"#ff0000", "#00ff00"}


def test_map_follows_the_embedding(clustered):
    scfcmi.pl.umap(clustered, show=False)
    before = clustered.obsm["X_fcmi_umap"].copy()
    scfcmi.tl.fair_cluster(clustered, "tech", n_clusters=3, max_epochs=15, random_state=1)
    scfcmi.pl.umap(clustered, show=False)
    assert not np.array_equal(before, clustered.obsm["X_fcmi_umap"])


def test_genes_and_wrong_keys(clustered):
    (axis,) = scfcmi.pl.umap(clustered, clustered.var_names[0], show=False)
    assert axis.get_title() == clustered.var_names[0]
    with pytest.raises(KeyError, match=r"'labels' not found in .* Did you mean 'label'"):
        scfcmi.pl.umap(clustered, "labels")
    with pytest.raises(KeyError, match=r"Run scfcmi\.tl\.fair_cluster"):
        scfcmi.pl.umap(clustered, key="other")
