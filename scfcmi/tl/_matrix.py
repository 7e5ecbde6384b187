"""Which numbers of an AnnData a tool works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scfcmi import _validate
from scfcmi._adata import expression_of, in_memory
from scfcmi._files import damage_told
from scfcmi._logging import warn
from scfcmi._random import some_cells
from scfcmi.models.checks import warn_of_empty
from scfcmi.rows import ChunkedRows, outside
from scfcmi.tl._mask import feature_mask

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import ArrayLike

# What anndata calls names that it was told not to load.
_NOT_LOADED = "_anndata_dummy_range_index"
# Log-normalized expression stays below 10 or so, scaled expression is usually clipped at 10.
_HUGE = 100
# So many rows tell counts from the rest, and so many what batches lack.
_FEW, _SOME = 1000, 20_000
# A batch lacks a gene that is zero in all of its cells, if it would be in so many of them at the rate of the others. On 62
# scenarios of real cells no batch lacks 1 % of the genes; this share is told of.
_EXPECTED, _UNMEASURED = 30, 0.02
# assign warns if the mean of at least 30 new cells is so many times larger or smaller than that of the cells of fit. On the
# eight sets, that of a batch is 0.77 to 1.13 times the mean of the others, that of a type 0.64 to 1.30 times.
_OTHER_SCALE, _ENOUGH = 1.6, 30


@dataclass(frozen=True)
class Matrix:
    """The numbers that a tool works on, and what they are."""

    X: np.ndarray | sp.csr_matrix | sp.csr_array | ChunkedRows
    """float32, dense, CSR or outside of memory, shape (n_obs, n_features); or images, shape (n_obs, 1, height, width)."""
    words: str
    """What it is, in a few words."""
    names: np.ndarray | None = None
    """Names of the columns; ``None`` for images, and entries of ``obsm`` that are no data frame."""
    is_representation: bool = False
    """Whether it is an entry of ``obsm``."""


def choose_matrix(
    adata: AnnData, *, use_rep: str | None, layer: str | None, mask_var: str | ArrayLike | None
) -> Matrix:
    """Return the matrix that the arguments name.

    Raises
    ------
    KeyError
        If a key is not there.
    TypeError
        If the matrix is of a kind that is not read.
    ValueError
        If arguments contradict each other, or nothing is left to work on.
    """
    if use_rep is not None and (layer is not None or mask_var is not None):
        msg = f"use_rep={use_rep!r} is a matrix of its own: drop layer and mask_var, which choose from expression."
        raise ValueError(msg)
    if use_rep is not None and use_rep != "X":
        _validate.key_in(adata.obsm.keys(), use_rep, "adata.obsm", hint="use_rep='X' takes adata.X.")
        name = f"adata.obsm[{use_rep!r}]"
        with damage_told(name):
            entry = adata.obsm[use_rep]
            # Of read_lazy, a table is no data frame yet.
            entry = entry.to_memory() if hasattr(entry, "to_memory") else entry
            X = _as_float32(in_memory(entry), name)
        names = np.array([str(column) for column in entry.columns], object) if isinstance(entry, pd.DataFrame) else None
        return Matrix(X, f"{X.shape[1]} dimensions of obsm[{use_rep!r}]", names, is_representation=True)

    if layer is not None:
        # anndata 0.13 counts X among the layers, as None.
        _validate.key_in((name for name in adata.layers if name is not None), layer, "adata.layers")
    X, name = (expression_of(adata), "X") if layer is None else (adata.layers[layer], f"layers[{layer!r}]")
    if X is None or adata.n_vars == 0:
        msg = f"adata.{name} is empty: there are no features to cluster by."
        raise ValueError(msg)
    mask, which = feature_mask(adata, mask_var, all_features=use_rep == "X")
    shape = np.ravel(adata.uns.get("image_shape", 0))
    are_images = layer is None and mask is None and np.prod(shape) == np.prod(shape[-2:]) == X.shape[1]
    source = None if are_images else outside(X, f"adata.{name}")
    if source is not None:
        X = source if mask is None or mask.all() else source.with_columns(np.flatnonzero(mask))
        _warn_of_scale(X.subset(np.arange(min(_FEW, adata.n_obs)), np.arange(X.shape[1])).to_memory(), name)
    else:
        _warn_of_columns(X, name)
        with damage_told(f"adata.{name}"):
            X = in_memory(X)
        _validate.sparse_structure(f"adata.{name}", X)
        X = _without_room(X)
        # A mask of all genes is no reason for a copy.
        X = _as_float32(X if mask is None or mask.all() else X[:, mask], f"adata.{name}")
        if are_images:
            height, width = tuple(adata.uns["image_shape"])[-2:]
            X = X.toarray() if sp.issparse(X) else X
            return Matrix(X.reshape(-1, 1, int(height), int(width)), f"{height} x {width} images of {name}")
        _warn_of_scale(X, name)
        _warn_of_empty(X, name)
    names = adata.var_names if mask is None else adata.var_names[mask]
    if names.name == _NOT_LOADED:
        msg = "adata has no names of genes: it was opened with read_lazy(..., load_annotation_index=False). Leave that out."
        raise ValueError(msg)
    return Matrix(X, f"{X.shape[1]} {which} of {name}", names.to_numpy(dtype=object))


def _without_room(X: object) -> object:
    """Return a sparse matrix without the room that may be left behind its entries: scipy would choose columns of it, too."""
    if getattr(X, "format", None) not in ("csr", "csc") or len(X.indices) == len(X.data) == X.indptr[-1]:
        return X
    # scipy prunes what it makes, not the user's matrix.
    return type(X)((X.data, X.indices, X.indptr), shape=X.shape)


def _warn_of_columns(X: object, name: str) -> None:
    if getattr(X, "format", None) == "csc" and hasattr(X, "group"):
        msg = (
            f"adata.{name} is stored by columns (CSC), so that all of it is read into memory. To read it in parts, "
            f"store it by rows: adata = adata.to_memory(), adata.{name} = adata.{name}.tocsr(), and write it again."
        )
        warn(msg)


def _as_float32(X: object, name: str) -> np.ndarray | sp.csr_matrix | sp.csr_array:
    _validate.matrix_like(X, name)
    X = X.tocsr() if sp.issparse(X) else np.asarray(X)
    if X.dtype.kind not in "fiub":
        msg = f"{name} must hold numbers, got dtype {X.dtype}."
        if X.dtype.kind == "O":
            msg += f" If all entries are numbers: {name} = {name}.astype('float32')."
        raise ValueError(msg)
    if X.ndim < 2 or 0 in X.shape[1:]:
        msg = f"{name} has shape {X.shape}: there are no features to cluster by."
        raise ValueError(msg)
    given = X.data if sp.issparse(X) else X
    with np.errstate(over="ignore"):
        X = X.astype(np.float32, copy=False)
    values = X.data if sp.issparse(X) else X
    bad = ~np.isfinite(values)
    n_bad = int(bad.sum())
    if n_bad and np.isfinite(given[bad]).all():
        msg = f"{name} has {n_bad} entries beyond the range of float32 (3.4e38). Normalize and log-transform it."
        raise ValueError(msg)
    if n_bad:
        msg = f"{name} has {n_bad} entries that are NaN or infinite. Remove these cells or genes, or impute."
        raise ValueError(msg)
    return X


def _warn_of_empty(X: np.ndarray | sp.csr_matrix | sp.csr_array, name: str) -> None:
    if sp.issparse(X) and np.count_nonzero(X.data) < X.nnz:
        # Zeros that are stored are no expression.
        X = X.copy()
        X.eliminate_zeros()
    n_empty = int((np.diff(X.indptr) == 0).sum() if sp.issparse(X) else (~X.any(axis=1)).sum())
    warn_of_empty(n_empty, X.shape[0], f"adata.{name}")


def _warn_of_scale(X: np.ndarray | sp.csr_matrix | sp.csr_array, name: str) -> None:
    values = X.data if sp.issparse(X) else X
    if values.size == 0 or values.max() <= 2:
        return
    remedy = "sc.pp.normalize_total(adata); sc.pp.log1p(adata)"
    some = values[: _FEW * max(1, values.size // X.shape[0])] if sp.issparse(X) else values[:_FEW]
    if values.min() >= 0 and np.array_equal(some, np.rint(some)):
        msg = f"adata.{name} looks like raw counts. Log-normalized values are expected: run {remedy}."
    elif values.max() > _HUGE:
        msg = f"adata.{name} holds values up to {values.max():.3g}. Log-normalized values are expected: run {remedy}."
    else:
        return
    warn(msg)


def warn_of_other_scale(matrix: Matrix, means: np.ndarray | None) -> None:
    """Warn of expression that is much larger or smaller than the mean of each gene over the cells of ``fit``.

    Of expression outside of memory nothing is said: it would have to be read once more.
    """
    # A gene with negative values is no expression.
    if means is None or isinstance(matrix.X, ChunkedRows) or means.min() < 0 or matrix.X.shape[0] < _ENOUGH:
        return
    ratio = float(matrix.X.mean(dtype=np.float64) / max(means.mean(dtype=np.float64), 1e-12))
    if not 1 / _OTHER_SCALE <= ratio <= _OTHER_SCALE:
        msg = (
            f"The mean of {matrix.words} is {ratio:.2f} times that of the cells the model was fitted on. If the new cells were not "
            "normalized in the same way, or lack genes that were filled with zeros, their clusters are wrong."
        )
        warn(msg)


def warn_of_unmeasured(matrix: Matrix, batches: pd.Categorical) -> None:
    """Warn of a batch in which many genes are zero that other batches have: ``ad.concat(join="outer")`` fills with zeros.

    Cells are then told apart by what was measured. Of expression outside of memory nothing is said: it would have to be read
    once more.
    """
    if isinstance(matrix.X, ChunkedRows) or matrix.is_representation or matrix.X.ndim > 2:
        return
    X, codes = matrix.X, np.asarray(batches.codes)
    if len(codes) > _SOME:
        drawn = some_cells(len(codes), _SOME, np.random.default_rng(0))
        X, codes = X[drawn], codes[drawn]
    sizes = np.bincount(codes, minlength=len(batches.categories))
    # Of smaller ones nothing can be said.
    judged = np.flatnonzero(sizes >= _EXPECTED)
    if not len(judged):
        return
    in_batch = sp.csr_matrix(
        (np.ones(len(codes), np.float32), (codes, np.arange(len(codes)))), (len(sizes), len(codes))
    )
    # Not as X != 0, which would put the entries of the user's matrix in order.
    found = (
        sp.csr_matrix(((X.data != 0).astype(np.float32), X.indices, X.indptr), X.shape) if sp.issparse(X) else (X != 0)
    )
    found = found.astype(np.float32, copy=False)
    counts, total = in_batch[judged] @ found, np.asarray(found.sum(axis=0)).ravel()
    counts, of_batch = counts.toarray() if sp.issparse(counts) else counts, sizes[judged][:, None]
    elsewhere = (total - counts) / np.maximum(len(codes) - of_batch, 1)
    n_missing = ((counts == 0) & (elsewhere * of_batch >= _EXPECTED)).sum(axis=1)
    worst = int(n_missing.argmax())
    if n_missing[worst] > _UNMEASURED * counts.shape[1]:
        name = _validate.group_name(batches.categories[judged[worst]])
        msg = (
            f"At least {n_missing[worst]} of {counts.shape[1]} genes are zero in every cell of batch {name!r}, but not in other "
            "batches. If they were not measured there, clusters may follow this batch: keep the genes that all batches have, by "
            "ad.concat(..., join='inner') or mask_var."
        )
        warn(msg)
