"""Which numbers of an AnnData a fitted model works on, in the order it was fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from scfcmi.model import FCMI
from scfcmi.tl._matrix import choose_matrix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData

_CHUNK = 8192


def check_model(model: object) -> FCMI:
    """Return ``model`` if it is a fitted FCMI; ``TypeError`` or ``NotFittedError`` otherwise."""
    if not isinstance(model, FCMI):
        msg = f"model must be a scfcmi.FCMI, got {type(model).__name__}. Of a file: scfcmi.FCMI.load(path)."
        raise TypeError(msg)
    check_is_fitted(model, "cluster_centers_")
    return model


def known_names(model: FCMI) -> np.ndarray | None:
    """Return the names of the features that ``model`` was fitted on, if it knows them."""
    return getattr(model, "var_names_", getattr(model, "feature_names_in_", None))


def matrix_for(
    adata: AnnData, model: FCMI, *, layer: str | None, use_rep: str | None
) -> tuple[np.ndarray | sp.csr_matrix | sp.csr_array, str]:
    """Return the features that ``model`` was fitted on, float32, in its order, and a few words that say what they are.

    Raises
    ------
    KeyError
        If a key is not there.
    ValueError
        If features of the model are not in ``adata``, or their number differs.
    """
    names = known_names(model)
    if names is not None:
        if use_rep is not None:
            msg = f"use_rep={use_rep!r}: the model was fitted on {len(names)} named features. Drop use_rep."
            raise ValueError(msg)
        mask = _mask_of(adata, names)
        X, matrix = choose_matrix(adata, use_rep=None, layer=layer, mask_var=mask)
        order = adata.var_names[mask].get_indexer(names)
        return (X if np.array_equal(order, np.arange(len(names))) else X[:, order]), matrix
    if layer is None:
        X, matrix = choose_matrix(adata, use_rep="X" if use_rep is None else use_rep, layer=None, mask_var=None)
    else:
        X, matrix = choose_matrix(adata, use_rep=use_rep, layer=layer, mask_var=np.ones(adata.n_vars, bool))
    if np.prod(X.shape[1:]) != model.n_features_in_:
        msg = (
            f"The model was fitted on {model.n_features_in_} features without names, got {matrix}. Give the same "
            "features in the same order: genes by subsetting adata, or an entry of obsm by use_rep."
        )
        raise ValueError(msg)
    return X, matrix


def chunks(X: np.ndarray | sp.csr_matrix | sp.csr_array, model: FCMI) -> Iterator[np.ndarray | pd.DataFrame]:
    """Yield rows as ``fit`` was given them: as data frames if it was, since scikit-learn compares their names."""
    names = getattr(model, "feature_names_in_", None)
    for start in range(0, X.shape[0], _CHUNK):
        part = X[start : start + _CHUNK]
        if names is None:
            yield part
        else:
            yield pd.DataFrame(part.toarray() if sp.issparse(part) else part, columns=names)


def _mask_of(adata: AnnData, names: np.ndarray) -> np.ndarray:
    missing = pd.Index(names).difference(adata.var_names, sort=False)
    if len(missing):
        shown = ", ".join(repr(name) for name in missing[:5]) + (", ..." if len(missing) > 5 else "")
        msg = (
            f"{len(missing)} of the {len(names)} features that the model was fitted on are not in adata.var_names: "
            f"{shown}. Check that genes go by the same names; add columns of zeros for genes that were not measured."
        )
        raise ValueError(msg)
    mask = adata.var_names.isin(names)
    if mask.sum() > len(names):
        repeated = adata.var_names[mask & adata.var_names.duplicated()][0]
        msg = f"adata.var_names has {repeated!r} more than once. Run adata.var_names_make_unique()."
        raise ValueError(msg)
    return mask
