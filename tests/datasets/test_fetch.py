from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scfcmi.datasets import _fetch
from scfcmi.datasets._fetch import data_folder, fetch, obtain
from scfcmi.datasets._manifest import File, parse
from scfcmi.errors import ChecksumError, DatasetUnavailableError

CONTENT = np.random.default_rng(0).bytes(700_000)


@pytest.fixture
def file(server, checksum):
    """A file whose only source is the server; ``answers`` are those of its source."""

    def make(*answers: str, content: bytes = CONTENT, mirrors: tuple[str, ...] = ()) -> File:
        url = server.put("data.bin", content, *answers)
        return File("part", "folder/data.bin", urls=(url, *mirrors), checksum=checksum(CONTENT))

    return make


def get(file: File, folder: Path) -> bytes:
    path = fetch(file, folder / file.path, progress=False)
    left = {p.name for p in path.parent.iterdir()} - {f".{path.name}.lock"}
    assert left == {"data.bin"}
    return path.read_bytes()


def test_success(file, server, tmp_path):
    assert get(file(), tmp_path) == CONTENT
    assert get(file(), tmp_path) == CONTENT
    assert server.requests == [("data.bin", None)]


def test_progress_bar(file, tmp_path, capsys):
    fetch(file(), tmp_path / "data.bin", progress=True)
    assert "folder/data.bin: 100%" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answers", "n_requests"),
    [
        (["busy", "resumable"], 2),
        (["busy", "cut", "whole"], 3),
        (["cut", "resumable"], 2),
        (["cut", "elsewhere", "resumable"], 3),
    ],
)
def test_failures_that_pass(file, server, tmp_path, answers, n_requests):
    assert get(file(*answers), tmp_path) == CONTENT
    assert len(server.requests) == n_requests


def test_redirect(file, server, tmp_path):
    server.put("target", CONTENT)
    assert get(file("redirect"), tmp_path) == CONTENT


def test_interrupted_then_resumed(file, server, tmp_path, monkeypatch):
    monkeypatch.setattr(_fetch, "_ATTEMPTS", 1)
    with pytest.raises(DatasetUnavailableError, match=r"data.bin cannot be had"):
        fetch(file("cut"), tmp_path / "folder" / "data.bin")
    half = (tmp_path / "folder" / ".data.part.bin").stat().st_size
    assert 0 < half < len(CONTENT)
    assert get(file(), tmp_path) == CONTENT
    assert server.requests[-1] == ("data.bin", f"bytes={half}-")


def test_what_was_whole_is_not_asked_for_again(file, server, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ".data.part.bin").write_bytes(CONTENT)
    assert get(file(), tmp_path) == CONTENT
    assert not server.requests


@pytest.mark.parametrize("answer", ["resumable", "whole", "elsewhere"])
@pytest.mark.parametrize("left", [b"of another file", CONTENT[:1000], CONTENT + b"more"])
def test_whatever_an_interrupt_left(file, tmp_path, answer, left):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ".data.part.bin").write_bytes(left)
    assert get(file(answer, "resumable"), tmp_path) == CONTENT


@pytest.mark.parametrize(
    ("answer", "content", "error", "words"),
    [
        ("missing", CONTENT, DatasetUnavailableError, "404"),
        ("busy", CONTENT, DatasetUnavailableError, "503"),
        ("cut", CONTENT, DatasetUnavailableError, "IncompleteRead"),
        ("whole", b"something else", ChecksumError, "has checksum sha256:.* instead of sha256:"),
        ("whole", b"version https://git-lfs.github.com/spec/v1\noid", ChecksumError, "is a Git LFS pointer"),
    ],
)
def test_failures_that_stay(file, server, tmp_path, answer, content, error, words):
    with pytest.raises(error, match=words):
        fetch(file(answer, content=content), tmp_path / "data.bin")
    assert answer == "cut" or [p.name for p in tmp_path.iterdir()] == [".data.bin.lock"]
    # A mirror saves the day.
    mirror = server.put("mirror", CONTENT)
    assert get(file(answer, content=content, mirrors=(mirror,)), tmp_path) == CONTENT


def test_no_server(file, server, tmp_path):
    lost = File("part", "data.bin", urls=("http://127.0.0.1:1/data.bin",), checksum=file().checksum)
    with pytest.raises(DatasetUnavailableError, match="Connection"):
        fetch(lost, tmp_path / "data.bin")


def test_folder_that_cannot_be_written_to(file, tmp_path):
    (tmp_path / "folder").write_text("a file where a folder should be")
    with pytest.raises(DatasetUnavailableError, match=r"cannot write to .*; give another data_dir, or set SCFCMI"):
        fetch(file(), tmp_path / "folder" / "data.bin")


def test_two_processes_at_once(file, server, tmp_path):
    asked = file("slow")
    code = (
        "from pathlib import Path; from scfcmi.datasets._fetch import fetch; from scfcmi.datasets._manifest import File;"
        f"fetch({asked!r}, Path({str(tmp_path / 'folder' / 'data.bin')!r}))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert server.requests == [("data.bin", None)]
    assert (tmp_path / "folder" / "data.bin").read_bytes() == CONTENT


@pytest.fixture
def manifest(server, checksum):
    """Two parts: a download whose payload has a checksum, or something of the user's own; and a gift."""
    packed = gzip.compress(CONTENT, mtime=0)
    table = {
        "name": "toy",
        "version": 1,
        "title": "Toy",
        "citation": ["Nobody"],
        "license": "None",
        "terms": "None",
        "by_hand": "Ask nobody.",
        "expected": {"samples": 1, "groups": {"a": 1}},
        "files": [
            {
                "part": "data",
                "path": "toy/data.gz",
                "urls": [server.put("data.gz", packed)],
                "checksum": checksum(packed),
                "payload": checksum(CONTENT),
            },
            {"part": "data", "path": "toy/own.npz"},
            {"part": "gift", "path": "toy/gift.txt", "count": 2},
        ],
    }
    return parse(table, "toy")


def take(manifest, folder, *, download=True):
    return obtain(manifest, folder, download=download, progress=False)


def test_parts_and_alternatives(manifest, server, tmp_path):
    (tmp_path / "toy").mkdir()
    with pytest.raises(DatasetUnavailableError, match=r"toy/gift.txt is not in .* By hand: Ask nobody"):
        take(manifest, tmp_path)
    (tmp_path / "toy" / "gift.txt").write_text("one\ntwo\n")
    assert take(manifest, tmp_path)["data"].path == tmp_path / "toy" / "data.gz"
    (tmp_path / "toy" / "data.gz").unlink()
    with pytest.raises(DatasetUnavailableError, match=r"toy/data.gz or toy/own.npz is not .* scfcmi data fetch toy"):
        take(manifest, tmp_path, download=False)
    (tmp_path / "toy" / "own.npz").write_bytes(b"own")
    assert take(manifest, tmp_path)["data"].path == tmp_path / "toy" / "own.npz"
    (tmp_path / "toy" / "gift.txt").write_text("one\n")
    with pytest.warns(UserWarning, match=r"gift.txt has 1 lines instead of 2. Results will not compare"):
        take(manifest, tmp_path)


@pytest.mark.parametrize(
    "damage",
    [b"garbage", b"", gzip.compress(b"other"), gzip.compress(CONTENT)[:-9]],
    ids=["garbage", "empty", "other", "cut off"],
)
def test_corrupt_cache_is_noticed_and_repaired(manifest, server, tmp_path, damage):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "gift.txt").write_text("one\ntwo\n")
    path = tmp_path / "toy" / "data.gz"
    path.write_bytes(damage)
    with pytest.raises(ChecksumError, match=r"data.gz (cannot be decompressed|decompresses to checksum)"):
        take(manifest, tmp_path, download=False)
    assert path.read_bytes() == damage
    assert take(manifest, tmp_path)["data"].path == path
    assert gzip.decompress(path.read_bytes()) == CONTENT
    # Gzipped anew it is the same data.
    path.write_bytes(gzip.compress(CONTENT, compresslevel=1))
    n_requests = len(server.requests)
    take(manifest, tmp_path)
    assert len(server.requests) == n_requests


def test_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SCFCMI_DATA_DIR", str(tmp_path / "variable"))
    assert data_folder(None) == tmp_path / "variable"
    assert data_folder(str(tmp_path)) == tmp_path
    assert data_folder("~/x") == Path.home() / "x"
    monkeypatch.delenv("SCFCMI_DATA_DIR")
    assert data_folder(None).name == "scfcmi"
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="data_dir must be a folder"):
        data_folder(tmp_path / "file")
