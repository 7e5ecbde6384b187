from __future__ import annotations

import functools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import scfcmi


def test_bars(clustered):
    counts = pd.crosstab(clustered.obs["tech"], clustered.obs["fcmi"])
    by_cluster, by_batch, _ = scfcmi.pl.composition(clustered, show=False)
    for ax, parts, column in ((by_cluster, counts, "tech"), (by_batch, counts.T, "fcmi")):
        heights = np.array([[bar.get_height() for bar in container] for container in ax.containers])
        np.testing.assert_allclose(heights[:, 0], parts.sum(axis=1) / 240)
        np.testing.assert_allclose(heights[:, 1:], parts / parts.sum())
        assert [text.get_text() for text in ax.texts] == ["240", *map(str, parts.sum())]
        assert [text.get_text() for text in ax.get_xticklabels()] == ["all", *parts.columns]
        # Lines at the shares of all cells.
        (lines,) = ax.collections
        expected = (parts.sum(axis=1) / 240).cumsum()[:-1]
        np.testing.assert_allclose([line[0, 1] for line in lines.get_segments()], expected)
        colors = [mpl.colors.to_hex(container[0].get_facecolor()) for container in ax.containers]
        kept = dict(zip(clustered.obs[column].cat.categories, clustered.uns[f"{column}_colors"], strict=True))
        assert colors == [kept[name] for name in parts.index]
    assert [text.get_text() for text in by_cluster.get_legend().get_texts()] == ["10x", "seqwell"]


def test_heat_map(clustered):
    (ax,) = scfcmi.pl.composition(clustered, kind="enrichment", show=False)
    values = ax.images[0].get_array()
    # Cluster 0 has 40 cells of each batch, as many as expected; cluster 2 misses none, cluster 1 all of 10x.
    np.testing.assert_allclose(values[:, 0], 0, atol=1e-9)
    np.testing.assert_allclose(values[1, 1], np.log2(0.5 / (counts_of(clustered, "1") / 2 + 0.5)))
    low, high = ax.images[0].get_clim()
    assert low == -high
    assert ax.texts[0].get_text() == "0.0"
    assert [text.get_text() for text in ax.get_yticklabels()] == ["seqwell", "10x"]


def counts_of(adata, cluster):
    return int((adata.obs["fcmi"] == cluster).sum())


def test_any_clusters_against_any_batch(clustered):
    clustered.obs["leiden"] = clustered.obs["label"].astype(str)
    figure = scfcmi.pl.composition(clustered, "tech_boolean", key="leiden", kind="batches", return_fig=True)
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.get_xticklabels()] == ["all", "False", "True"]


def test_many_batches(clustered):
    clustered.obs["donor"] = [f"donor {i % 60}" for i in range(240)]
    figure = scfcmi.pl.composition(clustered, "donor", return_fig=True)
    figure.canvas.draw()
    assert figure.get_size_inches()[0] < 12
    by_cluster, by_batch, heat = figure.axes
    assert not by_cluster.collections
    assert len(by_batch.get_xticklabels()) < 61
    assert not heat.texts
    # Sixty names of colors would be wider than the bars.
    assert by_cluster.get_legend().get_title().get_text() == "donor\n60 colors"
    assert not by_cluster.get_legend().get_texts()


def test_wrong_arguments(clustered):
    with pytest.raises(ValueError, match="kind must be one of"):
        scfcmi.pl.composition(clustered, kind="cluster")
    with pytest.raises(ValueError, match="batch_key must be given"):
        scfcmi.pl.composition(clustered, key="label")
    with pytest.raises(KeyError, match=r"'fcmi2' not found in adata\.obs"):
        scfcmi.pl.composition(clustered, key="fcmi2")
    with pytest.raises(ValueError, match="ax must be 3 axes"):
        scfcmi.pl.composition(clustered, ax=scfcmi.pl.composition(clustered, kind="batches", show=False))


def test_a_column_without_values(clustered):
    clustered.obs["none"] = np.nan
    with pytest.raises(ValueError, match="No cell has both"):
        scfcmi.pl.composition(clustered, "none")


def test_long_names_take_no_room_from_the_plot(clustered):
    """Panels are as large as with short names, and no longer name than forty letters is written."""
    names = {
        c: f"{c} monocytes, dendritic cells and whatever else there is" for c in clustered.obs["fcmi"].cat.categories
    }
    techs = {"10x": "10x Chromium 3' v1 (Zheng 2017)", "seqwell": "Seq-Well (another laboratory)"}
    sizes = []
    for named in (False, True):
        if named:
            clustered.obs["fcmi"] = clustered.obs["fcmi"].cat.rename_categories(names)
            clustered.obs["tech"] = clustered.obs["tech"].cat.rename_categories(techs)
        of_plots = []
        for draw in (scfcmi.pl.composition, functools.partial(scfcmi.pl.confusion, label_key="label")):
            figure = draw(clustered, return_fig=True)
            figure.draw_without_rendering()
            of_plots += [ax.get_window_extent().size / figure.dpi for ax in figure.axes]
        sizes.append(np.array(of_plots))
    assert (sizes[1] > 0.75 * sizes[0]).all()
    assert max(len(label.get_text()) for label in figure.axes[0].get_xticklabels()) == 40


def test_bars_with_a_few_cells_elsewhere_are_all_numbered_or_every_other(clustered):
    clustered.obs["donor"] = np.arange(240) % 80
    ax = scfcmi.pl.composition(clustered, "donor", kind="batches", show=False)[0]
    assert 30 < len(ax.texts) < 60


def test_a_scale_says_where_it_ends(clustered):
    """Seven is drawn as four."""
    clustered.obs["mine"] = pd.Categorical(np.where(clustered.obs["fcmi"] == "0", "x", "y"))
    ax = scfcmi.pl.composition(clustered, "mine", kind="enrichment", show=False)[0]
    assert ax.child_axes[0]._colorbar.extend == "min"
