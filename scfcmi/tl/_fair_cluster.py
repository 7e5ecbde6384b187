from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scfcmi import __version__, _validate
from scfcmi._adata import check_adata
from scfcmi._logging import logger, warn
from scfcmi._random import RandomState, seed_from
from scfcmi.models.consensus import joined
from scfcmi.models.registry import new_model
from scfcmi.tl._batches import batches_of
from scfcmi.tl._evaluate import information_of
from scfcmi.tl._matrix import choose_matrix, warn_of_unmeasured
from scfcmi.tl._results import actual, check_key, write_clusters

if TYPE_CHECKING:
    import os

    from anndata import AnnData
    from numpy.typing import ArrayLike

    from scfcmi.models.base import GroupedClusterer

# Arguments that change how a result is reached, not the result.
_NOT_THE_RESULT = ("progress", "checkpoint", "callbacks")


def fair_cluster(
    adata: AnnData,
    batch_key: str,
    *,
    n_clusters: int | None = None,
    resolution: float | None = None,
    mode: Literal["atlas", "paper"] = "atlas",
    layer: str | None = None,
    use_rep: str | None = None,
    mask_var: str | ArrayLike | None = None,
    key_added: str = "fcmi",
    agreement: float | None = None,
    n_neighbors: int | None = None,
    n_components: int | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    balance: float | None = None,
    n_runs: int | None = None,
    max_epochs: int | None = None,
    batch_size: int | None = None,
    random_state: RandomState = 0,
    rng: RandomState = None,
    device: str = "auto",
    precision: Literal["auto", "float32", "bfloat16"] | None = None,
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Cluster cells so that clusters follow biology and not the batch.

    Atlas mode, the default, trains :class:`scfcmi.AtlasFCMI` in three steps. It computes 50 principal components of weighted
    genes and 50 of unscaled genes. It removes the batch by making cells agree with their mutual nearest neighbors in other
    batches. It finds communities of their neighbor graphs, added up, with Leiden; a classifier of them labels every cell.

    Paper mode trains :class:`scfcmi.FCMI`, Eq. 12 of Zeng et al. (CVPR 2023), on expression itself. An argument of the
    other mode is an error.

    Parameters
    ----------
    adata
        Annotated data with log-normalized expression. An error or an interrupt leaves it as it is. A view becomes an actual
        AnnData when written to. Expression may be on disk (file-backed, or from ``read_lazy``) or a Dask array. Atlas mode
        then reads it in parts, on the workers of the active Dask client if there is one. Results go to the AnnData
        in memory; the file on disk does not change. The embedding lies in a temporary file, which is deleted when nothing uses it any more.
    batch_key
        Column of ``adata.obs`` that clusters must not follow: technology, donor, laboratory. Its values may be of any kind,
        such as strings, numbers, dates or intervals. Batches are told apart by the text of their values: 1, 1.0 and
        ``"1"`` are one batch, also in saved models and in :func:`assign`. The column stays as it is. Unused categories are
        dropped.
    n_clusters
        Number of clusters. ``None`` lets ``resolution`` decide. Paper mode needs a number.
    resolution
        Atlas mode: resolution of Leiden, as in scanpy. Larger values give more clusters. ``None`` is 0.3. Give either this
        or ``n_clusters``. :func:`scfcmi.tl.choose_n_clusters` shows what each resolution gives.
    mode
        ``"atlas"`` for cells. ``"paper"`` for images, or to set ``alpha``, ``beta`` or ``balance``.
    layer
        Take expression from this layer instead of ``adata.X``.
    use_rep
        Take this entry of ``adata.obsm`` instead of expression; ``"X"`` takes all of ``adata.X``.
    mask_var
        Genes to use: the name of a column of ``adata.var``, or an array with an entry for each gene, of booleans or of
        zeros and ones. A Series is matched by ``adata.var_names``. Genes with missing entries are not used, with a warning.
        ``None`` uses the genes marked ``highly_variable``, or all genes if there is no such column. Of more than 4,000
        genes, atlas mode uses the 4,000 with the largest variance.
    key_added
        Name under which results are stored.
    agreement
        Atlas mode: how strongly the batch is corrected. Larger values pull a cell closer to its counterparts in other
        batches, 0 corrects nothing. ``None`` takes the default of :class:`scfcmi.AtlasFCMI`, 4.
    n_neighbors
        Atlas mode: counterparts of a cell are searched among so many neighbors in each other batch. ``None`` takes the
        default of :class:`scfcmi.AtlasFCMI`.
    n_components
        Atlas mode: number of principal components of weighted, and of unscaled genes. Paper mode: dimension of the code.
        ``None`` takes the default of the estimator.
    alpha
        Paper mode: weight of L_clu, Eq. 7. ``None`` is the paper's 0.04.
    beta
        Paper mode: weight of L_fair = I(G;C), Eq. 8. ``None`` decides as the paper does for its atlas: 0 where cell types
        are unevenly spread over batches, 0.20 otherwise (see :class:`scfcmi.FCMI`). Atlas mode has beta = 0.
    balance
        Paper mode: weight of -H(C), which pulls clusters to one size. ``None`` decides as :class:`scfcmi.FCMI` does.
    n_runs
        Paper mode: cluster this many times, with the seeds ``random_state``, ``random_state + 1`` and so on, and take the
        consensus (:func:`scfcmi.consensus`). The consensus varies less with the seed than one run does.
    max_epochs
        Number of passes over the cells. ``None`` in atlas mode: as many as 300 mini-batches allow, at most 60. ``None`` in
        paper mode: as many as 1,000 mini-batches allow, between 10 and 300; training ends early when clusters have not
        changed for ten epochs.
    batch_size
        Number of cells in a mini-batch. ``None`` takes the paper's 512.
    random_state
        Seed, or a numpy generator; ``None`` draws a seed. An integer gives the same labels again on the same machine.
    rng
        The same under the name that newer scanpy has. Give one of the two.
    device
        ``"auto"`` (CUDA if there is one, else CPU), or any name torch knows.
    precision
        Paper mode: ``"auto"``, ``"float32"`` or ``"bfloat16"``, as :class:`scfcmi.FCMI`.
    progress
        Whether to draw a progress bar. ``None`` draws it on a terminal or in a notebook only.
    checkpoint
        File that keeps the state of the run. If the run is killed, the same call goes on from this file. Atlas mode keeps
        the principal components, so that a killed run does not read expression again. Paper mode keeps the state of
        training.
    copy
        Whether to write to, and return, a copy.

    Returns
    -------
    ``None``, or the copy if ``copy``. Use :func:`scfcmi.tl.fit_model` to get the fitted model. Sets the following fields:

    ``adata.obs[key_added]``
        Clusters: categorical of strings. Every cluster is a category, with cells or without.
    ``adata.obsm["X_" + key_added]``
        Embedding: float32, rows of unit length, shape (n_obs, n_dimensions). Atlas mode has 50 dimensions
        for weighted and 50 for unscaled genes, or those of ``use_rep``. Paper mode has n_components: as many as n_clusters
        unless given.
    ``adata.obsm[key_added + "_proba"]``
        Probability of each cluster for each cell: float32, shape (n_obs, n_clusters), columns in the order of the
        categories, rows summing to one.
    ``adata.obsp[key_added + "_connectivities"]``
        Atlas mode, up to 50,000 cells: neighbor graph, sparse, symmetric, float32, shape (n_obs, n_obs). ``sc.tl.leiden``,
        ``sc.tl.paga`` and ``sc.tl.umap`` work on it with ``neighbors_key=key_added``.
    ``adata.obs[key_added + "_agreement"]``
        With ``n_runs`` of two or more: the share of runs that give the cell this cluster, float32. The embedding, and the
        model of :func:`fit_model`, are then those of the run that agrees most.
    ``adata.uns[key_added]``
        ``params``: settings as used, and ``call``, the arguments as given. ``history``: data frame with a row for each
        epoch, as ``history_`` of the model. ``groups``: names of the batches, in the order in which the model counts them.
        ``information``: H(C), H(C|X), I(G;C) and I(X;C|G) of the probabilities, in nats. With a graph also
        ``connectivities_key`` and ``distances_key``, both its name, by which scanpy finds it.

    A map, a diagnosis or other results of earlier clusters under this key no longer hold, and are removed.

    Raises
    ------
    KeyError
        If a key is not in ``adata``.
    TypeError, ValueError
        If an argument is of the wrong kind or value, or belongs to the other mode. If ``adata`` is no AnnData (a path, a
        MuData), or a view of a file-backed one. If it has one batch only, cells without a batch, no cells, no genes, the
        same values in all cells, or values that are NaN or infinite. If a file of expression is damaged, or changes while
        it is read.
    RuntimeError
        If the workers or the scheduler of a Dask cluster no longer answer.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    >>> scfcmi.tl.fair_cluster(adata, "phase", n_clusters=8, max_epochs=50)
    >>> adata.obs["fcmi"].cat.categories[:3].tolist()
    ['0', '1', '2']
    """
    out, _ = _run(
        adata,
        batch_key,
        copy=copy,
        mode=mode,
        layer=layer,
        use_rep=use_rep,
        mask_var=mask_var,
        key_added=key_added,
        random_state=random_state,
        rng=rng,
        n_clusters=n_clusters,
        resolution=resolution,
        agreement=agreement,
        n_neighbors=n_neighbors,
        n_components=n_components,
        alpha=alpha,
        beta=beta,
        balance=balance,
        n_runs=n_runs,
        max_epochs=max_epochs,
        batch_size=batch_size,
        device=device,
        precision=precision,
        progress=progress,
        checkpoint=checkpoint,
    )
    return out if copy else None


def fit_model(adata: AnnData, batch_key: str, **settings: Any) -> GroupedClusterer:
    """Cluster cells as :func:`fair_cluster` does, and return the fitted model: save it, or label new cells with it.

    Parameters
    ----------
    adata, batch_key
        As :func:`fair_cluster`.
    settings
        Keyword arguments of :func:`fair_cluster`, without ``copy``. Other parameters of the mode's estimator work, too, such
        as ``callbacks``.

    Returns
    -------
    The fitted :class:`scfcmi.AtlasFCMI` or :class:`scfcmi.FCMI`. Sets the fields of :func:`fair_cluster`.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`fair_cluster`.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    >>> model = scfcmi.tl.fit_model(adata, "phase", n_clusters=8, max_epochs=50)
    >>> model.predict(adata[:3, model.var_names_].X).shape
    (3,)
    """
    if "copy" in settings:
        msg = "fit_model takes no copy: it returns the model, and writes to adata. To keep adata, give adata.copy()."
        raise TypeError(msg)
    return _run(adata, batch_key, **settings)[1]


def _run(
    adata: AnnData,
    batch_key: str,
    *,
    mode: str = "atlas",
    layer: str | None = None,
    use_rep: str | None = None,
    mask_var: str | ArrayLike | None = None,
    key_added: str = "fcmi",
    random_state: RandomState = 0,
    rng: RandomState = None,
    copy: bool = False,
    n_runs: int | None = None,
    **parameters: Any,
) -> tuple[AnnData, GroupedClusterer]:
    """Fit and write; return what was written to, and the model. Parameters that are ``None`` are left to the estimator."""
    check_adata(adata, copy=copy)
    batches = batches_of(adata, batch_key)
    check_key(adata, key_added, batch_key)
    n_clusters = parameters.get("n_clusters")
    if n_clusters is None and mode == "paper":
        msg = "mode='paper' needs n_clusters. Give a number, or use mode='atlas'."
        raise ValueError(msg)
    if n_clusters is not None and _validate.integer("n_clusters", n_clusters, minimum=2) > adata.n_obs:
        msg = f"n_clusters={n_clusters} is more than the number of cells, {adata.n_obs}."
        raise ValueError(msg)
    _check_n_runs(n_runs, mode, parameters)
    matrix = choose_matrix(adata, use_rep=use_rep, layer=layer, mask_var=mask_var)
    warn_of_unmeasured(matrix, batches)
    given = {name: value for name, value in parameters.items() if value is not None}
    # None means something to the estimator: clusters at a resolution, a representation that is not projected.
    given["n_clusters"] = n_clusters
    if matrix.is_representation and mode == "atlas":
        if "n_components" in given:
            msg = f"use_rep={use_rep!r} is taken as it is: drop n_components={given['n_components']}, which is for expression."
            raise ValueError(msg)
        given["n_components"] = None
    given["random_state"] = seed_from(random_state, rng)
    call = _as_json(given | {"n_runs": n_runs} | {"layer": layer, "use_rep": use_rep, "mask_var": mask_var})
    if len(batches.categories) > adata.n_obs // 2:
        msg = (
            f"adata.obs[{batch_key!r}] has {len(batches.categories)} batches for {adata.n_obs} cells. A batch of one cell "
            "tells nothing of what batches do: clusters will hardly be corrected."
        )
        warn(msg)
    seeds = [given["random_state"] + run for run in range(n_runs or 1)]
    models = [new_model(mode, images=len(matrix.X.shape) > 2, **given | {"random_state": seed}) for seed in seeds]
    logger.info(
        "fair_cluster: %d cells, %s, %d batches of obs[%r]; mode %r",
        *(adata.n_obs, matrix.words, len(batches.categories), batch_key, mode),
    )
    for model in models:
        model.fit(matrix.X, groups=batches)
        logger.info("fair_cluster: %d clusters; %s", model.n_clusters_, model.settings_)
    model, labels, proba, agreed = joined(models)
    if matrix.names is not None:
        model.var_names_ = matrix.names
    model.use_rep_, model.layer_ = use_rep if matrix.is_representation else None, layer
    out = actual(adata, copy=copy)
    params = {"mode": mode, "batch_key": batch_key, "matrix": matrix.words, "version": __version__, "call": call}
    graph = getattr(model, "graph_", None)
    if n_runs is not None:
        params["n_runs"] = n_runs
    write_clusters(out, key_added, model, model.embedding_, proba, labels, params, graph, agreed)
    if agreed is not None:
        out.uns[key_added]["information"] = information_of(proba, batches)
    return out, model


def _check_n_runs(n_runs: object, mode: str, parameters: dict[str, Any]) -> None:
    if n_runs is None:
        return
    _validate.integer("n_runs", n_runs, minimum=1)
    if mode != "paper":
        msg = f"mode={mode!r} does not take n_runs. Drop it, or use mode='paper'."
        raise TypeError(msg)
    if parameters.get("checkpoint") is not None:
        msg = f"checkpoint keeps the state of one run, and n_runs={n_runs}. Drop one of them."
        raise ValueError(msg)


def _as_json(call: dict[str, Any]) -> str:
    """Return the arguments of a call, for ``scfcmi repeat``; null for one that JSON does not hold, such as a mask."""
    told = {name: value for name, value in call.items() if value is not None and name not in _NOT_THE_RESULT}
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in told.items()}
    return json.dumps({k: v if isinstance(v, (bool, int, float, str)) else None for k, v in plain.items()})
