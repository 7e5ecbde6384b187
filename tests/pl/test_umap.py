from __future__ import annotations

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import scanpy as sc

import scfcmi


@pytest.fixture
def mapped(clustered, put_map):
    put_map(clustered)
    return clustered


def test_side_by_side(mapped):
    mapped.obsm["X_umap"] = np.zeros((240, 2))
    axes = scfcmi.pl.umap(mapped, ["fcmi", "tech", "label"], show=False)
    assert [ax.get_title() for ax in axes] == ["fcmi", "tech", "label"]
    for ax in axes:
        (points,) = ax.collections
        assert points.get_rasterized()
        places = points.get_offsets()
        assert places.shape == (240, 2)
        # Drawn in random order, not cell by cell as they come.
        assert not np.allclose(places, mapped.obsm["X_fcmi_umap"])
        np.testing.assert_allclose(np.sort(places[:, 0]), np.sort(mapped.obsm["X_fcmi_umap"][:, 0]), rtol=1e-6)
    # Clusters are named on the map, the others beside it.
    assert [text.get_text() for text in axes[0].texts] == ["0", "1", "2"]
    assert axes[0].get_legend() is None
    assert [text.get_text() for text in axes[2].get_legend().get_texts()] == ["0", "1", "2"]
    assert (mapped.obsm["X_umap"] == 0).all()
    assert len(mapped.uns["fcmi_colors"]) == 3

    # Drawn again with the colors as they are.
    mapped.uns["tech_colors"] = ["#ff0000", "#00ff00", "#0000ff"]  # the third category has no cells
    figure = scfcmi.pl.umap(mapped, "tech", return_fig=True)
    assert {mpl.colors.to_hex(c) for c in figure.axes[0].collections[0].get_facecolors()} == {"#ff0000", "#00ff00"}


def test_split(mapped):
    axes = scfcmi.pl.umap(mapped, split_by="tech", show=False)
    assert [ax.get_title() for ax in axes] == ["seqwell (120)", "10x (120)"]
    for ax in axes:
        gray, own = ax.collections
        assert len(gray.get_offsets()) == len(own.get_offsets()) == 120
        assert {mpl.colors.to_hex(c) for c in own.get_facecolors()} <= set(mapped.uns["fcmi_colors"])
    assert axes[0].get_legend() is None
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["0", "1", "2"]
    # Both panels of a gene have one scale.
    axes = scfcmi.pl.umap(mapped, mapped.var_names[0], split_by="tech", show=False)
    assert len({ax.collections[-1].get_clim() for ax in axes}) == 1


def test_points_shrink_with_cells(mapped, put_map):
    few = mapped[:200].copy()
    put_map(few)
    size = scfcmi.pl.umap(few, "tech", show=False)[0].collections[0].get_sizes()[0]
    import anndata as ad

    many = ad.concat([mapped] * 40, uns_merge="first", index_unique="-")
    put_map(many)
    assert scfcmi.pl.umap(many, "tech", show=False)[0].collections[0].get_sizes()[0] < size / 4


def test_given_axes_and_show(mapped, monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(1))
    figure, axes = plt.subplots(1, 2)
    assert scfcmi.pl.umap(mapped, ax=axes) == list(axes)
    assert not shown
    assert scfcmi.pl.umap(mapped, show=True) is None
    assert shown
    assert scfcmi.pl.umap(mapped, ax=axes, return_fig=True) is figure
    with pytest.raises(ValueError, match="ax must be 2 axes, one a panel, got 1"):
        scfcmi.pl.umap(mapped, ax=axes[0])


def test_draws_and_does_not_compute(clustered, put_map):
    with pytest.raises(KeyError, match=r"Run scfcmi\.tl\.umap\(adata, key='fcmi'\) first"):
        scfcmi.pl.umap(clustered)
    put_map(clustered)
    before = set(clustered.obsm), clustered.obsm["X_fcmi_umap"].copy()
    scfcmi.pl.umap(clustered, show=False)
    assert set(clustered.obsm) == before[0]
    np.testing.assert_array_equal(clustered.obsm["X_fcmi_umap"], before[1])


def test_some_of_the_cells_are_drawn_from_the_map_of_all(mapped):
    few = mapped[:50].copy()
    panels = scfcmi.pl.umap(few, show=False)
    assert len(panels[0].collections[0].get_offsets()) == 50


def test_genes_and_wrong_keys(mapped):
    (axis,) = scfcmi.pl.umap(mapped, mapped.var_names[0], show=False)
    assert axis.get_title() == mapped.var_names[0]
    with pytest.raises(KeyError, match=r"'labels' not found in .* Did you mean 'label'"):
        scfcmi.pl.umap(mapped, "labels")
    with pytest.raises(KeyError, match=r"Run scfcmi\.tl\.fair_cluster"):
        scfcmi.pl.umap(mapped, key="other")
    with pytest.raises(ValueError, match="split_by takes one color"):
        scfcmi.pl.umap(mapped, ["fcmi", "tech"], split_by="tech")
    with pytest.raises(TypeError, match=r"Set adata\.uns\['fcmi_colors'\]"):
        scfcmi.pl.umap(mapped, "fcmi", palette=["red"])
    mapped.uns["tech_colors"] = ["red", "no color"]
    with pytest.raises(ValueError, match=r"adata\.uns\['tech_colors'\] holds 'no color'"):
        scfcmi.pl.umap(mapped, "tech")


def drawn(ax) -> np.ndarray:
    """Return place, size and value of points, in the order of their places."""
    points = ax.collections[-1]
    sizes = np.broadcast_to(points.get_sizes(), len(points.get_offsets()))
    values = np.zeros(len(sizes)) if points.get_array() is None else points.get_array().filled(np.nan)
    found = np.column_stack([points.get_offsets(), sizes, values])
    return found[np.lexsort(found.T[::-1])]


@pytest.mark.parametrize(
    "settings",
    [{}, {"use_raw": False}, {"layer": "tenfold"}, {"gene_symbols": "symbol"}, {"size": 1}, {"mask_obs": 1}],
    ids=lambda settings: next(iter(settings), "raw"),
)
def test_settings_mean_what_they_mean_in_scanpy(mapped, settings):
    """Cells are drawn in another order: what belongs to a cell goes with it."""
    rng = np.random.default_rng(0)
    mapped.obsm["X_mine"] = mapped.obsm["X_fcmi_umap"].astype(float)
    mapped.layers["tenfold"] = 10 * mapped.X
    mapped.raw = mapped.copy()
    mapped.X = -np.asarray(mapped.X)
    mapped.var["symbol"] = mapped.raw.var["symbol"] = [f"s{i}" for i in range(mapped.n_vars)]
    settings = dict(settings)
    if "size" in settings:
        settings["size"] = rng.uniform(1, 50, 240)
    if "mask_obs" in settings:
        settings["mask_obs"] = rng.random(240) < 0.3
    color = "s3" if "gene_symbols" in settings else mapped.var_names[3]
    (ours,) = scfcmi.pl.umap(mapped, color, show=False, **settings)
    theirs = sc.pl.embedding(
        mapped, "mine", color=color, show=False, **{"size": ours.collections[-1].get_sizes()[0]} | settings
    )
    np.testing.assert_allclose(drawn(ours), drawn(theirs), rtol=1e-5)
    if "size" in settings or "mask_obs" in settings:
        panels = scfcmi.pl.umap(mapped, color, split_by="tech", show=False, **settings)
        both = np.concatenate([drawn(ax) for ax in panels])
        np.testing.assert_allclose(both[np.lexsort(both.T[::-1])], drawn(theirs), rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"edges": True}, TypeError, "umap draws no edges"),
        ({"ncols": 0}, ValueError, "ncols must be"),
        ({"color": []}, ValueError, "color names nothing to draw"),
        ({"split_by": "empty"}, ValueError, "split_by='empty' has no value"),
        ({"mask_obs": "tekk"}, KeyError, "Key 'tekk' not found in adata.obs"),
    ],
)
def test_settings_that_cannot_be(mapped, settings, error, words):
    mapped.obs["empty"] = np.nan
    with pytest.raises(error, match=words):
        scfcmi.pl.umap(mapped, show=False, **settings)


def test_assigned_cells_without_a_batch(mapped):
    del mapped.uns["fcmi"]["params"]["batch_key"]
    assert len(scfcmi.pl.umap(mapped, show=False)) == 1


def test_names_of_clusters_do_not_overlap(mapped):
    mapped.obs["fcmi"] = mapped.obs["fcmi"].cat.rename_categories(["a long name", "another long name", "a third"])
    mapped.obsm["X_fcmi_umap"] = mapped.obsm["X_fcmi_umap"] * 0.01
    mapped.obsm["X_fcmi_umap"][:3] = [[-1, -1], [1, 1], [0, 1]]
    (ax,) = scfcmi.pl.umap(mapped, "fcmi", show=False)
    names = [text for text in ax.texts if text.get_text()]
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in names]
    assert len(boxes) == 3
    assert not any(box.overlaps(other) for i, box in enumerate(boxes) for other in boxes[:i])
    # They stay on the map.
    room = ax.get_window_extent().padded(1)
    assert all(room.contains(*corner) for box in boxes for corner in (box.min, box.max))


def test_of_many_cells_only_those_are_drawn_that_can_be_seen(mapped, monkeypatch):
    monkeypatch.setattr(scfcmi.pl._visible, "_MANY", 100)
    mapped.obsm["X_fcmi_umap"] = np.repeat(mapped.obsm["X_fcmi_umap"][:120], 2, axis=0)
    place = mapped.obsm["X_fcmi_umap"]
    (ax,) = scfcmi.pl.umap(mapped, "tech", show=False)
    drawn = ax.collections[0].get_offsets()
    np.testing.assert_allclose(np.unique(drawn, axis=0), np.unique(place, axis=0))
    assert len(drawn) == 120
    # In front of other cells, all that are seen of each group; the heading counts all.
    axes = scfcmi.pl.umap(mapped, split_by="tech", show=False)
    assert [ax.get_title() for ax in axes] == ["seqwell (120)", "10x (120)"]
    for panel, name in zip(axes, ("seqwell", "10x"), strict=True):
        own = place[mapped.obs["tech"] == name]
        np.testing.assert_allclose(np.unique(panel.collections[-1].get_offsets(), axis=0), np.unique(own, axis=0))


def test_lists_have_a_value_for_each_panel(mapped):
    first, second = mapped.var_names[:2]
    axes = scfcmi.pl.umap(
        mapped, [first, second], title=["A", "B"], vmin=[0, 1], vmax=[20, 30], cmap=["magma", "viridis"], show=False
    )
    assert [ax.get_title() for ax in axes] == ["A", "B"]
    assert [ax.collections[0].get_clim() for ax in axes] == [(0, 20), (1, 30)]
    assert [ax.collections[0].get_cmap().name for ax in axes] == ["magma", "viridis"]
    axes = scfcmi.pl.umap(mapped, split_by="tech", title=["one", "two"], show=False)
    assert [ax.get_title() for ax in axes] == ["one", "two"]
    with pytest.raises(ValueError, match="title must be one value or a list of 2"):
        scfcmi.pl.umap(mapped, [first, second], title=["A"], show=False)


def test_a_color_bar_of_scanpy_takes_the_place_of_ours(mapped):
    figure = scfcmi.pl.umap(mapped, mapped.var_names[0], colorbar_loc="bottom", return_fig=True)
    assert len(figure.axes) == 2
    assert not figure.axes[0].child_axes


def test_saves_nothing(mapped):
    with pytest.raises(TypeError, match="return_fig=True"):
        scfcmi.pl.umap(mapped, save="_map.png")


def test_a_view_stays_one(mapped):
    view = mapped[:200]
    scfcmi.pl.umap(view, show=False)
    scfcmi.pl.composition(view, show=False)
    assert view.is_view
    assert "fcmi_colors" not in view.uns


def test_cells_that_were_joined(mapped):
    joined = ad.concat([mapped[:100], mapped[100:]])
    assert [ax.get_title() for ax in scfcmi.pl.umap(joined, show=False)] == ["fcmi"]
    with pytest.raises(ValueError, match=r"ad\.concat"):
        scfcmi.pl.composition(joined)
    with pytest.raises(KeyError, match=r"ad\.concat"):
        scfcmi.pl.report(joined, "report.html", batch_key="tech")


def test_of_many_cells_those_on_top_are_drawn(mapped, monkeypatch):
    """What scanpy draws last is not hidden by what it draws first: high numbers, and cells that a setting selects."""
    monkeypatch.setattr(scfcmi.pl._visible, "_MANY", 100)
    mapped.obsm["X_fcmi_umap"] = np.repeat(mapped.obsm["X_fcmi_umap"][:120], 2, axis=0)
    # Of every two cells in one place, the first is expressed, marked, and of one kind.
    first = np.arange(240) % 2 == 0
    mapped.obs["expressed"], mapped.obs["marked"] = np.where(first, 5.0, 0.0), first
    mapped.obs["kind"] = np.where(first, "a", "b")
    (ax,) = scfcmi.pl.umap(mapped, "expressed", show=False)
    assert (ax.collections[0].get_array() == 5).sum() == 120
    (ax,) = scfcmi.pl.umap(mapped, "fcmi", mask_obs="marked", show=False)
    assert len(ax.collections[-1].get_offsets()) == 120
    (ax,) = scfcmi.pl.umap(mapped, "kind", groups="a", show=False)
    assert len(ax.collections[-1].get_offsets()) == 120
    # A panel does not take cells from another.
    axes = scfcmi.pl.umap(mapped, ["expressed", "kind"], show=False)
    assert (axes[0].collections[0].get_array() == 5).sum() == 120


def test_other_maps_are_scanpy_s(mapped):
    for settings in ({"projection": "3d"}, {"basis": "X_pca"}):
        with pytest.raises(TypeError, match=r"draws adata.obsm\['X_fcmi_umap'\], which has two dimensions"):
            scfcmi.pl.umap(mapped, show=False, **settings)
    axes = scfcmi.pl.umap(mapped, ["fcmi", "tech"], marker=["^", "o"], show=False)
    assert len(axes) == 2
    with pytest.raises(KeyError, match=r"'symbol' .*adata.var"):
        scfcmi.pl.umap(mapped, "gene0", gene_symbols="symbol", show=False)


def test_batches_with_numbers_for_names_are_no_scale(small, put_map):
    small.obs["run"] = np.where(small.obs["tech"] == "10x", 1, 10)
    scfcmi.tl.fair_cluster(small, "run", n_clusters=3, max_epochs=3)
    put_map(small)
    axes = scfcmi.pl.umap(small, show=False)
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["1", "10"]


def test_names_are_read_on_a_dark_background(mapped):
    with plt.style.context("dark_background"):
        ax = scfcmi.pl.umap(mapped, ["fcmi"], show=False)[0]
        split = scfcmi.pl.umap(mapped, split_by="tech", show=False)[0]
    assert {text.get_color() for text in ax.texts if text.get_text()} == {"black"}
    # Cells of other batches are darker than their own.
    assert split.collections[0].get_facecolor()[0, :3].max() < 0.4


def test_the_legend_names_what_is_drawn(mapped):
    ax = scfcmi.pl.umap(mapped, ["label"], groups=["1"], show=False)[0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["1"]


def test_long_titles_are_broken(mapped):
    mapped.obs["tech"] = mapped.obs["tech"].cat.rename_categories({"10x": "10x Chromium 3' v1 (Zheng 2017)"})
    axes = scfcmi.pl.umap(mapped, split_by="tech", show=False)
    assert max(len(line) for ax in axes for line in ax.get_title().split("\n")) <= 17


def test_names_of_clusters_are_a_color_and_no_result(clustered, put_map):
    put_map(clustered)
    clustered.obs["type"] = clustered.obs["fcmi"].astype(str).map("type {}".format).astype("category")
    with pytest.raises(KeyError, match=r"To color by this column: scfcmi.pl.umap\(adata, 'type'\)"):
        scfcmi.pl.umap(clustered, key="type")
    assert scfcmi.pl.umap(clustered, "type", show=False)
