"""An output that is another path of the command, by whatever name, or that cannot be written: refused before any work."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

import scfcmi
from scfcmi import cli
from scfcmi.cli import _written
from scfcmi.cli._files import Input, Output, check_paths, write_outputs

pytestmark = pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")


@pytest.fixture
def folder(small, tmp_path, monkeypatch):
    """A folder with cells, a model, links to the cells, a folder and a link to nothing."""
    monkeypatch.chdir(tmp_path)
    small.write_h5ad("in.h5ad")
    (tmp_path / "model").write_bytes(b"a model")
    (tmp_path / "sub").mkdir()
    (tmp_path / "folder.h5ad").mkdir()
    (tmp_path / "link.h5ad").symlink_to("in.h5ad")
    (tmp_path / "link").symlink_to(tmp_path / "in.h5ad")
    os.link("in.h5ad", "hard")
    (tmp_path / "to_sub").symlink_to("sub")
    (tmp_path / "dangling.h5ad").symlink_to("nothing.h5ad")
    os.mkfifo("pipe")
    return tmp_path


@pytest.fixture
def no_work(monkeypatch):
    def fail(*_args, **_kwargs):
        pytest.fail("the paths are wrong, but cells or a model were read")

    for name in ("read_h5ad", "read_zarr"):
        monkeypatch.setattr(ad, name, fail)
    monkeypatch.setattr(scfcmi, "load_model", fail)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


CLUSTER = ["cluster", "in.h5ad", "--batch-key", "tech", "--max-epochs", "2"]
ASSIGN = ["assign", "model", "in.h5ad"]
EVALUATE = ["evaluate", "--batch-key", "tech"]
HISTORY = ["plot", "history", "in.h5ad"]
O, M, C, W = "-o", "--save-model", "--checkpoint", "--overwrite"


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        # An output is an input, under any name, with leave to overwrite or without.
        ([*CLUSTER, O, "out.h5ad", M, "in.h5ad"], "--save-model"),
        ([*CLUSTER, O, "out.h5ad", M, "link"], "--save-model 'link' is IN.h5ad as well"),
        ([*CLUSTER, O, "out.h5ad", M, "hard"], "--save-model 'hard' is IN.h5ad as well"),
        ([*CLUSTER, O, "out.h5ad", M, "hard", W], "--save-model 'hard' is IN.h5ad as well"),
        ([*CLUSTER, O, "out.h5ad", C, "sub/../link", W], "--checkpoint 'sub/../link' is IN.h5ad as well"),
        ([*CLUSTER, O, "sub/../in.h5ad"], "--output is the input, 'in.h5ad'. Name another file, or add --overwrite"),
        ([*CLUSTER, O, "link.h5ad"], "--output is the input"),
        # Two outputs are one file, there or not.
        ([*CLUSTER, O, "out.h5ad", M, "out.h5ad"], "--save-model"),
        ([*CLUSTER, O, "new.h5ad", M, "m", C, "m"], "--checkpoint 'm' is --save-model as well"),
        ([*CLUSTER, O, "new.h5ad", M, "sub/m", C, "to_sub/../sub/m", W], "is --save-model as well"),
        ([*CLUSTER, O, "new.h5ad", M, "sub/m", C, "to_sub/m"], "--checkpoint 'to_sub/m' is --save-model as well"),
        ([*CLUSTER, O, "nothing.h5ad", M, "dangling.h5ad", W], "--save-model"),
        # What exists stays.
        ([*CLUSTER, O, "new.h5ad", M, "model"], "--save-model 'model' exists. Name another file, or add --overwrite"),
        ([*CLUSTER, O, "dangling.h5ad"], "--output 'dangling.h5ad' exists"),
        ([*ASSIGN, O, "in.h5ad"], "--output is the input"),
        # Folders, devices, endings.
        ([*CLUSTER, O, "folder.h5ad", W], "--output 'folder.h5ad' is a folder"),
        ([*CLUSTER, O, "new.h5ad", M, "sub"], "--save-model 'sub' is a folder"),
        ([*CLUSTER, O, "new.h5ad", M, "pipe", W], "--save-model 'pipe' is no file"),
        ([*CLUSTER, O, "new.h5ad", M, "none/m"], "--save-model is in a folder that does not exist: 'none'"),
        ([*CLUSTER, O, "new.h5ad", C, "model/m"], "--checkpoint 'model/m' is in 'model', which is no folder"),
        ([*CLUSTER, O, "new.h5ad", M, "m.h5ad"], "--save-model 'm.h5ad' ends as a file of cells does"),
        ([*ASSIGN, O, "model", W], "--output must end in"),
        (["assign", "none", "in.h5ad", O, "new.h5ad"], "MODEL: no file at 'none'"),
        (["assign", "in.h5ad", "none.h5ad", O, "new.h5ad"], "IN.h5ad: no file at 'none.h5ad'"),
        (["assign", "model", "folder.h5ad", O, "new.h5ad"], "IN.h5ad: no file at 'folder.h5ad', which is a folder"),
        ([*EVALUATE, "none.h5ad"], "IN.h5ad: no file at 'none.h5ad'"),
        ([*HISTORY, O, "none/a.png"], "--output is in a folder that does not exist"),
        (["plot", "benchmark", "in.h5ad", O, "a.png"], "DIR: no folder at 'in.h5ad', which is a file"),
        (["benchmark", O, "model"], "--output 'model' must be a folder, but 'model' is a file"),
        (["benchmark", "table", "2", O, "model/x"], "--output 'model/x' must be a folder, but '"),
        (["benchmark", "report", "none"], "DIR: no folder at 'none'"),
        (["report", "in.h5ad", O, "in.h5ad", W], "--output must end in one of"),
        (["report", "in.h5ad", O, "none/a.html"], "--output is in a folder that does not exist"),
        (["report", "none.h5ad", O, "a.html"], "OUT.h5ad: no file at 'none.h5ad'"),
        (["demo", O, "model"], "--output-dir 'model' must be a folder"),
    ],
)
def test_refused_before_any_work(folder, capsys, arguments, words):
    before = contents(folder)
    assert cli.main(arguments) == cli.WRONG_USE
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert contents(folder) == before


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("arguments", [[*HISTORY, O, "old.png"], ["demo", O, "."]])
def test_pictures_that_exist_stay(folder, capsys, arguments):
    for name in ("old.png", "demo.png"):
        (folder / name).write_bytes(b"mine")
    assert cli.main(arguments) == cli.WRONG_USE
    assert "exists. Name another file, or add --overwrite" in capsys.readouterr().err
    assert (folder / arguments[-1] / "demo.png" if arguments[-1] == "." else folder / "old.png").read_bytes() == b"mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.usefixtures("no_work")
def test_write_protected_for_a_user(folder, capsys):
    (folder / "sub").chmod(0o500)
    assert cli.main([*CLUSTER, O, "sub/out.h5ad"]) == cli.WRONG_USE
    (folder / "model").chmod(0o400)
    assert cli.main([*CLUSTER, O, "out.h5ad", M, "model", W]) == cli.WRONG_USE
    assert capsys.readouterr().err.count("write-protected") == 2


@pytest.mark.usefixtures("no_work")
def test_write_protected(folder, capsys, monkeypatch):
    """As a user that is not root would see it."""
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and allowed(path, mode))
    for arguments in ([*CLUSTER, O, "sub/out.h5ad"], [*CLUSTER, O, "in.h5ad", W], ["benchmark", O, "sub/results"]):
        assert cli.main(arguments) == cli.WRONG_USE
        assert "write-protected" in capsys.readouterr().err


def test_what_is_named_is_overwritten(folder):
    """The cells may be replaced, a checkpoint may be there already, and a link is replaced, not what it leads to."""
    before = (folder / "in.h5ad").read_bytes()
    paper = [*CLUSTER, "--mode", "paper", "--n-clusters", "3", C, "checkpoint"]
    assert cli.main([*paper, O, "link.h5ad", M, "model", W]) == cli.OK
    assert (folder / "in.h5ad").read_bytes() == before
    assert not (folder / "link.h5ad").is_symlink()
    assert scfcmi.load_model("model").n_clusters_ == 3
    assert cli.main([*paper, O, "in.h5ad", W]) == cli.OK
    assert np.array_equal(ad.read_h5ad("in.h5ad").obs["fcmi"], ad.read_h5ad("link.h5ad").obs["fcmi"])


@pytest.mark.parametrize(("failing", "kept"), [("model", "out.h5ad"), ("out.h5ad", "model")])
def test_one_output_fails_and_the_other_is_written(folder, capsys, monkeypatch, failing, kept):
    (folder / "model").unlink()

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    target = (_written, "_put") if failing == "out.h5ad" else (scfcmi.AtlasFCMI, "save")
    monkeypatch.setattr(*target, fail)
    assert cli.main([*CLUSTER, O, "out.h5ad", M, "model"]) == cli.FAILURE
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"'{failing}' could not be written: OSError: [Errno 28] No space left on device. Written: " in error
    assert error.endswith(f"{kept}'")
    assert (folder / kept).exists()
    assert not (folder / failing).exists()


@pytest.mark.parametrize("size", [150_000, *(pytest.param(size, marks=pytest.mark.slow) for size in (20_480, 716_800))])
def test_a_limit_of_file_size(folder, size):
    """HDF5, left alone, prints hundreds of lines and crashes when the process ends."""
    cells = ad.read_h5ad("in.h5ad")
    cells.layers["large"] = np.random.default_rng(0).random(cells.shape)
    cells.obsm["large"] = np.random.default_rng(0).random((cells.n_obs, 500))
    cells.write_h5ad("large.h5ad", compression="gzip")
    words = [
        *(sys.executable, "-m", "scfcmi", "cluster", "large.h5ad", "--batch-key", "tech", "--max-epochs", "2"),
        *("--mode", "atlas", "--n-components", "5", O, "out.h5ad", M, "small_model", "--n-clusters", "3"),
    ]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    errors = [line for line in done.stderr.splitlines() if not line.startswith("scfcmi: warning")]
    assert done.returncode == cli.FAILURE, done.stderr
    assert len(errors) == 1, done.stderr
    assert "--output 'out.h5ad' could not be written" in errors[0]
    assert not (folder / "out.h5ad").exists()
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_an_output_is_written_whatever_another_raises():
    written = []

    def fail():
        raise RuntimeError("no room")

    with pytest.raises(OSError, match=r"--a 'a' could not be written: RuntimeError: no room. Written: --b 'b'"):
        write_outputs([("--a", Path("a"), fail), ("--b", Path("b"), lambda: written.append(1))])
    assert written == [1]


def test_a_folder_that_is_no_store_is_not_replaced(tmp_path):
    (tmp_path / "mine.zarr").mkdir()
    with pytest.raises(ValueError, match="exists and is no zarr store"):
        check_paths([], [Output("--output", tmp_path / "mine.zarr", (".zarr",))], overwrite=True)


def test_a_store_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "cells.zarr").write_text("")
    with pytest.raises(FileNotFoundError, match=r"no folder at .*, which is a file"):
        check_paths([Input("IN.h5ad", tmp_path / "cells.zarr", (".h5ad", ".zarr"))], [], overwrite=False)


def test_what_was_wrong_with_the_input_is_a_value_error():
    def fail():
        raise ValueError("it was replaced")

    with pytest.raises(ValueError, match="could not be written: ValueError: it was replaced"):
        write_outputs([("--output", Path("a"), fail)])
