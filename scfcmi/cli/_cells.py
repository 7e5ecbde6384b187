"""Cells in files, h5ad or zarr stores: reading them."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from scfcmi import _files

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

        with cells_read(name):
            _check_root(zarr.open_group(path, mode="r"), name)
            return _checked(ad.read_zarr(path))
    import h5py

    _check_hdf5(path, name)
    with cells_read(name):
        with h5py.File(path) as root:
            _check_root(root, name)
        return _checked(ad.read_h5ad(path, backed="r" if backed else None))


@contextmanager
def opened(argument: str, path: Path, *, with_dask: bool = False) -> Iterator[AnnData]:
    """Yield the cells of a file, whose expression, layers, ``obsm`` and ``obsp`` stay there until they are needed.

    Parameters
    ----------
    argument, path
        As for :func:`read_cells`, and with the errors of that.
    with_dask
        Whether matrices are Dask arrays, whose chunks any process that sees the file can read.
    """
    import anndata as ad
    import h5py

    name = f"{argument} {str(path)!r}"
    if with_dask:
        from scfcmi.rows import check_workers_see

        # Workers have folders of their own.
        path = path.absolute()
        check_workers_see(path)
    if not is_store(path):
        _check_hdf5(path, name)
    if is_legacy(path):
        yield read_cells(argument, path)
        return
    with cells_read(name), ExitStack() as stack:
        if is_store(path):
            import zarr

            root = zarr.open_group(path, mode="r")
        else:
            root = stack.enter_context(h5py.File(path))
        _check_root(root, name)
        parts = {
            part: {key: _opened(root[part][key], with_dask=with_dask) for key in root[part]} if part in root else {}
            for part in ("layers", "obsm", "obsp")
        }
        tables = {part: ad.io.read_elem(root[part]) for part in ("obs", "var", "uns") if part in root}
        X = _opened(root["X"], with_dask=with_dask) if "X" in root else None
        adata = ad.AnnData(X=X, **tables, **parts)
        # Errors in the work on these cells must not look like errors of reading.
        stack = stack.pop_all()
    with stack:
        yield adata
        # What is still in the file cannot be looked at once that is closed, not even to tell its shape.
        on_disk = (ad.abc.CSRDataset, ad.abc.CSCDataset)
        for part in (adata.obsm, adata.obsp):
            for key in [key for key, value in part.items() if isinstance(value, on_disk)]:
                del part[key]


def _opened(element: Any, *, with_dask: bool) -> Any:
    """Return a matrix of a file, to be read in parts if it can be."""
    import anndata as ad

    encoding = element.attrs.get("encoding-type", "")
    if encoding not in ("csr_matrix", "csc_matrix", "array"):
        return ad.io.read_elem(element)
    matrix = element if encoding == "array" else ad.io.sparse_dataset(element)
    if with_dask and encoding != "csc_matrix" and len(matrix.shape) == 2:
        from scfcmi.rows import rows_at_once, warn_of_missing_chunks

        warn_of_missing_chunks(matrix, element.name)
        n_rows = min(rows_at_once(matrix), matrix.shape[0])
        return ad.experimental.read_elem_lazy(element, chunks=(max(1, n_rows), matrix.shape[1]))
    return matrix


def _check_hdf5(path: Path, name: str) -> None:
    import h5py

    if not h5py.is_hdf5(path):
        msg = f"{name} is no HDF5 file, as every h5ad file is. Was it renamed, or is it compressed or cut short?"
        raise ValueError(msg)
    try:
        h5py.File(path).close()
    except BlockingIOError as error:
        msg = f"{name} is locked: another program is writing to it"
        raise BlockingIOError(error.errno, msg) from error
    except OSError:
        # What else is wrong with it is told when it is read.
        return


def is_legacy(path: Path) -> bool:
    """Whether a file was written by an anndata that did not say what its parts are. A file that cannot be read is not."""
    import h5py

    if is_store(path) or not h5py.is_hdf5(path):
        return False
    with suppress(Exception), h5py.File(path) as root:
        return "encoding-type" not in root.attrs and "obs" in root
    return False


def _checked(adata: AnnData) -> AnnData:
    from scfcmi import _validate

    if not adata.isbacked:
        for part, values in (("X", adata.X), *((f"layers[{key!r}]", layer) for key, layer in adata.layers.items())):
            _validate.sparse_structure(part, values)
    return adata


class _ForeignError(ValueError):
    """What the file is instead, in words for the user."""


@contextmanager
def cells_read(name: str) -> Iterator[None]:
    """Name the file in whatever error a damaged one leads to; let through what says that it is another kind of file."""
    foreign: _ForeignError | None = None
    with _files.damage_told(name, "is damaged or no AnnData", "Was it copied in full?"):
        try:
            yield
        except _ForeignError as error:
            foreign = error
    if foreign is not None:
        raise foreign


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
