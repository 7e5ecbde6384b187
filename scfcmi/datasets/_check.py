"""Whether a file is the one its manifest describes."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
import zlib
from typing import TYPE_CHECKING, BinaryIO

from scfcmi.datasets._archive import Archive

if TYPE_CHECKING:
    from pathlib import Path

    from scfcmi.datasets._manifest import File

_IMAGES = (".jpg", ".jpeg", ".png", ".bmp")

_BLOCK = 1 << 20
_LFS = b"version https://git-lfs.github.com/spec/"


def fault(path: Path, file: File) -> str | None:
    """Return what is wrong with the file at ``path``, in words; ``None`` if it is good.

    Where no checksum is known, the archive's own must do, and the size if known.
    """
    if path.is_dir():
        return None if images_in(path) else "holds no images"
    with path.open("rb") as stream:
        if stream.read(len(_LFS)) == _LFS:
            return "is a Git LFS pointer, three lines that stand for the data (run `git lfs pull`, or have it fetched)"
    if file.checksum is None and file.payload is None:
        return _own_fault(path, file)
    found = _file_digest(path, file.checksum) if file.checksum else None
    if found is not None and found == file.checksum:
        return None
    if file.payload is None:
        return f"has checksum {found} instead of {file.checksum}"
    try:
        with gzip.open(path) as stream:
            found = digest(stream, file.payload.partition(":")[0])
    except (EOFError, OSError, zlib.error) as error:
        return f"cannot be decompressed ({error})"
    return None if found == file.payload else f"decompresses to checksum {found} instead of {file.payload}"


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


def _file_digest(path: Path, checksum: str) -> str:
    with path.open("rb") as stream:
        return digest(stream, checksum.partition(":")[0], path.stat().st_size)


def _own_fault(path: Path, file: File) -> str | None:
    size = path.stat().st_size
    if size == 0 or file.size not in (None, size):
        return f"has {size} bytes instead of {file.size or 'some'}"
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                while stream.read(_BLOCK):
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
