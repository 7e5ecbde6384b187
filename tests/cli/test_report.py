from __future__ import annotations

import json

import anndata as ad
import pytest

import scfcmi
from scfcmi import cli

ANSI = "\x1b[2J"


@pytest.fixture
def path(clustered, put_map, tmp_path):
    put_map(clustered)
    call = json.dumps({"n_clusters": 3, "random_state": 0})
    clustered.uns["fcmi"]["params"] |= {"mode": "atlas", "call": call, "settled": True}
    clustered.uns["fcmi"]["information"] = {"H_C": 1.0}
    clustered.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def report(*arguments) -> int:
    return cli.main(["report", *map(str, arguments)])


def test_a_page(path, tmp_path, capsys):
    before = path.read_bytes()
    page = tmp_path / "page.html"
    assert report(path, "-o", page, "--label-key", "label") == cli.OK
    text = page.read_text(encoding="utf-8")
    assert "<h1>cells.h5ad</h1>" in text
    assert "scfcmi repeat cells.h5ad IN.h5ad" in text
    # The diagnosis was not stored: it is computed for the page alone.
    assert "What diagnose says" in text
    assert 'id="labels"' in text
    assert path.read_bytes() == before

    assert report(path, "-o", page) == cli.WRONG_USE
    assert "exists. Name another file, or add --overwrite" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == text
    assert report(path, "-o", page, "--overwrite", "--n-markers", "0") == cli.OK
    assert "Marker genes" not in page.read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
def test_of_a_zarr_store(path, tmp_path):
    pytest.importorskip("zarr")
    store = tmp_path / "cells.zarr"
    ad.read_h5ad(path).write_zarr(store)
    assert report(store, "-o", tmp_path / "page.html") == cli.OK
    assert "<h1>cells.zarr</h1>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_map_is_computed_where_there_is_none(path, tmp_path, monkeypatch):
    cells = ad.read_h5ad(path)
    place = cells.obsm.pop("X_fcmi_umap")
    cells.write_h5ad(path)
    before = path.read_bytes()

    def put(adata, _key):
        adata.obsm["X_fcmi_umap"] = place

    monkeypatch.setattr(scfcmi.tl, "umap", put)
    assert report(path, "-o", tmp_path / "page.html") == cli.OK
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "page.png"], "--output must end in one of"),
        (["-o", "none/page.html"], "--output is in a folder that does not exist"),
        (["-o", "page.html", "--label-key", "labels"], "Did you mean 'label'?"),
        (["-o", "page.html", "--key", "other"], "Run scfcmi.tl."),
        (["-o", "page.html", "--n-markers", "-1"], "--n-markers must be at least 0"),
        (["-o", "page.html", "--label-key", ANSI], "\\x1b[2J"),
    ],
)
def test_wrong_use_is_one_line_and_code_two(path, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert report(path, *arguments) == cli.WRONG_USE
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert [there.name for there in tmp_path.iterdir()] == ["cells.h5ad"]
    assert report(tmp_path / "none.h5ad", "-o", "page.html") == cli.WRONG_USE


def test_a_new_sample_is_of_one_batch(path, tmp_path):
    adata = ad.read_h5ad(path)
    adata[adata.obs["tech"] == "10x"].copy().write_h5ad(tmp_path / "one.h5ad")
    assert report(tmp_path / "one.h5ad", "-o", tmp_path / "page.html") == cli.OK
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "cells of one batch" in text
    assert "What diagnose says" not in text
