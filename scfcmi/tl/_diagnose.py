from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics.cluster import contingency_matrix

from scfcmi import _validate
from scfcmi._random import stream
from scfcmi.models.atlas.counterparts import N_NEIGHBORS, find_counterparts
from scfcmi.tl._batches import batches_of
from scfcmi.tl._results import actual

if TYPE_CHECKING:
    from anndata import AnnData

# A cluster lacks batches if the others make up this share of it, every batch counted as if of one size, and would also if
# there were as many of the one kind as of the other. Where fewer cells are expected than this, nothing is said.
_DOMINATED, _MIN_EXPECTED = 0.9, 5
# More batches than this are not named.
_MOST_NAMED = 3
# Cells have counterparts elsewhere if at least this share of them has; else the cluster is rather a type of its own.
_PAIRED = 0.3
_TINY = 20
_UNSURE = 0.75


def diagnose(
    adata: AnnData, key: str = "fcmi", *, batch_key: str | None = None, use_rep: str | None = None
) -> pd.DataFrame:
    """Say what can be said of clusters without labels.

    A cluster lacks batches if 90 % of it is of the others, batches counted as if they were of one size, and on the mean
    it takes nine times as large a share of these: it may be of one batch, or of all samples of one laboratory.
    Counterparts (mutual nearest neighbours, :func:`scfcmi.models.atlas.counterparts.find_counterparts`) of its cells in the
    batches that it lacks then tell why. Where they have none, these batches hardly have such cells: likely biology.
    Where they have some, these are in other clusters: likely the batch.

    Parameters
    ----------
    adata
        Annotated data that :func:`fair_cluster` has written to; or any clusters and any representation.
    key
        Column of ``adata.obs`` with clusters: the ``key_added`` of :func:`fair_cluster`.
    batch_key
        Column of ``adata.obs``. ``None`` takes the one that clusters were made against.
    use_rep
        Entry of ``adata.obsm`` in which counterparts are sought. ``None`` takes ``"X_" + key``.

    Returns
    -------
    A row a cluster: ``n_cells``; ``batch``, the one with the largest share; ``batch_share``, its share with batches
    counted as of one size; ``frac_matched_elsewhere``, the share of its cells that have counterparts in the batches it
    lacks, NaN where it lacks none; ``counterparts``, the cluster that holds most of these; ``confidence``, the mean over
    cells of the largest soft assignment, NaN for foreign clusters; ``verdict``. Sets ``adata.uns[key + "_diagnosis"]``:

    ``clusters``
        The same table.
    ``training``
        Whether training had settled, in one sentence; not there for foreign clusters.
    ``information``
        H(C), H(C|X), I(G;C) and I(X;C|G) in nats; not there for foreign clusters.

    Raises
    ------
    KeyError
        If a key is not in ``adata``.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced()
    >>> scfcmi.tl.fair_cluster(adata, "phase", n_clusters=6, max_epochs=50)
    >>> table = scfcmi.tl.diagnose(adata)
    >>> len(table)
    6
    """
    hint = f"Run scfcmi.tl.fair_cluster(adata, batch_key, key_added={key!r}) first."
    _validate.key_in(adata.obs.columns, key, "adata.obs", hint=hint)
    own = adata.uns.get(key, {})
    if batch_key is None:
        batch_key = own.get("params", {}).get("batch_key")
        if batch_key is None:
            msg = f"batch_key must be given: adata.uns[{key!r}] does not say which one {key!r} was made against."
            raise ValueError(msg)
    use_rep = f"X_{key}" if use_rep is None else use_rep
    _validate.key_in(adata.obsm.keys(), use_rep, "adata.obsm", hint=hint)
    categorical = batches_of(adata, batch_key)
    batches, batch_names = categorical.codes.astype(np.int64), categorical.categories.to_numpy()
    clusters, names = _validate.group_codes(adata.obs[key], adata.n_obs, f"adata.obs[{key!r}]")

    table, lacks = _shares(clusters, names, batches, batch_names)
    codes = np.asarray(adata.obsm[use_rep], dtype=np.float32)
    table["frac_matched_elsewhere"], table["counterparts"] = np.nan, ""
    for absent in np.unique(lacks[lacks.any(axis=1)], axis=0):
        # Between the batches that are there and those that are not.
        pairs = find_counterparts(codes, absent[batches].astype(int), N_NEIGHBORS, stream(0))
        for cluster in np.flatnonzero((lacks == absent).all(axis=1)):
            paired, elsewhere = _of_cluster(clusters, cluster, len(names), *pairs)
            table.iloc[cluster, table.columns.get_loc("frac_matched_elsewhere")] = paired
            if paired >= _PAIRED:
                table.iloc[cluster, table.columns.get_loc("counterparts")] = str(names[elsewhere])
    proba = adata.obsm.get(f"{key}_proba")
    largest = np.full(adata.n_obs, np.nan) if proba is None else np.asarray(proba).max(axis=1)
    table["confidence"] = [largest[clusters == cluster].mean() for cluster in range(len(names))]
    table["verdict"] = [
        _verdict(row, batch_names[~absent], batch_names[absent])
        for row, absent in zip(table.itertuples(), lacks, strict=True)
    ]

    found: dict[str, object] = {"clusters": table}
    if "params" in own:
        found["training"] = _training(own["params"])
        found["information"] = dict(own["information"])
    actual(adata).uns[f"{key}_diagnosis"] = found
    return table.copy()


def _shares(
    clusters: np.ndarray, names: np.ndarray, batches: np.ndarray, batch_names: np.ndarray
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return sizes and largest batches of clusters, and which batches each lacks, shape (n_clusters, n_batches)."""
    counts = contingency_matrix(clusters, batches)
    of_batch, n_cells = counts.sum(axis=0), counts.sum(axis=1)
    rates = counts / of_batch
    table = pd.DataFrame(
        {
            "n_cells": n_cells.astype(int),
            "batch": batch_names[rates.argmax(axis=1)].astype(str),
            "batch_share": rates.max(axis=1) / rates.sum(axis=1),
        },
        index=pd.Index(names.astype(str), name="cluster"),
    )
    return table, np.stack([_lacking(rates[k], n_cells[k], of_batch) for k in range(len(names))])


def _lacking(rates: np.ndarray, n_cells: int, of_batch: np.ndarray) -> np.ndarray:
    """Return which batches a cluster lacks, by its share of the cells of each: the largest such set."""
    order = np.argsort(-rates, kind="stable")
    expected = n_cells * of_batch / of_batch.sum()
    for n_present in range(1, len(rates)):
        present, absent = order[:n_present], order[n_present:]
        if n_present > 1:
            # Of many small batches some lack any cluster by chance.
            absent = absent[expected[absent] >= _MIN_EXPECTED]
        if expected[absent].sum() < _MIN_EXPECTED:
            continue
        inside, outside = rates[present], rates[absent]
        of_all = inside.sum() >= _DOMINATED * (inside.sum() + outside.sum())
        on_the_mean = inside.mean() >= _DOMINATED * (inside.mean() + outside.mean())
        if of_all and on_the_mean:
            return np.isin(np.arange(len(rates)), absent)
    return np.zeros(len(rates), bool)


def _of_cluster(
    clusters: np.ndarray, cluster: int, n_clusters: int, first: np.ndarray, second: np.ndarray, looked_at: np.ndarray
) -> tuple[float, int]:
    """Return the share of a cluster's cells that have counterparts, and the cluster that has most of these."""
    mine = clusters[first] == cluster
    cells = looked_at[clusters[looked_at] == cluster]
    paired = len(np.unique(first[mine])) / max(len(cells), 1)
    return paired, int(np.bincount(clusters[second[mine]], minlength=n_clusters).argmax())


def _verdict(row: tuple, present: np.ndarray, absent: np.ndarray) -> str:
    words = []
    if not np.isnan(row.frac_matched_elsewhere):
        only = len(present) <= len(absent)
        where = f"only in {_listed(present)}" if only else f"hardly in {_listed(absent)}"
        there = "elsewhere" if only else "there"
        if row.frac_matched_elsewhere < _PAIRED:
            words.append(f"{where}; no such cells {there}: likely biology")
        elif row.counterparts == row.Index:
            words.append(f"{where}; the few such cells {there} are in it: likely biology")
        else:
            words.append(f"{where}; such cells {there} are in cluster {row.counterparts}: likely the batch")
    if row.n_cells < _TINY:
        words.append("tiny")
    if row.confidence < _UNSURE:
        words.append("unsure of its cells")
    return "; ".join(words) or "ok"


def _listed(batches: np.ndarray) -> str:
    named = ", ".join(map(str, batches[:_MOST_NAMED]))
    more = len(batches) - _MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def _training(params: dict[str, object]) -> str:
    if params["settled"]:
        return "Training had settled."
    return f"Training had not settled after {params['n_epochs']} epochs. Raise max_epochs."
