"""Hostile archives, and honest ones that are damaged."""

from __future__ import annotations

import hashlib
import stat
import zipfile

import pytest

from scfcmi.datasets import _archive
from scfcmi.datasets._archive import Archive
from scfcmi.datasets._check import examine
from scfcmi.datasets._manifest import File


def make(path, members: dict[str, bytes], **attributes) -> zipfile.ZipFile:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../x.txt",
        "a/../../x.txt",
        "/etc/passwd",
        "C:\\x.txt",
        "C:x.txt",
        "..\\x.txt",
        "a\\..\\..\\x.txt",
        "\\\\host\\x.txt",
    ],
)
def test_no_path_leaves_the_folder(tmp_path, name):
    path = make(tmp_path / "a.zip", {"train/X_train.txt": b"1", name: b"2"})
    with pytest.raises(ValueError, match="would leave the folder"):
        Archive(path)
    assert "would leave the folder" in examine(path, File("part", "a.zip")).fault
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_no_links(tmp_path):
    path = make(tmp_path / "a.zip", {"link": b"/etc/passwd"}, external_attr=(stat.S_IFLNK | 0o777) << 16)
    with pytest.raises(ValueError, match="'link' is a link"):
        Archive(path)


def test_no_giants(tmp_path, monkeypatch):
    monkeypatch.setattr(_archive, "_LARGEST", 1000)
    path = make(tmp_path / "a.zip", {"x.txt": bytes(1001)})
    with pytest.raises(ValueError, match=r"'x.txt' declares 1001 bytes, more than 1000"):
        Archive(path)


def test_no_member_exceeds_its_declared_size(tmp_path):
    path = make(tmp_path / "a.zip", {"x.txt": bytes(100_000)})
    honest = path.read_bytes()
    # Both headers say ten bytes; the stream holds a hundred thousand.
    path.write_bytes(honest.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with Archive(path) as archive, archive.open("x.txt") as stream:
        assert archive.size("x.txt") == 10
        with pytest.raises(zipfile.BadZipFile, match="CRC"):
            stream.read()


def test_no_encryption(tmp_path):
    path = make(tmp_path / "a.zip", {"x.txt": b"1"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"'x.txt' is encrypted"):
        Archive(path)


def test_members_are_found_by_the_end_of_their_name(tmp_path):
    names = ["a b/train/X.txt", "a b/test/X.txt", "a b/train/AX.txt", "__MACOSX/a b/train/X.txt", "a b/"]
    path = make(tmp_path / "a.zip", {name: name.encode() for name in names})
    with Archive(path) as archive:
        assert archive.open("train/X.txt").read() == b"a b/train/X.txt"
        with pytest.raises(ValueError, match=r"2 members end in 'X.txt'"):
            archive.open("X.txt")
        with pytest.raises(ValueError, match=r"0 members end in 'y.txt'"):
            archive.size("y.txt")


def test_checksums_of_members(tmp_path):
    path = make(tmp_path / "a.zip", {"a b/X.txt": b"1 2\r\n"})
    # As `git hash-object` computes it.
    blob = "git_blob:" + hashlib.sha1(b"blob 5\x001 2\r\n").hexdigest()
    other = "git_blob:" + "0" * 40
    assert examine(path, File("part", "a.zip", members={"X.txt": (other, blob)})).fault is None
    assert "has X.txt with checksum" in examine(path, File("part", "a.zip", members={"X.txt": (other,)})).fault
    assert "0 members end in" in examine(path, File("part", "a.zip", members={"Y.txt": (blob,)})).fault


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04half"])
def test_damaged(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    fault = examine(tmp_path / "a.zip", File("part", "a.zip")).fault
    assert "is damaged" in fault or "has 0 bytes" in fault
