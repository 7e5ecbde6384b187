"""What commands share: arguments that name files, checks of all of them, outputs, and a table of scores."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from scfcmi._files import tidy
from scfcmi.cli._cells import is_store, modalities_error

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Sequence

    import pandas as pd

CELLS = (".h5ad", ".zarr")


@dataclass(frozen=True)
class Input:
    """A path that a command reads."""

    argument: str
    path: Path
    endings: Collection[str] = ()
    folder: bool = False
    """Whether it is a folder, and not a file."""


@dataclass(frozen=True)
class Output:
    """A path that a command writes."""

    argument: str
    path: Path
    endings: Collection[str] = ()
    """One of these ends the name. Without any, all may but those of cells."""
    replaces: Input | None = None
    """The input that it may be, with ``--overwrite``."""
    continues: bool = False
    """Whether the command goes on from what is there, so that it may exist."""


def add_input(parser: argparse.ArgumentParser, metavar: str = "IN.h5ad", **more: str) -> None:
    """Add the file to read, as ``options.input``."""
    parser.add_argument("input", type=Path, metavar=metavar, **more)


def add_output(parser: argparse.ArgumentParser, metavar: str = "OUT.h5ad") -> None:
    """Add the file to write, as ``options.output``, and the leave to replace one, as ``options.overwrite``."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar=metavar, help="file to write")
    add_overwrite(parser)


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add the leave to replace what exists, as ``options.overwrite``."""
    parser.add_argument("--overwrite", action="store_true", help="replace output files that exist")


def check_paths(inputs: Sequence[Input], outputs: Sequence[Output], *, overwrite: bool) -> None:
    """Raise unless every path can be read or written, and no output is another path of the command.

    To be called before anything is read: what fails here costs the user no time and no data.

    Parameters
    ----------
    inputs, outputs
        All paths that the user gave.
    overwrite
        Whether outputs may exist.

    Raises
    ------
    FileNotFoundError
        If an input or the folder of an output does not exist.
    ValueError
        If a name has a wrong ending; an output is another path, by whatever name, or in a zarr store; a folder stands
        where a file is wanted, or the other way round; an output exists without ``overwrite``; or something is
        write-protected.
    """
    for given in (*inputs, *outputs):
        _check_ending(given)
        _check_visible(given)
        if is_store(given.path):
            # A run that was killed while it replaced the store may have left it under another name.
            tidy(given.path)
    for number, output in enumerate(outputs):
        for other in (*inputs, *outputs[:number]):
            _check_apart(output, other, overwrite=overwrite)
    for given in inputs:
        _check_readable(given)
    for output in outputs:
        _check_writable(output, overwrite=overwrite)


def check_folder(argument: str, folder: Path) -> None:
    """Raise ``ValueError`` unless files can be put into a folder, which need not be there yet."""
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        msg = f"{argument} {str(folder)!r} must be a folder, but {str(there)!r} is a file. Name another folder."
        raise ValueError(msg)
    if not os.access(there, os.W_OK | os.X_OK):
        msg = f"{argument} {str(folder)!r}: the folder {str(there)!r} is write-protected. Name another folder."
        raise ValueError(msg)


def _check_ending(given: Input | Output) -> None:
    ending = given.path.suffix.lower()
    if given.endings and ending not in given.endings:
        if isinstance(given, Input) and ending == ".h5mu":
            raise ValueError(modalities_error(f"{given.argument} {str(given.path)!r}", []))
        known = next(iter(given.endings)) if len(given.endings) == 1 else f"one of {sorted(given.endings)}"
        msg = f"{given.argument} must end in {known}, got {str(given.path)!r}."
        raise ValueError(msg)
    if ending == ".zarr" and find_spec("zarr") is None:
        msg = f"{given.argument} {str(given.path)!r} needs the package zarr: pip install zarr. Or use an h5ad file."
        raise ValueError(msg)
    if not given.endings and isinstance(given, Output) and ending in CELLS:
        msg = (
            f"{given.argument} {str(given.path)!r} ends as a file of cells does, but will hold none. Give it another "
            "ending, such as .fcmi."
        )
        raise ValueError(msg)


def _check_visible(given: Input | Output) -> None:
    try:
        given.path.stat()
    except PermissionError:
        msg = f"{given.argument} {str(given.path)!r} is in a protected folder. Name another path, or change its rights."
        raise ValueError(msg) from None
    except OSError:
        # Not there, or no path at all: told by the checks of what it is for.
        pass


def _check_apart(output: Output, other: Input | Output, *, overwrite: bool) -> None:
    if not _same(output.path, other.path):
        _check_outside(output, other)
        return
    if other is not output.replaces:
        msg = f"{output.argument} {str(output.path)!r} is {other.argument} as well. Give each a path of its own."
        raise ValueError(msg)
    if not overwrite:
        msg = f"{output.argument} is the input, {str(other.path)!r}. Name another file, or add --overwrite."
        raise ValueError(msg)


def _check_outside(output: Output, other: Input | Output) -> None:
    for inner, outer in ((output, other), (other, output)):
        if is_store(outer.path) and Path(os.path.realpath(inner.path)).is_relative_to(os.path.realpath(outer.path)):
            msg = (
                f"{inner.argument} {str(inner.path)!r} is in the zarr store of {outer.argument}, {str(outer.path)!r}. "
                "Name a path outside."
            )
            raise ValueError(msg)


def _same(path: Path, other: Path) -> bool:
    # By name through links for what does not exist yet, by identity for hard links.
    if os.path.realpath(path) == os.path.realpath(other):
        return True
    return path.exists() and other.exists() and path.samefile(other)


def _check_readable(given: Input) -> None:
    is_folder = given.folder or is_store(given.path)
    if not (given.path.is_dir() if is_folder else given.path.is_file()):
        what = "folder" if is_folder else "file"
        is_other = f", which is a {'file' if is_folder else 'folder'}" if given.path.exists() else ""
        msg = f"{given.argument}: no {what} at {str(given.path)!r}{is_other}."
        raise FileNotFoundError(msg)
    if is_store(given.path) and not _holds_zarr(given.path):
        msg = f"{given.argument} {str(given.path)!r} is a folder without a zarr group. Was it copied in full?"
        raise ValueError(msg)
    if not os.access(given.path, os.R_OK):
        msg = f"{given.argument} {str(given.path)!r} is read-protected. Change its permissions, or copy it."
        raise ValueError(msg)


def _check_writable(output: Output, *, overwrite: bool) -> None:
    path, argument, parent = output.path, output.argument, output.path.parent
    if not parent.exists():
        msg = f"{argument} is in a folder that does not exist: {str(parent)!r}."
        raise FileNotFoundError(msg)
    if not parent.is_dir():
        msg = f"{argument} {str(path)!r} is in {str(parent)!r}, which is no folder. Name another file."
        raise ValueError(msg)
    if path.is_dir() and not is_store(path):
        msg = f"{argument} {str(path)!r} is a folder. Name a file in it."
        raise ValueError(msg)
    if path.exists() and is_store(path) and not _holds_zarr(path):
        msg = f"{argument} {str(path)!r} exists and is no zarr store. Name another."
        raise ValueError(msg)
    if path.exists() and not path.is_dir() and not path.is_file():
        msg = f"{argument} {str(path)!r} is no file but a device or a pipe. Name a file."
        raise ValueError(msg)
    # A link that leads nowhere exists, too: it would be replaced.
    if os.path.lexists(path) and not overwrite and not output.continues:
        msg = f"{argument} {str(path)!r} exists. Name another file, or add --overwrite."
        raise ValueError(msg)
    if not os.access(parent, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        msg = f"{argument} {str(path)!r} is write-protected, or its folder is. Name another file."
        raise ValueError(msg)


def _holds_zarr(folder: Path) -> bool:
    # Formats 2 and 3.
    return any((folder / name).is_file() for name in (".zgroup", "zarr.json"))


def write_outputs(writers: Sequence[tuple[str, Path, Callable[[], object]]]) -> None:
    """Write each output, even if another fails: what took long to compute is kept where it can be.

    Parameters
    ----------
    writers
        Name of the argument, path, and what writes to it.

    Raises
    ------
    OSError
        If any failed. The message names what failed, and why, and what was written.
    ValueError
        The same, if what failed was to read the input again.
    """
    written, failed = [], []
    for argument, path, write in writers:
        try:
            write()
        except Exception as error:  # noqa: BLE001  # whatever it was, the other outputs can still be written
            failed.append((f"{argument} {str(path)!r} could not be written: {type(error).__name__}: {error}", error))
        else:
            written.append(f"{argument} {str(path)!r}")
    if failed:
        kept = f". Written: {', '.join(written)}" if written else ""
        kind = ValueError if isinstance(failed[0][1], ValueError) else OSError
        raise kind("; ".join(words for words, _ in failed) + kept) from failed[0][1]


def format_scores(scores: pd.Series) -> str:
    """Return a line a score."""
    width = max(map(len, scores.index))
    return "\n".join(f"{name:<{width}}  {value:7.4f}" for name, value in scores.items())
