from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scfcmi import __version__, _validate
from scfcmi._adata import check_adata, column
from scfcmi._logging import logger
from scfcmi.rows import ChunkedRows
from scfcmi.tl._matrix import warn_of_other_scale
from scfcmi.tl._model_matrix import check_model, chunks, matrix_for
from scfcmi.tl._results import actual, check_key, write_clusters

if TYPE_CHECKING:
    from anndata import AnnData

    from scfcmi.models.base import GroupedClusterer


def assign(
    adata: AnnData,
    model: GroupedClusterer,
    *,
    batch_key: str | None = None,
    layer: str | None = None,
    use_rep: str | None = None,
    key_added: str = "fcmi",
    copy: bool = False,
) -> AnnData | None:
    """Label and embed cells with a fitted model, without training.

    Cells may come from batches that the model has never seen. Their types may not: a model gives one of its clusters to
    every cell, and it may be sure of a type that it has never seen. Check markers. Low values in
    ``adata.obsm[key_added + "_proba"]`` show cells between the clusters of the model.

    Parameters
    ----------
    adata
        Cells that were normalized and log-transformed in the same way as those that the model was fitted on. An error
        leaves it as it is. Expression may be on disk or in a Dask array, as for :func:`fair_cluster`.
    model
        Fitted model, from :func:`scfcmi.tl.fit_model`, :func:`scfcmi.load_model` or an estimator's ``fit``.
    batch_key
        Column of ``adata.obs`` with the batches. It changes no label. Batches that the model has not seen are listed in
        ``params``. Batches are compared by the text of their names: 1 and ``"1"`` are one batch.
    layer
        Take expression from this layer instead of ``adata.X``.
    use_rep
        Take this entry of ``adata.obsm`` instead of expression, if the model was fitted on one.
    key_added
        Name under which results are stored.
    copy
        Whether to write to, and return, a copy.

    Returns
    -------
    ``None``, or the copy if ``copy``. Sets the fields of :func:`scfcmi.tl.fair_cluster`:

    ``adata.obs[key_added]``
        Clusters: categorical of strings. Every cluster of the model is a category, with cells or without.
    ``adata.obsm["X_" + key_added]``
        Embedding: float32, shape (n_obs, n_dimensions), rows of unit length.
    ``adata.obsm[key_added + "_proba"]``
        Probability of each cluster for each cell: float32, shape (n_obs, n_clusters), rows summing to one.
    ``adata.uns[key_added]``
        ``params``, and the model's ``history``, ``groups`` and ``information``.

    Raises
    ------
    KeyError
        If a key is not in ``adata``.
    TypeError, ValueError
        If ``model`` is no fitted model. If ``adata`` lacks genes of the model: genes are matched by ``adata.var_names``. A
        model that knows no names takes all genes as they are. If gene names repeat, they must be in the order of the fit.
        If ``adata`` is a view of a file-backed AnnData, and ``copy`` is not given.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    >>> seen, new = adata[:500].copy(), adata[500:].copy()
    >>> model = scfcmi.tl.fit_model(seen, "phase", n_clusters=8, max_epochs=50)
    >>> scfcmi.tl.assign(new, model)
    >>> new.obsm["X_fcmi"].shape
    (200, 100)
    """
    check_adata(adata, copy=copy)
    model = check_model(model)
    check_key(adata, key_added, batch_key)
    matrix = matrix_for(adata, model, layer=layer, use_rep=use_rep)
    params: dict[str, Any] = {"assigned": True, "matrix": matrix.words, "version": __version__}
    if batch_key is not None:
        _validate.key_in(adata.obs.columns, batch_key, "adata.obs")
        params["batch_key"] = batch_key
        _, batches = _validate.group_codes(column(adata.obs, batch_key), adata.n_obs, f"adata.obs[{batch_key!r}]")
        unseen = [name for name in batches if name not in set(model.groups_)]
        if unseen:
            params["unseen_groups"] = np.array(unseen, dtype=object)
            logger.info("assign: %d batches that the model has not seen: %s", len(unseen), ", ".join(unseen))
    warn_of_other_scale(matrix, getattr(model, "feature_means_", None))
    if isinstance(matrix.X, ChunkedRows):
        embedding = model.encoded(matrix.X)
    else:
        embedding = np.concatenate([model.encoded(rows) for rows in chunks(matrix.X, model)])
    proba = model.assignment_of(embedding)

    out = actual(adata, copy=copy)
    write_clusters(out, key_added, model, embedding, proba, proba.argmax(axis=1), params)
    return out if copy else None
