"""Whether a file is the one its manifest describes."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from scfcmi.datasets._archive import Archive

if TYPE_CHECKING:
    from pathlib import Path

    from scfcmi.datasets._manifest import File

_IMAGES = (".jpg", ".jpeg", ".png", ".bmp")

_BLOCK = 1 << 20
# Bytes that a .gz may hold. The largest of a known data set has 1 GB.
_LARGEST_CONTENT = 4 << 30
_LFS = b"version https://git-lfs.github.com/spec/"


class Verdict(NamedTuple):
    """What is wrong with a file, in words, ``None`` if it is good; and what it was held against."""

    fault: str | None
    basis: str


def examine(path: Path, file: File) -> Verdict:
    """Hold the file, or folder of images, at ``path`` against its manifest.

    Where no checksum is known, the archive's own must do, and the size if known.
    """
    if path.is_dir():
        return Verdict(None if images_in(path) else "holds no images", "number of images")
    with path.open("rb") as stream:
        if stream.read(len(_LFS)) == _LFS:
            words = "is a Git LFS pointer, three lines that stand for the data (run `git lfs pull`, or have it fetched)"
            return Verdict(words, "first bytes")
    fault = None
    if file.checksum is not None:
        with path.open("rb") as stream:
            found = digest(stream, file.checksum.partition(":")[0], path.stat().st_size)
        if found == file.checksum:
            return Verdict(None, found.partition(":")[0])
        fault = f"has checksum {found} instead of {file.checksum}"
    if file.payload is not None:
        return Verdict(_payload_fault(path, file.payload), f"{file.payload.partition(':')[0]} of the content")
    if fault is not None:
        return Verdict(fault, "checksum")
    basis = "checksums of members" if file.members else "own consistency (no checksum is known)"
    return Verdict(_own_fault(path, file), basis)


def miscount(path: Path, file: File) -> str | None:
    """Return in words by how much a folder of images, or a text, is not the published one; ``None`` if it is."""
    if file.count is None:
        return None
    if path.is_dir():
        found, what = len(images_in(path)), "images"
    else:
        with path.open("rb") as stream:
            found, what = sum(1 for line in stream if line.strip()), "lines"
    return None if found == file.count else f"has {found} {what} instead of {file.count}"


def images_in(folder: Path) -> list[Path]:
    """Return the images in the folders of a folder, in alphabetical order."""
    return sorted(path for path in folder.glob("*/*") if path.suffix.lower() in _IMAGES)


def digest(stream: BinaryIO, kind: str, size: int = 0) -> str:
    """Return ``kind:hexadecimal`` of what is left in ``stream``; only ``git_blob`` asks for its size in bytes."""
    if kind == "git_blob":
        # SHA-1 is git's choice, here no matter of security.
        state = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    else:
        state = hashlib.new(kind, usedforsecurity=False)
    while block := stream.read(_BLOCK):
        state.update(block)
    return f"{kind}:{state.hexdigest()}"


class _Limited:
    """A stream that ends in an error where it is longer than any that is known: a thousand bytes decompress to a million."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._left = stream, _LARGEST_CONTENT

    def read(self, size: int) -> bytes:
        block = self._stream.read(size)
        self._left -= len(block)
        if self._left < 0:
            msg = f"holds more than {_LARGEST_CONTENT} bytes"
            raise ValueError(msg)
        return block


def _payload_fault(path: Path, payload: str) -> str | None:
    try:
        with gzip.open(path) as stream:
            found = digest(_Limited(stream), payload.partition(":")[0])
    except (EOFError, OSError, ValueError, zlib.error) as error:
        return f"cannot be decompressed ({error})"
    return None if found == payload else f"decompresses to checksum {found} instead of {payload}"


def _own_fault(path: Path, file: File) -> str | None:
    size = path.stat().st_size
    if size == 0 or file.size not in (None, size):
        return f"has {size} bytes instead of {file.size or 'some'}"
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                limited = _Limited(stream)
                while limited.read(_BLOCK):
                    pass
        elif path.suffix == ".zip":
            return _member_fault(path, file)
    except (EOFError, OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        return f"is damaged ({error})"
    return None


def _member_fault(path: Path, file: File) -> str | None:
    with Archive(path) as archive:
        for end, checksums in file.members.items():
            found = [
                digest(archive.open(end), kind, archive.size(end))
                for kind in sorted({checksum.partition(":")[0] for checksum in checksums})
            ]
            if not set(found) & set(checksums):
                return f"has {end} with checksum {found[0]} instead of {' or '.join(checksums)}"
    return None
