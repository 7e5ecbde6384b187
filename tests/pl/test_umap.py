from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import scfcmi


def test_side_by_side(clustered):
    clustered.obsm["X_umap"] = np.zeros((240, 2))
    axes = scfcmi.pl.umap(clustered, ["fcmi", "tech", "label"], show=False)
    assert [ax.get_title() for ax in axes] == ["fcmi", "tech", "label"]
    for ax in axes:
        (points,) = ax.collections
        assert points.get_rasterized()
        places = points.get_offsets()
        assert places.shape == (240, 2)
        # Drawn in random order, not cell by cell as they come.
        assert not np.allclose(places, clustered.obsm["X_fcmi_umap"])
        np.testing.assert_allclose(np.sort(places[:, 0]), np.sort(clustered.obsm["X_fcmi_umap"][:, 0]), rtol=1e-6)
    # Clusters are named on the map, the others beside it.
    assert [text.get_text() for text in axes[0].texts] == ["0", "1", "2"]
    assert axes[0].get_legend() is None
    assert [text.get_text() for text in axes[2].get_legend().get_texts()] == ["0", "1", "2"]
    assert (clustered.obsm["X_umap"] == 0).all()
    assert len(clustered.uns["fcmi_colors"]) == 3

    # Kept, and drawn again with the colours as they are.
    before = clustered.obsm["X_fcmi_umap"]
    clustered.uns["tech_colors"] = ["#ff0000", "#00ff00", "#0000ff"]  # the third category has no cells
    figure = scfcmi.pl.umap(clustered, "tech", return_fig=True)
    assert clustered.obsm["X_fcmi_umap"] is before
    assert {mpl.colors.to_hex(c) for c in figure.axes[0].collections[0].get_facecolors()} == {"#ff0000", "#00ff00"}


def test_split(clustered):
    _keep_map(clustered)
    axes = scfcmi.pl.umap(clustered, split_by="tech", show=False)
    assert [ax.get_title() for ax in axes] == ["seqwell (120)", "10x (120)"]
    for ax in axes:
        grey, own = ax.collections
        assert len(grey.get_offsets()) == len(own.get_offsets()) == 120
        assert {mpl.colors.to_hex(c) for c in own.get_facecolors()} <= set(clustered.uns["fcmi_colors"])
    assert axes[0].get_legend() is None
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["0", "1", "2"]
    # Both panels of a gene have one scale.
    axes = scfcmi.pl.umap(clustered, clustered.var_names[0], split_by="tech", show=False)
    assert len({ax.collections[-1].get_clim() for ax in axes}) == 1


def test_points_shrink_with_cells(clustered):
    _keep_map(clustered)
    few = scfcmi.pl.umap(clustered[:200].copy(), "tech", show=False)[0].collections[0].get_sizes()[0]
    import anndata as ad

    many = ad.concat([clustered] * 20, uns_merge="first", index_unique="-")
    _keep_map(many)
    assert scfcmi.pl.umap(many, "tech", show=False)[0].collections[0].get_sizes()[0] < few / 4


def test_given_axes_and_show(clustered, monkeypatch):
    _keep_map(clustered)
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(1))
    figure, axes = plt.subplots(1, 2)
    assert scfcmi.pl.umap(clustered, ax=axes) == list(axes)
    assert not shown
    assert scfcmi.pl.umap(clustered, show=True) is None
    assert shown
    assert scfcmi.pl.umap(clustered, ax=axes, return_fig=True) is figure
    with pytest.raises(ValueError, match="ax must be 2 axes, one a panel, got 1"):
        scfcmi.pl.umap(clustered, ax=axes[0])


def test_map_follows_the_embedding(clustered):
    scfcmi.pl.umap(clustered, show=False)
    before = clustered.obsm["X_fcmi_umap"].copy()
    clustered.obsm["X_fcmi"] = clustered.obsm["X_fcmi"][:, [1, 2, 0]]
    clustered.obsm["X_fcmi"][:5] = 1
    scfcmi.pl.umap(clustered, show=False)
    assert not np.array_equal(before, clustered.obsm["X_fcmi_umap"])


def test_genes_and_wrong_keys(clustered):
    _keep_map(clustered)
    (axis,) = scfcmi.pl.umap(clustered, clustered.var_names[0], show=False)
    assert axis.get_title() == clustered.var_names[0]
    with pytest.raises(KeyError, match=r"'labels' not found in .* Did you mean 'label'"):
        scfcmi.pl.umap(clustered, "labels")
    with pytest.raises(KeyError, match=r"Run scfcmi\.tl\.fair_cluster"):
        scfcmi.pl.umap(clustered, key="other")
    with pytest.raises(ValueError, match="split_by takes one color"):
        scfcmi.pl.umap(clustered, ["fcmi", "tech"], split_by="tech")
    with pytest.raises(TypeError, match=r"Set adata\.uns\['fcmi_colors'\]"):
        scfcmi.pl.umap(clustered, "fcmi", palette=["red"])
    clustered.uns["tech_colors"] = ["red", "no colour"]
    with pytest.raises(ValueError, match=r"adata\.uns\['tech_colors'\] holds 'no colour'"):
        scfcmi.pl.umap(clustered, "tech")


def _keep_map(adata):
    """Put any map in place, so that no test computes one that need not."""
    from scfcmi.pl._umap import _source

    adata.obsm["X_fcmi_umap"] = np.random.default_rng(0).random((adata.n_obs, 2), np.float32)
    adata.uns["fcmi_umap"] = _source(adata, "fcmi", 0)
