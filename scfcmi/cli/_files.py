"""What commands share: arguments that name files, checks of them, reading, writing, and a table of scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection

    import pandas as pd
    from anndata import AnnData


def add_input(parser: argparse.ArgumentParser, metavar: str = "IN.h5ad", **more: str) -> None:
    """Add the file to read, as ``options.input``."""
    parser.add_argument("input", type=Path, metavar=metavar, **more)


def add_output(parser: argparse.ArgumentParser, metavar: str = "OUT.h5ad") -> None:
    """Add the file to write, as ``options.output``."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar=metavar)


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add the leave to replace the input, as ``options.overwrite``."""
    parser.add_argument("--overwrite", action="store_true", help="allow OUT.h5ad to be IN.h5ad")


def check_output(path: Path, endings: Collection[str], *, source: Path | None = None) -> None:
    """Raise ``ValueError`` or ``FileNotFoundError`` unless ``path`` can be written.

    Parameters
    ----------
    path
        What ``--output`` says.
    endings
        Names of files may end in one of these.
    source
        The input, if it must not be replaced.
    """
    if path.suffix.lower() not in endings:
        known = next(iter(endings)) if len(endings) == 1 else f"one of {sorted(endings)}"
        msg = f"--output must end in {known}, got {str(path)!r}."
        raise ValueError(msg)
    if not path.parent.is_dir():
        msg = f"--output is in a folder that does not exist: {str(path.parent)!r}."
        raise FileNotFoundError(msg)
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        msg = f"--output is the input, {str(source)!r}. Name another file, or add --overwrite."
        raise ValueError(msg)


def check_cells_output(options: argparse.Namespace) -> None:
    """Check ``options.output``, an h5ad file, against ``options.input`` and ``options.overwrite``."""
    check_output(options.output, (".h5ad",), source=None if options.overwrite else options.input)


def check_input(path: Path) -> Path:
    """Return ``path`` if there is a file; raise ``FileNotFoundError`` otherwise."""
    if not path.is_file():
        msg = f"no file at {str(path)!r}."
        raise FileNotFoundError(msg)
    return path


def read_cells(path: Path, *, backed: bool = False) -> AnnData:
    """Read an h5ad file; ``backed`` leaves the expression on disk."""
    import anndata as ad

    return ad.read_h5ad(check_input(path), backed="r" if backed else None)


def write_cells(adata: AnnData, path: Path) -> None:
    """Write an h5ad file, whole or not at all."""
    from scfcmi._files import replacing

    with replacing(path) as temporary:
        adata.write_h5ad(temporary)


def format_scores(scores: pd.Series) -> str:
    """Return a line a score."""
    width = max(map(len, scores.index))
    return "\n".join(f"{name:<{width}}  {value:7.4f}" for name, value in scores.items())
