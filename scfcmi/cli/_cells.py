"""Cells in files: h5ad, or zarr stores, read and written whole."""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anndata import AnnData


def read_cells(argument: str, path: Path, *, backed: bool = False) -> AnnData:
    """Read cells; ``backed`` leaves the expression of an h5ad file on disk. Messages call the file by ``argument``.

    Raises
    ------
    ValueError
        If the file is of another format, is damaged, or holds something else than an AnnData.
    """
    import anndata as ad

    name = f"{argument} {str(path)!r}"
    if is_store(path):
        import zarr

        with _damage_told(name):
            _check_root(zarr.open_group(path, mode="r"), name)
            return _checked(ad.read_zarr(path))
    import h5py

    if not h5py.is_hdf5(path):
        msg = f"{name} is no HDF5 file, as every h5ad file is. Was it renamed, or is it compressed or cut short?"
        raise ValueError(msg)
    with _damage_told(name):
        with h5py.File(path) as root:
            _check_root(root, name)
        return _checked(ad.read_h5ad(path, backed="r" if backed else None))


def _checked(adata: AnnData) -> AnnData:
    from scfcmi import _validate

    if not adata.isbacked:
        for part, values in (("X", adata.X), *((f"layers[{key!r}]", layer) for key, layer in adata.layers.items())):
            _validate.sparse_structure(part, values)
    return adata


class _ForeignError(ValueError):
    """What the file is instead, in words for the user."""


@contextmanager
def _damage_told(name: str) -> Iterator[None]:
    """Name the file in whatever error a damaged one leads to: the readers raise any kind, about their own insides."""
    try:
        yield
    except _ForeignError:
        raise
    except Exception as error:
        # HDF5 has no MemoryError.
        if isinstance(error, MemoryError) or "memory allocation failed" in str(error):
            msg = f"{name} does not fit into memory, or is damaged and claims more than it holds: {error}"
            raise MemoryError(msg) from error
        # A number comes from the operating system: the disk fails, or the file may not be read.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        msg = f"{name} is damaged or no AnnData ({type(error).__name__}: {error}). Was it copied in full?"
        raise ValueError(msg) from error


def write_cells(adata: AnnData, path: Path, compression: dict[str, Any] | None = None) -> None:
    """Write cells, whole or not at all; ``compression`` is from :func:`compression_of` and serves h5ad files."""
    from scfcmi._files import replacing, replacing_folder

    if is_store(path):
        with replacing_folder(path) as temporary, warnings.catch_warnings():
            # For who chooses the format, which is anndata's own here, whatever that is.
            warnings.filterwarnings("ignore", "Writing zarr v2 data")
            adata.write_zarr(temporary)
    else:
        with replacing(path) as temporary:
            _write_h5ad(adata, temporary, compression or {})


def _write_h5ad(adata: AnnData, path: Path, compression: dict[str, Any]) -> None:
    failure: OSError | RuntimeError | None = None
    hooks, n_open = (sys.excepthook, sys.unraisablehook), _n_open()
    # On a full disk, HDF5 fails again for every object that is closed, and h5py prints each time. Once is enough.
    sys.excepthook = sys.unraisablehook = lambda *_: None
    try:
        try:
            adata.write_h5ad(path, **compression)
        except (OSError, RuntimeError) as error:
            failure = _plain(error)
        if failure is not None:
            gc.collect()
            with suppress(OSError):
                # An object that stays open would keep the room on the disk, which other outputs may need.
                os.truncate(path, 0)
            if _n_open() > n_open:
                # HDF5 tries once more at the end of the process, and crashes: the process ends before.
                atexit.register(_leave)
    finally:
        sys.excepthook, sys.unraisablehook = hooks
    if failure is not None:
        raise failure


def _plain(error: OSError | RuntimeError) -> OSError | RuntimeError:
    """Return the error without what HDF5 says of its buffers, and without frames that hold open objects."""
    number = getattr(error, "errno", None) or next(iter(re.findall(r"errno = (\d+)", str(error))), None)
    return OSError(int(number), os.strerror(int(number))) if number else type(error)(str(error))


def _n_open() -> int:
    import h5py

    return h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_ALL)


def _leave() -> None:
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError):
            stream.flush()
    os._exit(1)


def compression_of(path: Path) -> dict[str, Any]:
    """Return how ``X`` of a file is compressed, as ``write_h5ad`` takes it. A zarr store always is: gzip stands for it."""
    if is_store(path):
        return {"compression": "gzip"}
    import h5py

    with h5py.File(path) as root:
        values = root.get("X")
        if isinstance(values, h5py.Group):
            values = values.get("data")
        # Empty arrays are never compressed; filters of plug-ins are not known by name.
        if not isinstance(values, h5py.Dataset) or values.compression not in ("gzip", "lzf"):
            return {}
        return {"compression": values.compression, "compression_opts": values.compression_opts}


def is_store(path: Path) -> bool:
    """Whether a path is named as a zarr store."""
    return path.suffix.lower() == ".zarr"


def modalities_error(name: str, modalities: list[str]) -> str:
    """Return what to say of a MuData, in which AnnData are a part each."""
    one = "rna" if "rna" in modalities or not modalities else modalities[0]
    held = f" with the modalities {modalities}" if modalities else ""
    return f"{name} is a MuData{held}. Write one modality to a file of its own: mdata[{one!r}].write_h5ad({one + '.h5ad'!r})."


def _check_root(root: Any, name: str) -> None:
    if "mod" in root:
        raise _ForeignError(modalities_error(name, sorted(root["mod"])))
    if "obs" not in root or "var" not in root:
        msg = f"{name} holds no AnnData, which has 'obs' and 'var'. It has {sorted(root)[:10]}."
        raise _ForeignError(msg)
