"""The page of a result: what stands on it, names that attack it, its size, and that it fetches nothing."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import scfcmi
from scfcmi.pl._report._charts import line_chart
from scfcmi.pl._report._maps import maps
from scfcmi.pl._report._markers import markers

EVIL = "<script>alert(1)</script>"
CURVE = pd.DataFrame(
    {"resolution": [0.2, 0.4], "n_clusters": [2, 3], "modularity": 0.5, "stability": 0.9, "separation": [0.6, 0.9]}
)


class Page(HTMLParser):
    """Tags, their attributes and the words between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)
        self.text = text

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def cells(self) -> dict:
        return json.loads(re.search(r'id="cells">(.*?)</script>', self.text, re.DOTALL)[1])

    @property
    def sections(self) -> list[str]:
        return [value for tag, name, value in self.attributes if (tag, name) == ("section", "id")]


@pytest.fixture
def mapped(clustered, put_map):
    put_map(clustered)
    call = {"n_clusters": 3, "random_state": 0}
    clustered.uns["fcmi"]["params"] |= {"mode": "atlas", "call": json.dumps(call), "settled": True}
    clustered.uns["fcmi"]["information"] = {"H_C": 1.0, "I_G_C": 0.1}
    return clustered


@pytest.fixture
def page(tmp_path):
    def write(adata, **settings) -> Page:
        scfcmi.pl.report(adata, tmp_path / "report.html", **settings)
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return write


def test_what_stands_on_it(mapped, page):
    plain = page(mapped)
    assert plain.sections == ["map", "clusters", "enrichment", "training", "run"]
    assert "scfcmi.tl.diagnose(adata, key='fcmi')" in "".join(plain.words)

    mapped.uns["fcmi_n_clusters"] = {"curve": CURVE}
    scfcmi.tl.diagnose(mapped)
    before = mapped.copy()
    full = page(mapped, label_key="label", source="folder/out.h5ad")
    assert full.sections == ["map", "clusters", "enrichment", "labels", "resolutions", "training", "run"]
    words = " ".join(" ".join(full.words).split())
    assert "240 cells of 2 batches (tech) lie in 3 clusters" in words
    assert "scfcmi repeat out.h5ad IN.h5ad" in words
    assert "scfcmi.tl.fit_model(adata, 'tech', mode='atlas', n_clusters=3, random_state=0)" in words
    assert all(verdict in words for verdict in mapped.uns["fcmi_diagnosis"]["clusters"]["verdict"])
    assert f"{scfcmi.metrics.nmi(mapped.obs['label'], mapped.obs['fcmi']):.3f}" in words
    # Nothing is changed, colors neither.
    assert list(mapped.uns) == list(before.uns)
    pd.testing.assert_frame_equal(mapped.obs, before.obs)
    assert (mapped.X != before.X).nnz == 0


def test_charts():
    x = np.arange(3.0)
    lines = {
        "<one>": np.array([0.0, 0.5, 1.0]),
        "two": np.array([0.0, np.nan, 1.0]),
        "three": np.array([1.0, 0.0, 0.99]),
    }
    drawn = line_chart(x, lines, title="a & b", x_label="x", mark=1.0, above=[(0.0, "3")])
    assert "<title" not in drawn
    assert "a &amp; b" in drawn
    assert "&lt;one&gt;</text>" in drawn
    assert re.search(r'class="line1" points="[\d.]+,[\d.]+ [\d.]+,[\d.]+"', drawn)
    # Names at the ends of lines can be read.
    ends = sorted(float(y) for y in re.findall(r'<text class="line\d" x="[\d.]+" y="([\d.]+)"', drawn))
    assert len(ends) == 3
    assert np.diff(ends).min() > 11
    # One epoch, the same value throughout: a dot. No number at all: not even a name.
    dot = line_chart(np.array([1.0]), {"": np.array([2.0])}, title="", x_label="")
    assert re.search(r'points="([\d.]+,[\d.]+) \1"', dot)
    some = line_chart(x, {"a": lines["two"], "b": np.full(3, np.nan)}, title="", x_label="x")
    assert some.count("<polyline") == some.count('<text class="line') == 1


def test_many_batches_go_down_the_page(mapped, page):
    few = page(mapped)
    heads = [words for words in few.words if words in ("fcmi", "tech")]
    mapped.obs["tech"] = pd.Categorical([f"donor {i % 12}" for i in range(240)])
    many = page(mapped)
    assert heads != [words for words in many.words if words in ("fcmi", "tech")]
    assert many.tags.count("tr") == 1 + 3 + 1 + 12
    assert few.tags.count("tr") == 1 + 3 + 1 + 3


def test_cells_come_back(mapped, page):
    cells = page(mapped, label_key="label").cells
    assert [of["column"] for of in cells["maps"]] == ["fcmi", "tech", "label"]
    x, y = (np.frombuffer(base64.b64decode(cells[name]), "<u2") for name in "xy")
    place = mapped.obsm["X_fcmi_umap"]
    place = (place - place.min(axis=0)) / np.ptp(place, axis=0)
    order = np.lexsort((1 - y / 65535, x / 65535))
    expected = np.lexsort((place[:, 1], place[:, 0]))
    np.testing.assert_allclose(x[order] / 65535, place[expected, 0], atol=1e-4)
    for of in cells["maps"]:
        codes = np.frombuffer(base64.b64decode(of["codes"]), "u1")
        assert (
            np.array(of["values"])[codes[order]].tolist()
            == mapped.obs[of["column"]].astype(str).iloc[expected].tolist()
        )
        assert len(of["colors"]) == len(of["values"])


def test_names_are_text(mapped, page):
    names = [EVIL, "</script><img src=x onerror=alert(2)>"]
    mapped.obs["tech"] = mapped.obs["tech"].cat.remove_unused_categories().cat.rename_categories(names)
    mapped.obs["label"] = mapped.obs["label"].cat.rename_categories(
        ["{{ 7 * 7 }}", '"><svg onload=alert(3)>', "\u202ea\udcff"]
    )
    mapped.obs["fcmi"] = mapped.obs["fcmi"].cat.rename_categories(["a & b", "'", "$x_{$"])
    mapped.obs = mapped.obs.rename(columns={"label": "<b>label</b>"})
    mapped.var_names = [f"<i>{i}</i>" for i in range(20)]
    mapped.uns["fcmi"]["params"]["note"] = EVIL
    scfcmi.tl.diagnose(mapped)
    attacked = page(mapped, label_key="<b>label</b>", source=f"{EVIL.replace('/', '')}.h5ad")
    plain = page(mapped)
    assert attacked.tags.count("script") == plain.tags.count("script") == 2
    assert not {"img", "iframe", "object", "link", "base"} & set(attacked.tags)
    assert not [name for _, name, _ in attacked.attributes if name.startswith("on")]
    assert "alert(1)" in "".join(attacked.words)
    assert "{{ 7 * 7 }}" in "".join(attacked.words)
    assert "49" not in attacked.cells["maps"][2]["values"]
    assert attacked.cells["maps"][2]["values"][2] == r"\u202ea\udcff"
    assert "\u202e" not in attacked.text
    assert attacked.cells["maps"][1]["values"] == names


def test_it_fetches_nothing(mapped, page):
    written = page(mapped, label_key="label")
    assert not re.search(r"https?://|@import|url\(", written.text)
    assert not {"link", "img", "iframe", "object", "embed"} & set(written.tags)
    assert not [value for _, name, value in written.attributes if name in ("src", "srcset")]
    assert all(value.startswith("#") for _, name, value in written.attributes if name == "href")
    (policy,) = [v for tag, name, v in written.attributes if (tag, name) == ("meta", "content") and "default-src" in v]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy


def test_the_same_bytes_each_time(mapped, page):
    assert page(mapped).text == page(mapped).text


def test_size_at_a_hundred_thousand_cells(page):
    n = 100_000
    rng = np.random.default_rng(0)
    clusters = rng.integers(30, size=n)
    proba = np.full((n, 30), 0.001, np.float32)
    proba[np.arange(n), clusters] = 0.971
    obs = {
        "fcmi": pd.Categorical(clusters.astype(str)),
        "batch": pd.Categorical([f"donor {i}" for i in rng.integers(300, size=n)]),
        "label": pd.Categorical([f"type {i}" for i in clusters]),
    }
    adata = ad.AnnData(obs=pd.DataFrame(obs, index=np.arange(n).astype(str)))
    adata.obsm["X_fcmi_umap"], adata.obsm["fcmi_proba"] = rng.normal(size=(n, 2)).astype(np.float32), proba
    adata.uns["fcmi"] = {
        "params": {"batch_key": "batch", "version": "0", "matrix": "X"},
        "history": pd.DataFrame(),
    }
    written = page(adata, label_key="label")
    assert len(written.text) < 5 << 20
    assert written.cells["n"] == n
    assert written.cells["maps"][1]["wide"]


def test_verdicts_of_other_clusters_are_left_out(mapped, page):
    scfcmi.tl.diagnose(mapped)
    assert "What diagnose says" in page(mapped).text
    for change in ("renamed", "fewer", "other batch"):
        cells = mapped[::2].copy() if change == "fewer" else mapped.copy()
        if change == "renamed":
            cells.obs["fcmi"] = cells.obs["fcmi"].cat.rename_categories({"0": "1", "1": "0"})
        if change == "other batch":
            cells.obs["half"] = np.where(np.arange(240) % 2, "a", "b")
        written = page(cells, batch_key="half" if change == "other batch" else None)
        assert "What diagnose says" not in written.text
        assert "have changed since" in written.text


def test_of_more_cells_a_sample_with_small_clusters_in_full(monkeypatch):
    monkeypatch.setattr("scfcmi.pl._report._maps._MOST_CELLS", 1000)
    names = pd.Categorical(np.repeat(["large", "small"], [9_990, 10]))
    place = np.random.default_rng(0).normal(size=(10_000, 2))
    cells = maps(place, {"fcmi": names}, {"fcmi": ["#000000", "#ffffff"]})
    codes = np.frombuffer(base64.b64decode(cells["maps"][0]["codes"]), "u1")
    assert (codes == 1).sum() == 10
    assert 990 <= (codes == 0).sum() <= 1010
    assert (cells["n"], cells["total"]) == (len(codes), 10_000)
    # Legends count all.
    assert cells["maps"][0]["sizes"] == [9_990, 10, 0]


def test_missing_labels_and_empty_clusters(mapped, page):
    mapped.obs["label"] = mapped.obs["label"].where(np.arange(240) > 9)
    mapped.obs["fcmi"] = mapped.obs["fcmi"].cat.add_categories(["empty"])
    written = page(mapped, label_key="label")
    assert "Of 230 cells with a label" in "".join(written.words)
    assert written.cells["maps"][2]["sizes"][-1] == 10
    assert ("tr", "data-cluster", "3") not in written.attributes
    mapped.obs["label"] = pd.Categorical([None] * 240)
    assert "No cell has a label" in "".join(page(mapped, label_key="label").words)


def test_results_of_other_kinds(mapped, page):
    """Assigned by a model, and of a key and a mode of their own."""
    mapped.uns["fcmi"]["params"]["assigned"] = "model"
    assert "cannot be repeated" in "".join(page(mapped).words)
    del mapped.uns["fcmi"]["params"]["assigned"], mapped.obsm["fcmi_proba"]
    mapped.obs["my key"], mapped.uns["my key"] = mapped.obs["fcmi"], mapped.uns["fcmi"]
    mapped.obsm["X_my key_umap"] = mapped.obsm["X_fcmi_umap"]
    words = "".join(page(mapped, key="my key").words)
    assert "scfcmi repeat OUT.h5ad IN.h5ad --key-added 'my key'" in words
    mapped.uns["fcmi"]["params"]["call"] = '{"mask_var": null}'
    words = "".join(page(mapped).words)
    assert "cannot be repeated" in words
    assert "mask_var=..." in words


def test_expression_on_disk(mapped, page, tmp_path):
    whole = page(mapped)
    mapped.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    assert page(backed).text.replace("cells.h5ad", "") == page(mapped, source="cells.h5ad").text.replace(
        "cells.h5ad", ""
    )
    backed.file.close()
    assert "Marker genes" in "".join(whole.words)


def test_markers():
    rng = np.random.default_rng(0)
    clusters = pd.Categorical(np.repeat(["a", "b", "c", "one cell"], [50, 50, 50, 1]))
    counts = rng.poisson(2, size=(151, 30))
    counts[:50, 3] += 20
    counts[50:100, 7] += 20
    names = pd.Index(["gene"] * 3 + [f"gene {i}" for i in range(3, 30)])
    for X in (sp.csr_matrix(counts), counts.astype(float), np.log1p(counts)):
        with pytest.warns(UserWarning, match="Variable names are not unique"):
            adata = ad.AnnData(X, var=pd.DataFrame(index=names))
        before = adata.X.copy()
        found, why = markers(adata, clusters, 5)
        assert why == ""
        assert (found["a"][0], found["b"][0]) == ("gene 3", "gene 7")
        assert "one cell" not in found
        assert abs(adata.X - before).sum() == 0
    for X, words in (
        (counts - 1.0, "negative"),
        (np.where(counts > 20, np.nan, counts), "NaN"),
        (None, "no expression"),
    ):
        adata = ad.AnnData(X, obs=pd.DataFrame(index=np.arange(151).astype(str)))
        found, why = markers(adata, clusters, 5)
        assert not found
        assert words in why
    # As scanpy, from raw where there is one.
    scaled = ad.AnnData(counts.astype(float), obs=pd.DataFrame(index=np.arange(151).astype(str)))
    scaled.raw = scaled.copy()
    scaled.X = counts - 5.0
    assert markers(scaled, clusters, 1)[0]["a"] == ["3"]
    assert "two clusters" in markers(ad.AnnData(counts), pd.Categorical(["a"] * 151), 5)[1]
    assert markers(ad.AnnData(counts), clusters, 0) == ({}, "")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"path": "page.png"}, ValueError, "path must end in .html"),
        ({"path": "none/page.html"}, FileNotFoundError, "folder that does not exist"),
        ({"path": 3}, TypeError, "path must be a path"),
        ({"key": "other"}, KeyError, r"Run scfcmi\.tl\.fair_cluster"),
        ({"label_key": "labels"}, KeyError, "Did you mean 'label'"),
        ({"n_markers": -1}, ValueError, "n_markers must be at least 0"),
        ({"source": 3}, TypeError, "source must be a path"),
    ],
)
def test_wrong_use(mapped, tmp_path, monkeypatch, arguments, error, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        scfcmi.pl.report(**({"adata": mapped, "path": "page.html"} | arguments))
    assert not list(tmp_path.iterdir())


def test_clusters_of_other_tools(mapped, tmp_path):
    mapped.obs["leiden"], mapped.uns["leiden"] = mapped.obs["fcmi"], {"params": {"resolution": 1}}
    mapped.obsm["X_leiden_umap"] = mapped.obsm["X_fcmi_umap"]
    with pytest.raises(ValueError, match=r"key='leiden' is no result of fair_cluster.* Run scfcmi\.tl\.fair_cluster"):
        scfcmi.pl.report(mapped, tmp_path / "page.html", key="leiden")


def test_a_map_is_needed_and_a_failure_leaves_the_old_page(clustered, put_map, tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(KeyError, match=r"Run scfcmi\.tl\.umap\(adata, key='fcmi'\) first"):
        scfcmi.pl.report(clustered, path)
    put_map(clustered)
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        scfcmi.pl.report(clustered, tmp_path / "folder.html")

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", fail)
    with pytest.raises(OSError, match="No space left"):
        scfcmi.pl.report(clustered, path)
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert sorted(there.name for there in tmp_path.iterdir()) == ["folder.html", "page.html"]


def test_a_file_without_X(small, put_map, tmp_path):
    """Markers come from the layer that was clustered. Where it is gone, the page says that there is no expression."""
    small.var_names = [f"gene{number}" for number in range(small.n_vars)]
    small.layers["lognorm"], small.X = small.X, None
    scfcmi.tl.fair_cluster(small, "tech", layer="lognorm", n_clusters=3, max_epochs=3)
    put_map(small)
    small.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    for number, adata in enumerate((small, backed)):
        scfcmi.pl.report(adata, tmp_path / f"{number}.html")
        assert "gene" in (tmp_path / f"{number}.html").read_text()
    (tmp_path / "1.html").unlink()
    (ax,) = scfcmi.pl.umap(backed, "gene0", layer="lognorm", show=False)
    assert len(ax.collections[0].get_array()) == 240
    with pytest.raises(ValueError, match=r"color='gene0' is a gene, but adata.X is None"):
        scfcmi.pl.umap(backed, "gene0", show=False)
    with pytest.raises(ValueError, match=r"adata.X is empty"):
        scfcmi.tl.fair_cluster(backed, "tech", copy=True)
    small.uns["fcmi"]["params"]["call"] = "{}"
    scfcmi.pl.report(small, tmp_path / "none.html")
    assert "There is no expression in adata.X" in (tmp_path / "none.html").read_text()


def test_a_curve_of_other_cells_is_not_shown(small, put_map, tmp_path):
    scfcmi.tl.fair_cluster(small, "tech", n_clusters=3, max_epochs=3)
    put_map(small)
    scfcmi.tl.choose_n_clusters(small, progress=False)
    scfcmi.pl.report(small, tmp_path / "all.html", n_markers=0)
    some = small[small.obs["fcmi"] == "0"].copy()
    scfcmi.pl.report(some, tmp_path / "some.html", n_markers=0)
    shown = [("Other resolutions" in (tmp_path / name).read_text()) for name in ("all.html", "some.html")]
    assert shown == [True, False]
    assert "lie in one cluster." in (tmp_path / "some.html").read_text()
    with pytest.raises(ValueError, match=rf"curve in adata.uns is of 240 cells, adata has {some.n_obs}. Run .* again"):
        scfcmi.pl.n_clusters(some, show=False)
    scfcmi.tl.choose_n_clusters(some, progress=False)
    scfcmi.pl.n_clusters(some, show=False)


def test_cells_without_a_batch(mapped, page):
    """Their clusters hold them, too: no share is above one."""
    mapped.obs["tech"] = mapped.obs["tech"].astype(object)
    mapped.obs.loc[mapped.obs_names[:100], "tech"] = np.nan
    text = page(mapped).text
    assert "100 cells have no batch or no cluster." in text
    assert max(float(found) for found in re.findall(r"([\d.]+)\s?%", text)) <= 100


def test_some_of_the_cells_that_were_clustered(mapped, page):
    mapped.uns["fcmi"]["params"]["n_cells"] = mapped.n_obs
    assert "scfcmi repeat cells.h5ad" in page(mapped, source="cells.h5ad").text
    text = page(mapped[:50].copy(), source="cells.h5ad").text
    assert "scfcmi repeat" not in text
    assert "these are not the very cells that were clustered" in text


def test_assigned_cells_of_one_batch_in_one_cluster(mapped, page):
    mapped.uns["fcmi"]["params"] |= {"assigned": True, "matrix": "20 features of X"}
    one = mapped[(mapped.obs["tech"] == "10x") & (mapped.obs["fcmi"] == "0")].copy()
    text = page(one).text
    assert f"{one.n_obs} cells of one batch (tech) lie in one cluster." in text
    assert "Assigned by a saved model, on 20 features of X." in text


def test_clusters_joined_by_hand_are_not_those_of_the_call(mapped, page):
    whole = page(mapped)
    assert any(words.startswith("scfcmi repeat") for words in whole.words)
    mapped.obs["fcmi"] = mapped.obs["fcmi"].astype(str).replace("2", "1").astype("category")
    joined = page(mapped)
    assert "clusters have been changed since" in joined.text
    assert not any("scfcmi repeat" in words or "fit_model" in words for words in joined.words)
