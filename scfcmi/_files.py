"""Files and folders that are whole or absent, never half written.

A temporary file or folder stands beside what it will replace. Its name says which process on which machine writes it, so
that the next writer of the same target knows what a killed process left behind, and removes it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Names of files have at most 255 bytes.
_LONGEST_STEM = 150
# Names of temporary files that this process is writing now. A file with its number that is not among them is left over from
# an earlier process: in a container, each run may have the number 1.
_ours: set[str] = set()


@contextmanager
def damage_told(name: str, words: str = "cannot be read", question: str = "Is the file whole?") -> Iterator[None]:
    """Name a file, or a part of it, that cannot be read: for a damaged one, h5py and zarr raise many kinds of error.

    Parameters
    ----------
    name
        What is read.
    words, question
        What the message says of it, and asks.

    Raises
    ------
    MemoryError
        If memory does not suffice.
    OSError
        What the operating system says: the disk fails, or the file may not be read.
    ValueError
        For all else.
    """
    try:
        yield
    except Exception as error:
        # HDF5 has no MemoryError.
        if isinstance(error, MemoryError) or "memory allocation failed" in str(error):
            msg = f"{name} does not fit into memory, or is damaged and claims more than it holds: {error}"
            raise MemoryError(msg) from error
        # A number comes from the operating system.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        msg = f"{name} {words} ({type(error).__name__}: {error}). {question}"
        raise ValueError(msg) from error


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place on success and is removed on any failure.

    The temporary name keeps the suffix, by which writers choose their format.
    """
    path = Path(path)
    tidy(path)
    with _temporary(path) as temporary:
        temporary.touch(exist_ok=False)
        # As readable as what it replaces, or as any other new file, whatever the writer makes of it.
        mode = (path if path.exists() else temporary).stat().st_mode & 0o777
        temporary.chmod(mode)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that takes its place on success and is removed on any failure.

    A folder cannot replace another in one step. What is at ``path`` is moved away first and removed last; if the process
    is killed between the two steps, :func:`tidy` brings it back.
    """
    path = Path(path)
    tidy(path)
    with _temporary(path) as temporary:
        temporary.mkdir()
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o777)
        yield temporary
        if not os.path.lexists(path):
            temporary.replace(path)
            return
        old = _name(path, "old")
        _ours.add(old.name)
        try:
            path.replace(old)
            temporary.replace(path)
        finally:
            if os.path.lexists(path):
                _remove(old)
            else:
                old.replace(path)
            _ours.discard(old.name)


def tidy(path: str | os.PathLike[str]) -> None:
    """Remove temporary files and folders of ``path`` whose process is gone; bring back what it had moved away."""
    path = Path(path)
    pattern = re.compile(re.escape(_start(path)) + r"(new|old)-(\d+)-[0-9a-f]+" + re.escape(path.suffix))
    try:
        names = [there.name for there in path.parent.iterdir()]
    except OSError:
        # Not there, or not to be listed: what is wrong with the folder shows when it is written to.
        return
    for found in filter(None, map(pattern.fullmatch, names)):
        left, kind, process = path.parent / found[0], found[1], int(found[2])
        if left.name in _ours or (process != os.getpid() and _runs(process)):
            continue
        # It may belong to another user.
        with suppress(OSError):
            if kind == "old" and not os.path.lexists(path):
                left.replace(path)
            else:
                _remove(left)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield a name that nothing has; whatever has it at the end is removed."""
    temporary = _name(path, "new")
    _ours.add(temporary.name)
    try:
        yield temporary
    finally:
        _remove(temporary)
        _ours.discard(temporary.name)


def _name(path: Path, kind: str) -> Path:
    return path.parent / f"{_start(path)}{kind}-{os.getpid()}-{secrets.token_hex(4)}{path.suffix}"


def _start(path: Path) -> str:
    """Return what the names of all temporary paths of ``path`` on this machine start with."""
    stem = path.stem
    if len(os.fsencode(stem)) > _LONGEST_STEM:
        stem = hashlib.sha256(os.fsencode(stem)).hexdigest()
    return f".{stem}-scfcmi-{zlib.crc32(platform.node().encode()):08x}-"


def _runs(process: int) -> bool:
    # Signal 0 asks on POSIX only; elsewhere it would end the process.
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
