"""AnnData written chunk by chunk, for matrices larger than memory."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np

from scfcmi._files import replacing, replacing_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import scipy.sparse as sp

# Numbers to a piece of an array on disk: 4 MB of float32.
_PIECE = 1 << 20


def write_in_chunks(path: Path, chunks: Iterable[sp.csr_matrix], annotate: Callable[[], ad.AnnData]) -> Path:
    """Write rows as they come, then their annotation; ``path`` appears whole or not at all.

    Parameters
    ----------
    path
        Ends in ``.zarr`` or ``.h5ad``.
    chunks
        Rows of ``.X``, CSR, at least one chunk.
    annotate
        Returns an AnnData without ``.X``: asked for last, so that it takes no memory while chunks are made.

    Raises
    ------
    ValueError
        If ``path`` ends otherwise.
    FileExistsError
        If there is something at ``path``.
    FileNotFoundError
        If its folder does not exist.
    """
    if path.suffix not in (".zarr", ".h5ad"):
        msg = f"path must end in .zarr or .h5ad, got {str(path)!r}."
        raise ValueError(msg)
    if path.exists():
        msg = f"path {str(path)!r} exists already; remove it, or give another."
        raise FileExistsError(msg)
    if not path.parent.is_dir():
        msg = f"path is in a folder that does not exist: {str(path.parent)!r}."
        raise FileNotFoundError(msg)
    with (_zarr if path.suffix == ".zarr" else _h5ad)(path) as (root, options):
        root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        _fill(root, chunks, options)
        adata = annotate()
        for name in ("obs", "var"):
            ad.io.write_elem(root, name, getattr(adata, name), dataset_kwargs=options)
        for name in ("uns", "layers", "obsm", "varm", "obsp", "varp"):
            ad.io.write_elem(root, name, dict(getattr(adata, name)), dataset_kwargs=options)
    return path


def _fill(root: Any, chunks: Iterable[sp.csr_matrix], options: dict[str, Any]) -> None:
    for number, chunk in enumerate(chunks):
        if number == 0:
            # 32 bits count two thousand million entries, no more, and how many will come is not known yet.
            chunk.indptr = chunk.indptr.astype(np.int64)
            ad.io.write_elem(root, "X", chunk, dataset_kwargs=options | {"chunks": (_PIECE,)})
        else:
            ad.io.sparse_dataset(root["X"]).append(chunk)
    indptr = root["X"]["indptr"][...]
    if indptr[-1] <= np.iinfo(np.int32).max:
        # scikit-learn's PCA refuses sparse matrices whose two arrays of indices are of two kinds.
        ad.io.write_elem(root["X"], "indptr", indptr.astype(np.int32), dataset_kwargs=options)


@contextmanager
def _h5ad(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    import h5py

    with replacing(path) as temporary, h5py.File(temporary, "w") as root:
        yield root, {}


@contextmanager
def _zarr(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    import zarr

    with replacing_folder(path) as temporary:
        if zarr.__version__.startswith("2."):
            yield zarr.open_group(temporary, mode="w"), {}
        else:
            # Said outright: shards of the default size would be read and written again with each chunk appended.
            yield zarr.open_group(temporary, mode="w", zarr_format=3), {"shards": None}
