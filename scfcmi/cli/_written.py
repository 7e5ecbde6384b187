"""Cells in files, h5ad or zarr stores: writing them, whole or not at all."""

from __future__ import annotations

import atexit
import gc
import os
import re
import shutil
import sys
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from scfcmi._files import replacing, replacing_folder
from scfcmi.cli._cells import cells_read, is_legacy, is_store, read_cells

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from anndata import AnnData


def write_results(adata: AnnData, key: str, source: Path, target: Path) -> None:
    """Write the cells of a file with a result added. Everything else is copied unchanged, without reading it into memory.

    Parameters
    ----------
    adata
        The cells of ``source``, with the result.
    key
        Of the result.
    source
        The file of the cells.
    target
        The file to write. If it has another format than ``source``, or if an old anndata wrote ``source``, all cells are
        read into memory and written again.
    """
    from scfcmi.tl._results import names_under

    names = names_under(key)
    if is_store(source) != is_store(target) or is_legacy(source):
        whole = read_cells("IN.h5ad", source)
        _check_names(whole.obs_names, adata, source)
        for part, name in list(_present(whole, names)):
            del getattr(whole, part)[name]
        for part, name in _present(adata, names):
            getattr(whole, part)[name] = getattr(adata, part)[name]
        write_cells(whole, target, compression_of(source))
    elif is_store(target):
        import zarr

        with replacing_folder(target) as temporary:
            shutil.copytree(source, temporary, dirs_exist_ok=True)
            _make_writable(temporary)
            _check_names(_names_of(zarr.open_group(temporary, mode="r")), adata, source)
            _put_into_store(adata, names, temporary)
    else:
        import h5py

        with (
            replacing(target) as temporary,
            _full_disk_told_once(temporary),
            h5py.File(source) as given,
            h5py.File(temporary, "w") as root,
        ):
            # Object by object: in a copy of the whole file, an earlier result would still take its space.
            with cells_read(f"IN.h5ad {str(source)!r}"):
                found = _names_of(given)
            _check_names(found, adata, source)
            with cells_read(f"IN.h5ad {str(source)!r}"):
                _copy_without(given, root, names)
            _put(adata, names, root)


def _make_writable(folder: Path) -> None:
    """Let the owner of a copied folder write to it: the copy of one that is read-only could not even be removed."""
    # Folders first: what is in one that may not be entered cannot be listed.
    folder.chmod(folder.stat().st_mode | 0o700)
    for path in folder.iterdir():
        if path.is_dir():
            _make_writable(path)
        else:
            path.chmod(path.stat().st_mode | 0o600)


def write_results_only(adata: AnnData, key: str, target: Path) -> None:
    """Write cells without expression: ``obs``, and all parts of a result."""
    import anndata as ad

    from scfcmi.tl._results import names_under

    names, rest = names_under(key), ad.AnnData(obs=adata.obs)
    if is_store(target):
        with replacing_folder(target) as temporary:
            _write_store(rest, temporary)
            _put_into_store(adata, names, temporary)
    else:
        import h5py

        with replacing(target) as temporary, _full_disk_told_once(temporary):
            rest.write_h5ad(temporary)
            with h5py.File(temporary, "r+") as root:
                _put(adata, names, root)


def _present(adata: AnnData, names: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    return ((part, name) for part, all_ in names.items() for name in all_ if name in getattr(adata, part))


def _copy_without(given: Any, root: Any, names: dict[str, tuple[str, ...]]) -> None:
    """Copy an open h5ad file to another, without the parts of a result."""
    root.attrs.update(given.attrs)
    for part in given:
        if part not in names:
            _copy(given, root, part, given.filename)
            continue
        root.create_group(part).attrs.update(given[part].attrs)
        for name in given[part]:
            if name not in names[part]:
                _copy(given[part], root[part], name, given.filename)


def _copy(given: Any, target: Any, name: str, home: str) -> None:
    """Copy a member of a group of the h5ad file ``home``, and what it refers to in others: they may not be beside the copy."""
    import h5py

    link = given.get(name, getlink=True)
    if isinstance(link, h5py.SoftLink) and given.file.filename == home:
        target[name] = h5py.SoftLink(link.path)
        return
    element = given[name]
    if isinstance(element, h5py.Group):
        copied = target.create_group(name)
        for key in element:
            _copy(element, copied, key, home)
    elif element.is_virtual or element.external:
        copied = _in_parts(element, target, name)
    else:
        element.file.copy(element, target, name)
        return
    copied.attrs.update(element.attrs)


def _in_parts(element: Any, target: Any, name: str) -> Any:
    from sklearn.utils import gen_batches

    if not element.size or not element.shape:
        return target.create_dataset(name, data=element[()])
    copied = target.create_dataset(name, element.shape, element.dtype, chunks=True, compression="gzip")
    for rows in gen_batches(element.shape[0], copied.chunks[0]):
        copied[rows] = element[rows]
    return copied


def _check_names(found: Any, adata: AnnData, source: Path) -> None:
    """Raise ``ValueError`` if a file holds other cells than when it was read."""
    # Some programs write numbers, which anndata makes text.
    if [*map(str, found)] != [*map(str, adata.obs_names)]:
        msg = f"{str(source)!r} holds other cells than when it was read: it was replaced. Run again."
        raise ValueError(msg)


def _names_of(root: Any) -> Any:
    from anndata.io import read_elem

    return read_elem(root["obs"][root["obs"].attrs["_index"]])


def _put(adata: AnnData, names: dict[str, tuple[str, ...]], root: Any) -> None:
    """Write the parts of a result to an open file, and remove old parts that the new result lacks."""
    import h5py
    import numpy as np
    import pandas as pd
    from anndata.io import write_elem

    for part in names:
        if part not in root:
            write_elem(root, part, {})
    for part, all_ in names.items():
        for name in all_:
            if name in root[part]:
                del root[part][name]
    for part, name in _present(adata, names):
        value = getattr(adata, part)[name]
        if part == "obs":
            value = value.array if isinstance(value.dtype, pd.CategoricalDtype) else value.to_numpy()
        if part == "obsm":
            _put_array(root[part], name, value)
        else:
            write_elem(root[part], name, value)
    others = (column for column in root["obs"].attrs["column-order"] if column not in names["obs"])
    columns = [*others, *(name for name in names["obs"] if name in adata.obs)]
    # HDF5 wants an array, zarr a list.
    root["obs"].attrs["column-order"] = np.array(columns, dtype=object) if isinstance(root, h5py.Group) else columns


def _put_array(group: Any, name: str, value: np.ndarray) -> None:
    """Write an array as anndata does, but in parts, since it may be on disk."""
    from sklearn.utils import gen_batches

    from scfcmi._scratch import AT_ONCE, let_go

    create = group.create_array if hasattr(group, "create_array") else group.create_dataset
    stored = create(name, shape=value.shape, dtype=value.dtype)
    stored.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    # Parts end where chunks end, or chunks would be written twice.
    for rows in gen_batches(len(value), stored.chunks[0] if stored.chunks else AT_ONCE):
        stored[rows] = value[rows]
        let_go()


def _put_into_store(adata: AnnData, names: dict[str, tuple[str, ...]], folder: Path) -> None:
    import zarr

    _put(adata, names, zarr.open_group(folder, mode="r+", use_consolidated=False))
    with warnings.catch_warnings():
        # zarr warns that format 3 does not specify consolidated metadata.
        warnings.filterwarnings("ignore", "Consolidated metadata")
        zarr.consolidate_metadata(folder)


def write_cells(adata: AnnData, path: Path, compression: dict[str, Any] | None = None) -> None:
    """Write cells, whole or not at all; ``compression`` is from :func:`compression_of` and serves h5ad files."""
    if is_store(path):
        with replacing_folder(path) as temporary:
            _write_store(adata, temporary)
    else:
        with replacing(path) as temporary, _full_disk_told_once(temporary):
            adata.write_h5ad(temporary, **(compression or {}))


def _write_store(adata: AnnData, folder: Path) -> None:
    with warnings.catch_warnings():
        # anndata warns users who choose a format. Here anndata chooses it.
        warnings.filterwarnings("ignore", "Writing zarr v2 data|zarr v3 autosharding")
        adata.write_zarr(folder)


@contextmanager
def _full_disk_told_once(path: Path) -> Iterator[None]:
    """Write an h5ad file so that a full disk is one clear error."""
    failure: OSError | RuntimeError | None = None
    hooks, n_open = (sys.excepthook, sys.unraisablehook), _n_open()
    # On a full disk, HDF5 fails again for every object that is closed, and h5py prints each time. Once is enough.
    sys.excepthook = sys.unraisablehook = lambda *_: None
    try:
        try:
            yield
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
