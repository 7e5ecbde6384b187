"""Which numbers of an AnnData a fitted model works on, in the order it was fitted on."""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted

from scfcmi._logging import warn
from scfcmi.models.base import GroupedClusterer
from scfcmi.rows import ChunkedRows
from scfcmi.tl._matrix import Matrix, choose_matrix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData

_CHUNK = 8192


def check_model(model: object) -> GroupedClusterer:
    """Return ``model`` if it is a fitted estimator; ``TypeError`` or ``NotFittedError`` otherwise."""
    if not isinstance(model, GroupedClusterer):
        msg = (
            f"model must be a scfcmi.AtlasFCMI or a scfcmi.FCMI, got {type(model).__name__}. "
            "To read one from a file: scfcmi.load_model(path)."
        )
        raise TypeError(msg)
    check_is_fitted(model, "n_clusters_")
    return model


def known_names(model: GroupedClusterer) -> np.ndarray | None:
    """Return the names of the features that ``model`` was fitted on, if it knows them."""
    return getattr(model, "var_names_", getattr(model, "feature_names_in_", None))


def matrix_for(adata: AnnData, model: GroupedClusterer, *, layer: str | None, use_rep: str | None) -> Matrix:
    """Return the features that ``model`` was fitted on, in its order.

    Raises
    ------
    KeyError
        If a key is not there.
    ValueError
        If features of the model are not in ``adata``, or their number differs.
    """
    names, fitted_on = known_names(model), getattr(model, "use_rep_", None)
    if names is not None and fitted_on is None:
        if use_rep is not None:
            msg = f"use_rep={use_rep!r}: the model was fitted on {len(names)} named features. Drop use_rep."
            raise ValueError(msg)
        mask = _mask_of(adata, names)
        _warn_of_layer(adata, model, layer)
        matrix = choose_matrix(adata, use_rep=None, layer=layer, mask_var=mask)
        where = "X" if layer is None else f"layers[{layer!r}]"
        matrix = replace(matrix, words=f"the model's {len(names)} features of {where}")
        found = adata.var_names[mask]
        if np.array_equal(found, names):
            return matrix
        order = found.get_indexer(names)
        X = matrix.X.with_columns(order) if isinstance(matrix.X, ChunkedRows) else matrix.X[:, order]
        return replace(matrix, X=X, names=names)
    if use_rep is None and fitted_on is not None:
        msg = (
            f"The model was fitted on adata.obsm[{fitted_on!r}]. Say where these cells have it: use_rep={fitted_on!r}."
        )
        raise ValueError(msg)
    if layer is None:
        matrix = choose_matrix(adata, use_rep="X" if use_rep is None else use_rep, layer=None, mask_var=None)
    else:
        matrix = choose_matrix(adata, use_rep=use_rep, layer=layer, mask_var=np.ones(adata.n_vars, bool))
    if np.prod(matrix.X.shape[1:]) != model.n_features_in_:
        msg = (
            f"The model was fitted on {model.n_features_in_} features without names, got {matrix.words}. Give the same "
            "features in the same order: genes by subsetting adata, or an entry of obsm by use_rep."
        )
        raise ValueError(msg)
    return matrix if names is None else _in_order(matrix, names, use_rep)


def _in_order(matrix: Matrix, names: np.ndarray, use_rep: str | None) -> Matrix:
    """Return the columns of a data frame of ``obsm`` in the order of ``fit``."""
    found = pd.Index([] if matrix.names is None else matrix.names)
    if np.array_equal(found, names):
        return matrix
    if not found.is_unique or set(found) != set(names):
        msg = (
            f"The model was fitted on a data frame with the columns {list(names[:5])}{', ...' if len(names) > 5 else ''}. "
            f"adata.obsm[{use_rep!r}] must be one with the same columns."
        )
        raise ValueError(msg)
    return replace(matrix, X=matrix.X[:, found.get_indexer(names)], names=names)


def _warn_of_layer(adata: AnnData, model: GroupedClusterer, layer: str | None) -> None:
    fitted_on = getattr(model, "layer_", None)
    if fitted_on is not None and layer is None and fitted_on in adata.layers:
        msg = (
            f"The model was fitted on adata.layers[{fitted_on!r}], and is given adata.X. If X holds other numbers, clusters are "
            f"wrong: give layer={fitted_on!r}."
        )
        warn(msg)


def chunks(
    X: np.ndarray | sp.csr_matrix | sp.csr_array | ChunkedRows, model: GroupedClusterer
) -> Iterator[np.ndarray | pd.DataFrame]:
    """Yield rows as ``fit`` was given them: as data frames if it was, since scikit-learn compares their names."""
    if isinstance(X, ChunkedRows):
        yield from (block.cpu().numpy() for block in X.blocks(_CHUNK))
        return
    names = getattr(model, "feature_names_in_", None)
    for rows in gen_batches(X.shape[0], _CHUNK):
        part = X[rows]
        if names is None:
            yield part
        else:
            yield pd.DataFrame(part.toarray() if sp.issparse(part) else part, columns=names)


def decoder_only(model: GroupedClusterer) -> GroupedClusterer:
    """Return a model without what it keeps of the cells of ``fit``, so that little travels to workers, which may have no GPU."""
    model.prepare_decoding()
    light = copy(model)
    light.device, light._network = "cpu", deepcopy(model._network).cpu()
    for name in ("embedding_", "labels_", "graph_"):
        light.__dict__.pop(name, None)
    return light


def _mask_of(adata: AnnData, names: np.ndarray) -> np.ndarray:
    missing = pd.Index(names).difference(adata.var_names, sort=False)
    if len(missing):
        shown = ", ".join(repr(name) for name in missing[:5]) + (", ..." if len(missing) > 5 else "")
        msg = (
            f"{len(missing)} of the {len(names)} features that the model was fitted on are not in adata.var_names: "
            f"{shown}. Check that genes go by the same names. If they were not measured, fit the model again on the genes that "
            "both have (mask_var)."
        )
        raise ValueError(msg)
    mask = adata.var_names.isin(names)
    found = adata.var_names[mask]
    if np.array_equal(found, names):
        # The same names in the same order need no matching, repeated or not.
        return mask
    if not found.is_unique:
        msg = (
            f"adata.var_names has {found[found.duplicated()][0]!r} more than once: which of them is the model's cannot be "
            "told. Run adata.var_names_make_unique()."
        )
        raise ValueError(msg)
    if len(found) < len(names):
        repeated = pd.Index(names)[pd.Index(names).duplicated()][0]
        msg = (
            f"The model was fitted on features of which {repeated!r} is one more than once, so that they cannot be matched. "
            "Run adata.var_names_make_unique() before fitting."
        )
        raise ValueError(msg)
    return mask
