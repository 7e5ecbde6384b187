"""Which genes a tool takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfcmi import _validate
from scfcmi._adata import column
from scfcmi._logging import warn

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import ArrayLike

_MARKS = "highly_variable"
_FIND = "Run sc.pp.highly_variable_genes(adata)"


def feature_mask(
    adata: AnnData, mask_var: str | ArrayLike | None, *, all_features: bool
) -> tuple[np.ndarray | None, str]:
    """Return the mask of the genes to take, ``None`` for all of them, and what they are.

    A missing entry leaves the gene out, with a warning: ``anndata.concat(join="outer")`` makes such.

    Parameters
    ----------
    adata
        Annotated data.
    mask_var
        Column of ``adata.var``; or booleans, or zeros and ones, one a gene. A Series is matched by ``adata.var_names``.
        ``None`` takes genes marked ``highly_variable``, if any column says so.
    all_features
        Whether ``None`` takes all genes.

    Raises
    ------
    KeyError
        If there is no such column.
    TypeError
        If it is of another kind.
    ValueError
        If it has another length or other values, or leaves no genes.
    """
    if mask_var is None:
        if all_features or _MARKS not in adata.var.columns:
            return None, "features"
        mask_var = _MARKS
    if isinstance(mask_var, str):
        _validate.key_in(adata.var.columns, mask_var, "adata.var", hint=f"Or run {_FIND[4:]}.")
        which = "highly variable genes" if mask_var == _MARKS else f"features marked {mask_var!r}"
        name, values = f"adata.var[{mask_var!r}]", column(adata.var, mask_var)
    else:
        which, name = "masked features", "mask_var"
        values = _validate.aligned(mask_var, adata.var_names, "mask_var", "adata.var_names")
    mask = _as_mask(values, adata.n_vars, name)
    if not mask.any():
        remedy = (
            f"{_FIND}, or take all genes with use_rep='X'." if mask_var is _MARKS else "Mark some, or drop mask_var."
        )
        msg = f"{name} leaves no genes: none of {adata.n_vars} is marked. {remedy}"
        raise ValueError(msg)
    return mask, which


def _as_mask(values: object, n_genes: int, name: str) -> np.ndarray:
    wanted = f"{name} must be boolean with one entry a gene ({n_genes})"
    if not hasattr(values, "__len__"):
        msg = f"{wanted}, got {values!r}."
        raise TypeError(msg)
    if np.shape(values) != (n_genes,):
        msg = f"{wanted}, got shape {np.shape(values)}."
        raise ValueError(msg)
    values = pd.Series(np.asarray(values, dtype=object))
    missing = values.isna()
    if missing.any():
        msg = f"{name} is missing for {missing.sum()} of {n_genes} genes. These genes are left out."
        warn(msg)
    there = values[~missing]
    wrong = [
        value
        for value in there
        if not isinstance(value, (bool, int, float, np.bool_, np.number)) or value not in (0, 1)
    ]
    if wrong:
        msg = f"{wanted}, or hold zeros and ones; got {wrong[0]!r}."
        raise ValueError(msg)
    mask = np.zeros(n_genes, bool)
    mask[~missing] = there.astype(bool)
    return mask
