"""Cells as h5ad files and zarr stores, compressed or not, and what only looks like them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
import zarr

from scfcmi import cli, tl

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*changed cluster in the last epoch:UserWarning", "ignore:Writing zarr v2 data:UserWarning"
)


@pytest.fixture
def cells(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small.write_h5ad("in.h5ad")
    small.write_zarr("in.zarr")
    return small


def cluster(source, out, *more) -> int:
    return cli.main(["cluster", source, "--batch-key", "tech", "--max-epochs", "2", "-o", out, *more])


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_endings_may_be_mixed(cells, tmp_path):
    before = contents(tmp_path)
    labels = []
    for number, (source, ending) in enumerate((s, e) for s in ("in.h5ad", "in.zarr") for e in (".h5ad", ".zarr")):
        assert cluster(source, f"{number}{ending}") == cli.OK
        out = (ad.read_zarr if ending == ".zarr" else ad.read_h5ad)(f"{number}{ending}")
        assert sp.issparse(out.X)
        labels.append(out.obs["fcmi"].to_numpy())
    assert all(np.array_equal(labels[0], others) for others in labels)
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize("ending", [".h5ad", ".zarr"])
@pytest.mark.parametrize("rest", [(), ("--results-only",)])
def test_a_result_is_stored_as_anndata_stores_it(cells, ending, rest):
    tl.fair_cluster(cells, "tech", max_epochs=2, progress=False)
    read, write = (ad.read_zarr, cells.write_zarr) if ending == ".zarr" else (ad.read_h5ad, cells.write_h5ad)
    write(f"theirs{ending}")
    assert cluster(f"in{ending}", f"ours{ending}", *rest) == cli.OK
    ours, theirs = read(f"ours{ending}"), read(f"theirs{ending}")
    for name in ("X_fcmi", "fcmi_proba"):
        np.testing.assert_array_equal(ours.obsm[name], theirs.obsm[name])
    assert (ours.obsp["fcmi_connectivities"] != theirs.obsp["fcmi_connectivities"]).nnz == 0
    assert list(ours.obs) == list(theirs.obs)
    assert (ours.obs["fcmi"] == theirs.obs["fcmi"]).all()
    assert (ours.X is None) == bool(rest)
    opened = zarr.open_group if ending == ".zarr" else h5py.File
    one, other = (opened(f"{name}{ending}", mode="r")["obsm"]["X_fcmi"] for name in ("ours", "theirs"))
    assert dict(one.attrs) == dict(other.attrs)
    assert one.dtype == other.dtype
    assert one.chunks == other.chunks


def test_all_commands_take_a_store(cells, tmp_path, capsys):
    assert cluster("in.zarr", "out.zarr", "--save-model", "model") == cli.OK
    assert cli.main(["assign", "model", "in.zarr", "-o", "labeled.zarr"]) == cli.OK
    assert "fcmi" in ad.read_zarr("labeled.zarr").obs
    assert cli.main(["evaluate", "out.zarr", "--batch-key", "tech"]) == cli.OK
    assert "mnce" in capsys.readouterr().out
    assert cli.main(["plot", "history", "out.zarr", "-o", "history.png", "--dpi", "50"]) == cli.OK
    assert (tmp_path / "history.png").exists()


def test_a_store_is_replaced_only_when_asked(cells, tmp_path, capsys):
    before = contents(tmp_path)
    shutil.copytree("in.zarr", "old.zarr")
    (tmp_path / "link.zarr").symlink_to("in.zarr")
    (tmp_path / "folder.zarr").mkdir()
    (tmp_path / "folder.zarr" / "thesis.txt").write_text("mine")
    for out, words, more in (
        ("in.zarr", "--output is the input", []),
        ("link.zarr", "--output is the input", []),
        ("old.zarr", "--output 'old.zarr' exists", []),
        ("folder.zarr", "exists and is no zarr store", ["--overwrite"]),
        ("in.zarr/out.zarr", "is in the zarr store of IN.h5ad", []),
        ("out.zarr", "--save-model 'in.zarr/model' is in the zarr store of IN.h5ad", ["--save-model", "in.zarr/model"]),
    ):
        assert cluster("in.zarr", out, *more) == cli.WRONG_USE
        assert words in capsys.readouterr().err
    assert {name: value for name, value in contents(tmp_path).items() if name in before} == before
    assert cluster("in.h5ad", "old.zarr", "--overwrite") == cli.OK
    assert cluster("in.zarr", "in.zarr", "--overwrite") == cli.OK
    for name in ("old.zarr", "in.zarr"):
        assert "fcmi" in ad.read_zarr(name).obs
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_failure_leaves_the_store_that_was_there(cells, tmp_path, capsys, monkeypatch):
    before = contents(tmp_path)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("scfcmi.cli._written._put", fail)
    assert cluster("in.zarr", "in.zarr", "--overwrite") == cli.FAILURE
    assert "No space left on device" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_store_that_a_killed_run_moved_away_is_found(cells, tmp_path):
    """Killed between the two renames, the input is there under a temporary name only."""
    kill = """
import os, sys
from pathlib import Path
from scfcmi import cli
replace = Path.replace
Path.replace = lambda self, other: (replace(self, other), "-old-" in str(other) and os.kill(os.getpid(), 9))
sys.exit(cli.main(sys.argv[1:]))
"""
    words = ["cluster", "in.zarr", "--batch-key", "tech", "--max-epochs", "2", "-o", "in.zarr", "--overwrite"]
    command = [sys.executable, "-W", "ignore", "-c", kill, *words]
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == -9
    assert not (tmp_path / "in.zarr").exists()
    assert cli.main(words) == cli.OK
    assert "fcmi" in ad.read_zarr("in.zarr").obs
    assert {path.name for path in tmp_path.iterdir()} == {"in.zarr", "in.h5ad"}


@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
@pytest.mark.parametrize("dense", [False, True])
def test_compression_is_kept(cells, compression, dense):
    if dense:
        cells.X = cells.X.toarray()
    options = {"compression_opts": 7} if compression == "gzip" else {}
    cells.write_h5ad("in.h5ad", compression=compression, **options)
    assert cluster("in.h5ad", "out.h5ad") == cli.OK
    with h5py.File("out.h5ad") as root:
        values = root["X"] if dense else root["X"]["data"]
        assert values.compression == compression
        assert values.compression_opts == options.get("compression_opts")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mu.h5mu", "IN.h5ad 'mu.h5mu' is a MuData. Write one modality to a file of its own: mdata['rna'].write_h5ad("),
        ("mu.h5ad", "IN.h5ad 'mu.h5ad' is a MuData with the modalities ['prot', 'rna']. Write one modality to a file"),
        ("mu.zarr", "IN.h5ad 'mu.zarr' is a MuData with the modalities ['atac']. Write one modality to a file"),
        ("text.h5ad", "IN.h5ad 'text.h5ad' is no HDF5 file"),
        ("empty.h5ad", "IN.h5ad 'empty.h5ad' is no HDF5 file"),
        ("other.h5ad", "IN.h5ad 'other.h5ad' holds no AnnData, which has 'obs' and 'var'. It has ['matrix']."),
        ("folder.zarr", "IN.h5ad 'folder.zarr' is a folder without a zarr group"),
        ("file.zarr", "IN.h5ad: no folder at 'file.zarr', which is a file"),
        ("cells.loom", "IN.h5ad must end in one of ['.h5ad', '.zarr'], got 'cells.loom'"),
        ("cells", "IN.h5ad must end in one of ['.h5ad', '.zarr'], got 'cells'"),
    ],
)
def test_what_is_no_file_of_cells(tmp_path, monkeypatch, capsys, name, words):
    import zarr

    monkeypatch.chdir(tmp_path)
    for mu in ("mu.h5mu", "mu.h5ad"):
        with h5py.File(mu, "w") as root:
            root.create_group("mod/rna")
            root.create_group("mod/prot")
    with h5py.File("other.h5ad", "w") as root:
        root.create_group("matrix")
    zarr.open_group("mu.zarr", mode="w").create_group("mod/atac")
    (tmp_path / "text.h5ad").write_text("gene,cell\n")
    for empty in ("empty.h5ad", "file.zarr", "cells.loom", "cells"):
        (tmp_path / empty).touch()
    (tmp_path / "folder.zarr").mkdir()
    assert cluster(name, "out.h5ad") == cli.WRONG_USE
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.h5ad").exists()


def test_without_zarr(cells, capsys, monkeypatch):
    monkeypatch.setattr("scfcmi.cli._files.find_spec", lambda _: None)
    assert cluster("in.h5ad", "out.zarr") == cli.WRONG_USE
    assert "--output 'out.zarr' needs the package zarr: pip install zarr" in capsys.readouterr().err


def test_another_format_keeps_no_companion_of_an_earlier_result(cells):
    assert cluster("in.h5ad", "old.h5ad") == cli.OK
    old = ad.read_h5ad("old.h5ad")
    old.obsm["X_fcmi_umap"], old.uns["fcmi_umap"] = np.zeros((old.n_obs, 2)), {"random_state": 0}
    old.write_h5ad("old.h5ad")
    assert cluster("old.h5ad", "new.zarr") == cli.OK
    new = ad.read_zarr("new.zarr")
    assert "X_fcmi_umap" not in new.obsm
    assert "fcmi_umap" not in new.uns


@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
def test_a_store_without_a_chunk_is_told_of(cells, capsys, part):
    """zarr takes a chunk that is not there for zeros."""
    root = zarr.open_group("in.zarr", mode="r")["X"][part]
    stored = next(
        path for path in (Path("in.zarr") / "X" / part).rglob("*") if path.is_file() and path.name[0].isdigit()
    )
    stored.unlink()
    assert root.nchunks_initialized < root.nchunks
    cluster("in.zarr", "out.zarr")
    assert f"files of '{part}' are missing, and are read as zeros" in capsys.readouterr().err


def test_a_store_that_is_read_only(cells, tmp_path):
    """Its copy can be written to, and removed. Root may write anywhere, so that only the modes are looked at."""
    for path in [*Path("in.zarr").rglob("*"), Path("in.zarr")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    assert cluster("in.zarr", "out.zarr") == cli.OK
    for path in [Path("out.zarr"), *Path("out.zarr").rglob("*")]:
        assert path.stat().st_mode & 0o200
    for path in [Path("in.zarr"), *Path("in.zarr").rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_other_files_hold_is_copied(cells, tmp_path):
    """Files that are joined without copying refer to others, which lie elsewhere than the output."""
    dense = cells.copy()
    dense.X = cells.X.toarray()
    dense.layers["half"] = cells.X.toarray() / 2
    dense.write_h5ad("dense.h5ad")
    with h5py.File("dense.h5ad", "r+") as root:
        for name in ("X", "layers/half"):
            with h5py.File("values.h5", "a") as values:
                root.copy(root[name], values, name.replace("/", "-"))
            attributes = dict(root[name].attrs)
            layout = h5py.VirtualLayout(root[name].shape, root[name].dtype)
            layout[:] = h5py.VirtualSource("values.h5", name.replace("/", "-"), root[name].shape)
            del root[name]
            if name == "X":
                root.create_virtual_dataset(name, layout).attrs.update(attributes)
            else:
                # To a virtual one, in a file of its own.
                with h5py.File("joined.h5", "w") as joined:
                    joined.create_virtual_dataset("half", layout).attrs.update(attributes)
                root[name] = h5py.ExternalLink("joined.h5", "half")
    (tmp_path / "there").mkdir()
    assert cluster("dense.h5ad", "there/out.h5ad") == cli.OK
    out = ad.read_h5ad("there/out.h5ad")
    np.testing.assert_array_equal(out.X, dense.X)
    np.testing.assert_array_equal(out.layers["half"], dense.layers["half"])


@pytest.mark.parametrize("ending", [".h5ad", ".zarr"])
@pytest.mark.parametrize("target", ["out.h5ad", "out.zarr"])
def test_a_file_that_is_replaced_meanwhile(cells, capsys, monkeypatch, ending, target):
    fit = tl.fit_model

    def replace(adata, *args, **kwargs):
        model = fit(adata, *args, **kwargs)
        other = cells[::-1].copy()
        Path(f"in{ending}").rename(f"before{ending}")
        (other.write_zarr if ending == ".zarr" else other.write_h5ad)(f"in{ending}")
        return model

    monkeypatch.setattr(tl, "fit_model", replace)
    assert cluster(f"in{ending}", target) != cli.OK
    assert "holds other cells than when it was read" in capsys.readouterr().err
    assert not Path(target).exists()


def test_a_link_within_a_file_stays_one(cells):
    with h5py.File("in.h5ad", "r+") as root:
        root["layers/same"] = h5py.SoftLink("/X")
    assert cluster("in.h5ad", "out.h5ad") == cli.OK
    with h5py.File("out.h5ad") as root:
        assert isinstance(root["layers"].get("same", getlink=True), h5py.SoftLink)
    np.testing.assert_array_equal(ad.read_h5ad("out.h5ad").layers["same"].toarray(), cells.X.toarray())


@pytest.mark.filterwarnings("ignore:Transforming to str index")
def test_numbers_as_names_of_cells_and_links_in_other_files(cells, tmp_path):
    """As other programs write them."""
    with h5py.File("in.h5ad", "r+") as root, h5py.File("values.h5", "w") as values:
        index = root["obs"].attrs["_index"]
        attributes = {"encoding-type": "array", "encoding-version": "0.2.0"}
        del root["obs"][index]
        root["obs"].create_dataset(index, data=np.arange(240)).attrs.update(attributes)
        values.create_group("there").attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        values["there/numbers"] = np.arange(3)
        values["there/numbers"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        values["there/same"] = h5py.SoftLink("/there/numbers")
        root["uns/more"] = h5py.ExternalLink("values.h5", "there")
    assert cluster("in.h5ad", "out.h5ad") == cli.OK
    (tmp_path / "values.h5").unlink()
    with h5py.File("out.h5ad") as root:
        np.testing.assert_array_equal(root["uns/more/same"], np.arange(3))
    assert ad.read_h5ad("out.h5ad").obs["fcmi"].notna().all()


def test_a_file_that_is_being_written(cells, capsys):
    write = "import h5py, time; f = h5py.File('in.h5ad', 'r+'); print('open', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", write], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "open\n"
        assert cluster("in.h5ad", "out.h5ad") == cli.FAILURE
        writer.kill()
    assert "'in.h5ad' is locked: another program is writing to it" in capsys.readouterr().err


def test_a_name_that_the_terminal_cannot_print(cells, tmp_path):
    command = [
        sys.executable,
        "-m",
        "scfcmi",
        "cluster",
        "in.h5ad",
        "--batch-key",
        "tech",
        "--max-epochs",
        "2",
        "-o",
        "β.h5ad",
    ]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "latin1"}, check=False)
    assert done.returncode == 0
    assert b"\\u03b2.h5ad" in done.stdout
    assert (tmp_path / "β.h5ad").exists()
