from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from scfcmi import cli
from scfcmi.datasets import _fetch
from scfcmi.datasets._manifest import NAMES
from scfcmi.errors import ChecksumError


def run(*arguments) -> int:
    return cli.main(["data", *map(str, arguments)])


def lines(capsys) -> list[list[str]]:
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_nothing_here(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SCFCMI_DATA_DIR", str(tmp_path / "none"))
    assert run("list") == cli.OK
    out = capsys.readouterr().out
    assert f"Data folder: {tmp_path / 'none'}" in out
    assert [line.split()[0] for line in out.splitlines()[3:-2]] == list(NAMES)
    assert "office31       3612     2       31      no    hand" in out
    assert "pancreas       14767    5       ?       no    fetch" in out
    assert run("verify") == cli.OK
    assert {row[-1] for row in lines(capsys)[1:]} == set(NAMES)
    assert run("path", "har") == cli.OK
    assert capsys.readouterr().out == f"{tmp_path / 'none' / 'har' / 'UCI HAR Dataset.zip'}\n"
    assert list(tmp_path.iterdir()) == []


def test_info(capsys, tmp_path):
    for name in NAMES:
        assert run("info", name, "--data-dir", tmp_path) == cli.OK
        out = capsys.readouterr().out
        assert "Terms" in out
        assert "(missing)" in out
    assert run("info", "mouse_atlas") == cli.OK
    out = capsys.readouterr().out
    for words in (
        "Groups    Batch1 4239, Batch2 2715",
        "B-cell 1106",
        "97,901 bytes",
        "git_blob:3ec1646d",
        "Genome Biology",
    ):
        assert words in out


@pytest.mark.parametrize("verb", ["info", "fetch", "verify", "path"])
def test_wrong_name(verb, capsys):
    assert run(verb, "mnsit") == cli.WRONG_USE
    error = capsys.readouterr().err
    assert error.startswith("scfcmi: error: Unknown dataset 'mnsit'. Did you mean 'mnist_usps'? Available: [")
    assert error.count("\n") == 1


def test_fetch(tmp_path, monkeypatch, capsys):
    given = []

    def obtain(manifest, folder, **how):
        given.append((manifest.name, folder, how["download"]))
        return {"x": SimpleNamespace(path=tmp_path / "x.gz")}

    monkeypatch.setattr(_fetch, "obtain", obtain)
    assert run("fetch", "har", "--data-dir", tmp_path) == cli.OK
    assert given == [("har", str(tmp_path), True)]
    assert capsys.readouterr().out == f"{tmp_path / 'x.gz'}\n"

    def fail(*_args, **_kwargs):
        msg = "har: x.gz is damaged.\nBy hand: ask nobody."
        raise ChecksumError(msg)

    monkeypatch.setattr(_fetch, "obtain", fail)
    assert run("fetch", "har", "--data-dir", tmp_path) == cli.FAILURE
    assert capsys.readouterr().err == "scfcmi: error: ChecksumError: har: x.gz is damaged. By hand: ask nobody.\n"


def test_verify_goes_on_after_a_table_it_cannot_read(tmp_path, capsys):
    path = tmp_path / "human_dc" / "sample_sm_uc3.txt.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(b"cell\tbatch\nc1\tBatch1\n"))
    assert run("verify", "--data-dir", tmp_path) == cli.FAILURE
    rows = lines(capsys)
    assert [row[:3] for row in rows if "WRONG" in row] == [["human_dc", "counts", "WRONG"]]
    assert rows[-1][0] == "pancreas"


def test_listing_is_quick():
    code = (
        "import sys; from scfcmi import cli; cli.main(['data', 'list']); cli.main(['data', 'info', 'har']);"
        "print([m for m in ('torch', 'scanpy', 'anndata', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_verify_real_data(data_dir, capsys, tmp_path):
    assert run("verify") == cli.OK
    rows = lines(capsys)
    counts = {row[0]: row for row in rows if row[1] == "counts"}
    assert {name for name, row in counts.items() if row[2] == "ok"} >= {
        "mnist_usps",
        "reverse_mnist",
        "har",
        "mouse_atlas",
    }
    assert "WRONG" not in {word for row in rows for word in row}

    # A copy with one byte changed is noticed.
    copy = tmp_path / "har" / "har561.npz"
    copy.parent.mkdir()
    shutil.copyfile(data_dir / "har" / "har561.npz", copy)
    with copy.open("r+b") as file:
        file.seek(10_000_000)
        byte = file.read(1)
        file.seek(10_000_000)
        file.write(bytes([byte[0] ^ 1]))
    assert run("verify", "har", "--data-dir", tmp_path) == cli.FAILURE
    captured = capsys.readouterr()
    assert "har/har561.npz  WRONG  has checksum sha256:" in captured.out
    assert "ChecksumError: 1 of 1 checks failed" in captured.err
    assert run("list") == cli.OK
    listed = {row[0]: row[4:6] for row in lines(capsys) if row and row[0] in NAMES}
    assert listed["har"][0] == "yes"
    assert listed["mouse_atlas"] == ["1", "of"]
