from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from natsort import natsorted

from scfcmi import __version__, _validate
from scfcmi._logging import logger
from scfcmi._random import RandomState, seed_from
from scfcmi.tl._batches import batch_codes
from scfcmi.tl._choose_n_clusters import stored_curve
from scfcmi.tl._matrix import choose_matrix, feature_names
from scfcmi.tl._modes import atlas_model, choose_mode, paper_model

if TYPE_CHECKING:
    import os

    import numpy as np
    from anndata import AnnData
    from numpy.typing import ArrayLike

    from scfcmi.model import FCMI

_BATCH_SIZE = 512


def fair_cluster(
    adata: AnnData,
    batch_key: str,
    *,
    n_clusters: int | None = None,
    mode: Literal["atlas", "paper"] | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    balance: float | None = None,
    layer: str | None = None,
    use_rep: str | None = None,
    mask_var: str | ArrayLike | None = None,
    key_added: str = "fcmi",
    max_epochs: int | None = None,
    batch_size: int | None = None,
    random_state: RandomState = 0,
    device: str = "auto",
    precision: Literal["auto", "float32", "bfloat16"] | None = None,
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    return_model: bool = False,
    copy: bool = False,
) -> AnnData | FCMI | tuple[AnnData, FCMI] | None:
    """Cluster cells so that clusters follow biology and not the batch.

    By default, in atlas mode, trains :class:`scfcmi.AtlasFCMI`: expression is scaled and projected to 50 principal
    components, and the batch is removed by making cells agree with their mutual nearest neighbours in other batches.
    In paper mode, trains :class:`scfcmi.FCMI`, Eq. 12 of Zeng et al. (CVPR 2023), on expression itself.

    Parameters
    ----------
    adata
        Annotated data. Left as it is by any error or interrupt. A view becomes an actual AnnData when written to.
    batch_key
        Column of ``adata.obs`` that clusters must not follow: technology, donor, laboratory. Categorical, string,
        integer or boolean; unused categories are dropped.
    n_clusters
        Number of clusters. ``None`` estimates it, in atlas mode (see :func:`scfcmi.tl.choose_n_clusters`).
    mode
        ``"atlas"`` or ``"paper"``. ``None`` takes the paper's for images and where ``alpha``, ``beta``, ``balance``,
        ``precision`` or ``checkpoint`` is given, which only it has, and else the atlas'.
    alpha
        Weight of L_clu, Eq. 7: compact clusters. ``None`` is the paper's 0.04.
    beta
        Weight of L_fair = I(G;C), Eq. 8: clusters independent of the batch. In paper mode, ``None`` decides as the paper
        does for its atlas: 0 where cell types are unevenly spread over batches, 0.20 otherwise. Uneven means that
        the composition imbalance, an estimate of I(G;Y) / H(G) that needs no labels, is above 0.01 (see
        ``scfcmi.model.composition.composition_imbalance``); it is stored in ``params``. In the uneven case
        ``balance`` is 0 as well, unless given. Atlas mode is beta = 0.
    balance
        Weight of -H(C): clusters of one size. ``None`` takes ``alpha``, as Eq. 7, but for the case just named.
    layer
        Take expression from this layer instead of ``adata.X``.
    use_rep
        Take this entry of ``adata.obsm`` instead of expression; ``"X"`` takes all of ``adata.X``.
    mask_var
        Genes to take: a boolean column of ``adata.var``, or an array. ``None`` takes those marked
        ``highly_variable``, all if none are marked.
    key_added
        Name under which results are stored.
    max_epochs
        Passes over the cells. ``None`` takes as many as 1,000 mini-batches allow: in atlas mode between 1 and 100; in
        paper mode between 10 and the paper's 300, and training ends early when clusters have not changed for ten epochs.
    batch_size
        Cells a mini-batch. ``None`` takes the paper's 512.
    random_state
        Seed. An integer gives the same labels again on the same machine.
    device
        ``"auto"`` (CUDA if there is one, else CPU), or any name torch knows.
    precision
        ``"auto"``, ``"float32"`` or ``"bfloat16"``, as :class:`scfcmi.FCMI`; ``None`` is ``"auto"`` in paper mode, float32
        in the other.
    progress
        Whether to draw a progress bar. ``None`` draws it on a terminal or in a notebook only.
    checkpoint
        File to keep the state of training in, and to go on from if it exists. Paper mode only: the other trains for a
        minute.
    return_model
        Whether to return the fitted model.
    copy
        Whether to write to, and return, a copy.

    Returns
    -------
    ``None``; the copy if ``copy``; the model if ``return_model``; both, in this order, if both. Sets the following
    fields:

    ``adata.obs[key_added]``
        Clusters: categorical of strings, in natural order.
    ``adata.obsm["X_" + key_added]``
        Embedding: float32, rows of unit length, shape (n_obs, n_components): 50, or the dimensions of
        ``use_rep``, or n_clusters in paper mode.
    ``adata.obsm[key_added + "_proba"]``
        Soft assignment: float32, shape (n_obs, n_clusters), rows summing to one.
    ``adata.uns[key_added]``
        ``params`` (settings as used), ``history`` (data frame, a row an epoch, as ``history_`` of the model),
        ``cluster_centers`` (shape (n_clusters, n_components), unit length) and ``groups`` (names of the batches in
        code order).
    ``adata.uns[key_added + "_n_clusters"]``
        If ``n_clusters`` was ``None``, as :func:`scfcmi.tl.choose_n_clusters`.

    Raises
    ------
    KeyError
        If a key is not in ``adata``.
    TypeError, ValueError
        If an argument is of the wrong kind or value, ``adata`` has one batch only, cells without a batch, no cells
        or no features, or values that are NaN or infinite.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced()
    >>> scfcmi.tl.fair_cluster(adata, "phase", n_clusters=8, max_epochs=50)
    >>> adata.obs["fcmi"].cat.categories[:3].tolist()
    ['0', '1', '2']
    """
    batches, groups = batch_codes(adata, batch_key)
    if not isinstance(key_added, str) or not key_added or key_added == batch_key:
        msg = f"key_added must be a non-empty string other than batch_key, got {key_added!r}."
        raise ValueError(msg)
    if n_clusters is not None and _validate.integer("n_clusters", n_clusters, minimum=2) > adata.n_obs:
        msg = f"n_clusters={n_clusters} is more than the number of cells, {adata.n_obs}."
        raise ValueError(msg)
    seed = seed_from(random_state)
    X, matrix = choose_matrix(adata, use_rep=use_rep, layer=layer, mask_var=mask_var)
    batch_size = _BATCH_SIZE if batch_size is None else _validate.integer("batch_size", batch_size, minimum=2)
    weights = {"alpha": alpha, "beta": beta, "balance": balance}
    mode = choose_mode(mode, images=X.ndim > 2, **weights, precision=precision, checkpoint=checkpoint)
    common = {"random_state": seed, "device": device, "progress": progress}
    if mode == "atlas":
        # An entry of obsm is a representation already: scaling its dimensions would make noise as large as signal.
        common |= {"project": use_rep in (None, "X")}
        model, params = atlas_model(adata.n_obs, n_clusters, batch_size=batch_size, max_epochs=max_epochs, **common)
    else:
        common |= {"precision": precision or "auto", "checkpoint": checkpoint}
        model, params = paper_model(
            X, batches, n_clusters, **weights, batch_size=batch_size, max_epochs=max_epochs, **common
        )
    logger.info(
        "fair_cluster: %d cells, %s, %d batches of obs[%r]; mode %r, %s; at most %d epochs",
        *(adata.n_obs, matrix, len(groups), batch_key, mode, params, model.max_epochs),
    )
    model.fit(X, groups=groups[batches])
    proba = model.assignment_of(model.embedding_)
    genes = feature_names(adata, X, use_rep=use_rep, mask_var=mask_var)
    if genes is not None:
        model.var_names_ = genes

    params |= {
        "mode": mode,
        "batch_key": batch_key,
        "n_clusters": len(model.cluster_centers_),
        "n_components": model.embedding_.shape[1],
        "matrix": matrix,
        "temperature": model.temperature_,
        "decoder": model.decoder_,
        "learning_rate": model.learning_rate,
        "batch_size": model.batch_size,
        "max_epochs": model.max_epochs,
        "n_epochs": model.n_iter_,
        "random_state": seed,
        "precision": model.precision_,
        "version": __version__,
    }
    out = adata.copy() if copy else adata
    if out.is_view:
        out._init_as_actual(out.copy())
    _write(out, key_added, model, proba, params, groups)
    if n_clusters is None:
        out.uns[f"{key_added}_n_clusters"] = stored_curve(model)
    if copy:
        return (out, model) if return_model else out
    return model if return_model else None


def _write(
    adata: AnnData, key: str, model: FCMI, proba: np.ndarray, params: dict[str, Any], groups: np.ndarray
) -> None:
    labels = model.labels_.astype(str)
    adata.obs[key] = pd.Categorical(labels, categories=natsorted(set(labels)))
    adata.obsm[f"X_{key}"] = model.embedding_
    adata.obsm[f"{key}_proba"] = proba
    adata.uns[key] = {
        "params": params,
        # Indexed by name: h5ad and zarr keep no name of a range.
        "history": model.history_.set_axis(model.history_.index.astype(str).rename("epoch")),
        "cluster_centers": model.cluster_centers_,
        "groups": groups.astype(str).astype(object),
    }
