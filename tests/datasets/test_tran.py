from __future__ import annotations

import dataclasses
import gzip
import tracemalloc

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scfcmi import datasets
from scfcmi.datasets import _tran
from scfcmi.datasets._build import differences
from scfcmi.datasets._expression import read_expression
from scfcmi.datasets._manifest import read_manifest
from scfcmi.errors import ChecksumError, DatasetUnavailableError

N_CELLS, N_GENES = 90, 300
pytestmark = pytest.mark.filterwarnings("ignore:.*Results will not compare with published ones:UserWarning")


def write_expression(path, counts: np.ndarray, cells, *, ending: str = "\n", corner: str | None = None) -> None:
    """Genes x cells as R writes it: quoted names, and no name for the column of genes unless ``corner`` is one."""
    header = [] if corner is None else [corner]
    lines = ["\t".join([*header, *(f'"{cell}"' for cell in cells)])]
    lines += ["\t".join([f'"Gene{i}"', *map(str, row)]) for i, row in enumerate(counts.T)]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress((ending.join(lines) + ending).encode()))


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    means = rng.gamma(0.6, 20, N_GENES) * np.exp(rng.normal(0, 1, (3, N_GENES)))[np.arange(N_CELLS) % 3]
    return rng.poisson(means)


@pytest.fixture
def made_up(counts, tmp_path, monkeypatch):
    """Files of the published form for each data set, and manifests that accept them."""

    def make(name: str):
        manifest = read_manifest(name)
        table = _tran._TABLES[name]
        cells = [f"cell.{i}" for i in range(N_CELLS)]
        batches = np.array(list(table.batches))[np.arange(N_CELLS) % len(table.batches)]
        labels = np.array((list(manifest.expected.labels) or ["alpha", "beta", "delta"])[:3])[np.arange(N_CELLS) % 3]
        frame = pd.DataFrame({table.batch: batches, table.label: labels}, index=cells)
        for column in table.also:
            frame[column] = "somewhere"
        paths = {file.part: tmp_path / file.path for file in manifest.files}
        # The label file has its own order.
        order = np.random.default_rng(1).permutation(N_CELLS)
        write_expression(paths["expression"], counts[order], [cells[i] for i in order])
        frame.to_csv(paths["cells"], sep="\t", index_label=False)
        files = tuple(dataclasses.replace(file, checksum=None, size=None) for file in manifest.files)
        monkeypatch.setattr(_tran, "read_manifest", lambda _: dataclasses.replace(manifest, files=files))
        monkeypatch.setattr(_tran, "_MIN_GENES", 10)
        return paths, frame

    return make


def test_other_numbers_of_cells(made_up, tmp_path):
    made_up("human_dc")
    with pytest.warns(
        UserWarning, match=rf"has {N_CELLS} samples instead of 576; .*; and more. Results will not compare"
    ):
        datasets.human_dc(data_dir=tmp_path, download=False)


@pytest.mark.parametrize("name", ["mouse_atlas", "human_dc", "pancreas"])
def test_loader(made_up, counts, tmp_path, name):
    _, frame = made_up(name)
    adata = getattr(datasets, name)(data_dir=tmp_path, download=False)
    table = _tran._TABLES[name]
    assert adata.obs_names.tolist() == frame.index.tolist()
    genes = adata.var_names.str.removeprefix("Gene").astype(int)
    raw = adata.layers["counts"]
    assert raw.format == adata.X.format == "csr"
    assert raw.dtype == adata.X.dtype == np.float32
    assert np.array_equal(raw.toarray(), counts[:, genes])
    assert np.allclose(np.expm1(adata.X.toarray()).sum(axis=1), 1e4, rtol=1e-3)
    assert adata.var["highly_variable"].sum() == min(2000, adata.n_vars)
    assert adata.obs["label"].tolist() == frame[table.label].tolist()
    assert adata.obs["group"].tolist() == [table.batches[b][0] for b in frame[table.batch]]
    assert adata.obs["tech"].tolist() == [table.batches[b][1] for b in frame[table.batch]]
    assert all(isinstance(adata.obs[c].dtype, pd.CategoricalDtype) for c in ("label", "group", "tech", *table.also))
    adata.write_h5ad(tmp_path / "x.h5ad")
    assert ad.read_h5ad(tmp_path / "x.h5ad").uns["dataset"]["name"] == name

    few = getattr(datasets, name)(data_dir=tmp_path, download=False, subset=30)
    assert few.n_obs == 30
    assert np.array_equal(few.X.toarray(), adata[few.obs_names].X.toarray())


def test_a_missing_label_is_a_label_of_its_own_whatever_pandas(made_up):
    paths, frame = made_up("mouse_atlas")
    frame.assign(organ=[np.nan, *["somewhere"] * (N_CELLS - 1)]).to_csv(paths["cells"], sep="\t", index_label=False)
    obs = _tran.read_cells(paths["cells"], read_manifest("mouse_atlas"))
    assert obs["organ"].value_counts().to_dict() == {"somewhere": N_CELLS - 1, "nan": 1}
    paths, frame = made_up("pancreas")
    frame.assign(celltype=[np.nan, *frame["celltype"][1:]]).to_csv(paths["cells"], sep="\t", index_label=False)
    obs = _tran.read_cells(paths["cells"], read_manifest("pancreas"))
    assert obs["label"].iloc[0] == "nan"
    assert obs["label"].notna().all()


def test_wrong_tables(made_up, tmp_path, counts):
    paths, frame = made_up("mouse_atlas")

    def load():
        return datasets.mouse_atlas(data_dir=tmp_path, download=False)

    frame.drop(columns="organ").to_csv(paths["cells"], sep="\t", index_label=False)
    with pytest.raises(ValueError, match=r"lacks columns \['organ'\]"):
        load()
    frame.assign(ct="Neuron").to_csv(paths["cells"], sep="\t", index_label=False)
    with pytest.raises(ValueError, match=r"\['Neuron'\] not among \['B-cell'"):
        load()
    pd.concat([frame, frame[:1]]).to_csv(paths["cells"], sep="\t", index_label=False)
    with pytest.raises(ValueError, match="names a cell twice"):
        load()
    frame.rename(index={"cell.3": "lost"}).to_csv(paths["cells"], sep="\t", index_label=False)
    with pytest.raises(ValueError, match=r"1 cells of .* are not in"):
        load()


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("corner", [None, "", '"gene"'])
def test_expression(counts, tmp_path, ending, corner):
    path = tmp_path / "x.txt.gz"
    write_expression(path, counts, range(N_CELLS), ending=ending, corner=corner)
    X, cells, genes = read_expression(path)
    assert np.array_equal(X.toarray(), counts)
    assert cells == [str(i) for i in range(N_CELLS)]
    assert genes == [f"Gene{i}" for i in range(N_GENES)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\tb\tc\nG\t1\n", "gene 'G': 3 finite numbers of at least zero were expected, got 1 fields"),
        ("a\tb\nG\t1\t2\nH\t1\t2\t3\n", "gene 'H'"),
        ("a\tb\nG\t1\tNA\n", "gene 'G': could not convert"),
        ("a\tb\nG\t1\tnan\n", "gene 'G': 2 finite"),
        ("a\tb\nG\t1\t-2\n", "gene 'G': 2 finite"),
        ("a\ta\nG\t1\t2\n", "names a cell twice"),
        ("a\tb\n", "holds no genes"),
        ("", "holds no genes"),
    ],
)
def test_wrong_expression(tmp_path, text, words):
    (tmp_path / "x.txt.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(ValueError, match=words):
        read_expression(tmp_path / "x.txt.gz")


def test_the_dense_table_never_exists(tmp_path):
    rng = np.random.default_rng(0)
    counts = np.where(rng.random((1500, 2000)) < 0.05, rng.integers(1, 9, (1500, 2000)), 0)
    write_expression(tmp_path / "x.txt.gz", counts, range(1500))
    tracemalloc.start()
    X, _, _ = read_expression(tmp_path / "x.txt.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sparse = X.data.nbytes + X.indices.nbytes
    assert peak < 4 * sparse < counts.size * 4 / 2


def test_git_lfs_pointer_and_absence(tmp_path):
    (tmp_path / "pancreas").mkdir()
    path = tmp_path / "pancreas" / "myData_pancreatic_5batches.txt.gz"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:68ac\nsize 140374883\n")
    with pytest.raises(ChecksumError, match=r"is a Git LFS pointer.*git lfs pull.*Call with download=True"):
        datasets.pancreas(data_dir=tmp_path, download=False)
    path.unlink()
    with pytest.raises(DatasetUnavailableError, match="scfcmi data fetch pancreas"):
        datasets.pancreas(data_dir=tmp_path, download=False)


def test_cells_of_the_mouse_atlas(data_dir):
    manifest = read_manifest("mouse_atlas")
    path = data_dir / next(file.path for file in manifest.files if file.part == "cells")
    obs = _tran.read_cells(path, manifest)
    assert differences(obs, manifest) == []
    assert obs["tech"].value_counts().to_dict() == {"Microwell-seq": 4239, "Smart-seq2": 2715}
    assert obs["organ"].nunique() == 8
    assert differences(obs[1:], manifest) != []
