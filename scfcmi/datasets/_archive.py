"""Zip archives of strangers: read member by member, never unpacked to a place of their choosing."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import PurePosixPath, PureWindowsPath
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

# The largest member of a known archive, X_train.txt of HAR, has 66 MB.
_LARGEST = 256 << 20
# Bytes: the list of members of that archive has less than 4 KB.
_LONGEST_LIST = 1 << 20
# The record that ends an archive: its signature, its length, and how long a comment may follow it.
_END, _END_SIZE, _LONGEST_COMMENT = b"PK\x05\x06", 22, 0xFFFF


class Archive:
    """A zip archive all of whose members are harmless.

    Members are asked for by the end of their name, such as ``train/X_train.txt``: the folders above differ between
    copies of an archive.

    Raises
    ------
    ValueError
        If a member's path is absolute or climbs with ``..``, a member is a link, is encrypted, or declares more than
        256 MiB, or there are a great many; on reading, if its content does not fit its declared size or checksum.
    """

    def __init__(self, path: Path) -> None:
        _check_length(path)
        self._zip = zipfile.ZipFile(path)
        try:
            self._members = [member for member in self._zip.infolist() if not member.is_dir()]
            for member in self._zip.infolist():
                _check(member)
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def open(self, end: str) -> IO[bytes]:
        """Open a member. More than its declared size is never read, and reading to the end checks its CRC."""
        return self._zip.open(self._find(end))

    def size(self, end: str) -> int:
        """Return a member's size in bytes."""
        return self._find(end).file_size

    def _find(self, end: str) -> zipfile.ZipInfo:
        wanted = PurePosixPath(end).parts
        found = [m for m in self._members if PurePosixPath(m.filename).parts[-len(wanted) :] == wanted]
        # Archives made on a Mac carry shadows of their members.
        found = [m for m in found if "__MACOSX" not in m.filename]
        if len(found) != 1:
            msg = f"{len(found)} members end in {end!r}, one was expected"
            raise ValueError(msg)
        return found[0]


def _check_length(path: Path) -> None:
    """Look at the length of the list of members before it is read: a million take minutes and gigabytes."""
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _END_SIZE - _LONGEST_COMMENT - 20))
        tail = stream.read()
    end = tail.rfind(_END)
    # Longer lists, and a second one that would be read in place of this, come with a record of 20 bytes before the end.
    is_long = tail[max(0, end - 20) : end].startswith(b"PK\x06\x07")
    if end >= 0 and (is_long or int.from_bytes(tail[end + 12 : end + 16], "little") > _LONGEST_LIST):
        msg = f"{path.name} has more members than any known archive"
        raise ValueError(msg)


def _check(member: zipfile.ZipInfo) -> None:
    # orig_filename: zipfile cuts names at a NUL.
    name = member.orig_filename
    windows = PureWindowsPath(name)
    if PurePosixPath(name).is_absolute() or windows.drive or windows.root or ".." in windows.parts or "\0" in name:
        msg = f"member {name!r} would leave the folder"
    elif stat.S_ISLNK(member.external_attr >> 16):
        msg = f"member {name!r} is a link"
    elif member.flag_bits & 0x1:
        msg = f"member {name!r} is encrypted"
    elif member.file_size > _LARGEST:
        msg = f"member {name!r} declares {member.file_size} bytes, more than {_LARGEST}"
    else:
        return
    raise ValueError(msg)
