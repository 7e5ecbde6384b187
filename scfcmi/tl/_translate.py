from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from scfcmi import _validate
from scfcmi._adata import check_adata
from scfcmi.rows import DaskRows
from scfcmi.tl._model_matrix import check_model, chunks, decoder_only, known_names, matrix_for
from scfcmi.tl._results import actual, check_name, layer_name

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scfcmi.models.base import GroupedClusterer


def translate(
    adata: AnnData,
    model: GroupedClusterer,
    to: str | int | bool,  # noqa: FBT001  # the name of a group, of whatever kind the column is
    *,
    layer: str | None = None,
    layer_added: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Show every cell as if another batch had measured it.

    The model encodes cells as they are, and decodes them as members of the batch ``to`` (Fig. 4 of Zeng et al., CVPR 2023).
    The result is a reconstruction, on the scale that the model was fitted on. It is smoother than any measurement, and below
    zero in places. Look at it, but do not test differential expression on it.

    Parameters
    ----------
    adata
        Cells with the genes of the model and no others. Their batches may be new to the model. An error leaves it as it is.
    model
        Model fitted on expression, from :func:`scfcmi.tl.fit_model`, :func:`scfcmi.load_model` or an estimator's ``fit``.
    to
        The batch to show the cells as: one of ``model.groups_``.
    layer
        Take expression from this layer instead of ``adata.X``.
    layer_added
        Name of the layer to write. It must not exist. ``None`` takes ``"fcmi_"`` and the name of ``to``, with ``_`` in
        place of slashes and control characters. A layer of this name is replaced.
    copy
        Whether to write to, and return, a copy.

    Returns
    -------
    ``None``, or the copy if ``copy``. Sets the following field:

    ``adata.layers[layer_added]``
        Decoded expression: dense, float32, shape (n_obs, n_vars). If expression is a Dask array, so is
        this layer: cells are decoded when it is written or computed.

    Raises
    ------
    KeyError
        If a key is not in ``adata``.
    TypeError, ValueError
        If ``model`` is no fitted model, ``to`` is none of its batches, ``layer_added`` exists or cannot be stored, or
        ``adata`` has other genes than the model.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    >>> model = scfcmi.tl.fit_model(adata, "phase", n_clusters=8, max_epochs=50)
    >>> genes = adata[:, model.var_names_].copy()
    >>> scfcmi.tl.translate(genes, model, "G1")
    >>> genes.layers["fcmi_G1"].shape == genes.shape
    True
    """
    check_adata(adata, copy=copy)
    model = check_model(model)
    to = model.groups_[_validate.known_groups([to], model.groups_)[0]]
    if layer_added is None:
        layer_added = layer_name(to, model.groups_)
    else:
        check_name("layer_added", layer_added)
        if layer_added in adata.layers:
            msg = f"adata.layers[{layer_added!r}] is there already. Give another layer_added, or delete it first."
            raise ValueError(msg)
    if getattr(model, "use_rep_", None) is not None:
        msg = f"The model was fitted on adata.obsm[{model.use_rep_!r}], so that it knows no genes to decode."
        raise ValueError(msg)
    matrix = matrix_for(adata, model, layer=layer, use_rep=None)
    names = known_names(model)
    if adata.n_vars != model.n_features_in_:
        msg = (
            f"adata has {adata.n_vars} features, the model decodes {model.n_features_in_}, and a layer holds all. "
            "Give adata[:, model.var_names_].copy()."
        )
        raise ValueError(msg)
    order = None
    if names is not None and not np.array_equal(adata.var_names, names):
        order = np.argsort(adata.var_names.get_indexer(names))
    if isinstance(matrix.X, DaskRows):
        decoded = matrix.X.lazily(partial(_decode, decoder_only(model), to, order))
    else:
        decoded = np.concatenate([_decode(model, to, order, rows) for rows in chunks(matrix.X, model)])

    out = actual(adata, copy=copy)
    out.layers[layer_added] = decoded
    return out if copy else None


def _decode(model: GroupedClusterer, to: str, order: np.ndarray | None, rows: np.ndarray | pd.DataFrame) -> np.ndarray:
    decoded = model.reconstruct(rows, np.full(rows.shape[0], to)).reshape(rows.shape[0], -1)
    return decoded if order is None else decoded[:, order]
