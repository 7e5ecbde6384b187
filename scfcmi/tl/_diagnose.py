from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfcmi import _validate
from scfcmi._random import stream
from scfcmi.model.counterparts import N_NEIGHBORS, find_counterparts
from scfcmi.tl._batches import batch_codes

if TYPE_CHECKING:
    from anndata import AnnData

# A batch dominates a cluster from this share on, every batch counted as if of one size; where fewer cells of other
# batches than this are expected, nothing is said.
_DOMINATED, _MIN_EXPECTED = 0.9, 5
# Cells have counterparts elsewhere if at least this share of them has; else the cluster is rather a type of its own.
_PAIRED = 0.3
_TINY = 20
_UNSURE = 0.75
# Training had not settled if codes moved so far in the last tenth of it, or so many cells changed cluster in the last
# epoch, or if there were hardly any mini-batches.
_MOVED, _CHANGED, _MIN_BATCHES = 0.005, 0.01, 50


def diagnose(adata: AnnData, key: str = "fcmi", *, batch_key: str | None = None, use_rep: str | None = None) -> None:
    """Say what can be said of clusters without labels: print a short table, and store it.

    A cluster is dominated if 90 % of it is of one batch, batches counted as if they were of one size. Counterparts
    (mutual nearest neighbours, :func:`scfcmi.model.counterparts.find_counterparts`) of its cells in all other batches
    then tell why. Where they have none, the other batches hardly have such cells: likely biology. Where they have
    some, these are in other clusters: likely the batch.

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
    Sets ``adata.uns[key + "_diagnosis"]``:

    ``clusters``
        Data frame, a row a cluster: ``n_cells``; ``batch``, the one with the largest share; ``batch_share``, its share
        with batches counted as of one size; ``paired``, the share of its cells that have counterparts, NaN where no
        batch dominates; ``counterparts``, the cluster in which most of these are; ``confidence``, the mean over cells
        of the largest soft assignment, NaN for foreign clusters; ``verdict``.
    ``training``
        One sentence; not there for foreign clusters.

    Raises
    ------
    KeyError
        If a key is not in ``adata``.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced()
    >>> scfcmi.tl.fair_cluster(adata, "phase", n_clusters=6, max_epochs=50)
    >>> scfcmi.tl.diagnose(adata)  # doctest: +SKIP
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
    batches, batch_names = batch_codes(adata, batch_key)
    clusters, names = _validate.group_codes(adata.obs[key], adata.n_obs, f"adata.obs[{key!r}]")

    table = _shares(clusters, names, batches, batch_names)
    dominated = table.pop("dominated")
    codes = np.asarray(adata.obsm[use_rep], dtype=np.float32)
    table["paired"], table["counterparts"] = np.nan, ""
    for batch in table["batch"][dominated].unique():
        # Between one batch and all others together.
        inside = (batch_names.astype(str) == batch)[batches].astype(int)
        pairs = find_counterparts(codes, inside, N_NEIGHBORS, stream(0))
        for cluster in np.flatnonzero(dominated & (table["batch"] == batch)):
            paired, elsewhere = _of_cluster(clusters, cluster, len(names), *pairs)
            table.iloc[cluster, table.columns.get_loc("paired")] = paired
            if paired >= _PAIRED:
                table.iloc[cluster, table.columns.get_loc("counterparts")] = str(names[elsewhere])
    proba = adata.obsm.get(f"{key}_proba")
    largest = np.full(adata.n_obs, np.nan) if proba is None else np.asarray(proba).max(axis=1)
    table["confidence"] = [largest[clusters == cluster].mean() for cluster in range(len(names))]
    table["verdict"] = [_verdict(row) for row in table.itertuples()]

    found: dict[str, object] = {"clusters": table}
    if "history" in own:
        per_epoch = round(adata.n_obs / own["params"].get("batch_size", adata.n_obs))
        found["training"] = _training(own["history"], len(own["history"]) * max(1, per_epoch))
    if adata.is_view:
        adata._init_as_actual(adata.copy())
    adata.uns[f"{key}_diagnosis"] = found
    shown = table.assign(batch_share=table["batch_share"].map("{:.0%}".format), confidence=table["confidence"].round(2))
    shown["paired"] = ["" if np.isnan(share) else f"{share:.0%}" for share in table["paired"]]
    print(shown.to_string())
    if "training" in found:
        print(found["training"])


def _shares(clusters: np.ndarray, names: np.ndarray, batches: np.ndarray, batch_names: np.ndarray) -> pd.DataFrame:
    counts = np.zeros((len(names), len(batch_names)))
    np.add.at(counts, (clusters, batches), 1)
    of_batch = counts.sum(axis=0)
    even = counts / of_batch
    even /= even.sum(axis=1, keepdims=True)
    top = even.argmax(axis=1)
    n_cells = counts.sum(axis=1)
    share = even[np.arange(len(names)), top]
    others = n_cells * (1 - of_batch[top] / of_batch.sum())
    return pd.DataFrame(
        {
            "n_cells": n_cells.astype(int),
            "batch": batch_names[top].astype(str),
            "batch_share": share,
            "dominated": (share >= _DOMINATED) & (others >= _MIN_EXPECTED),
        },
        index=pd.Index(names.astype(str), name="cluster"),
    )


def _of_cluster(
    clusters: np.ndarray, cluster: int, n_clusters: int, first: np.ndarray, second: np.ndarray, looked_at: np.ndarray
) -> tuple[float, int]:
    """Return the share of a cluster's cells that have counterparts, and the cluster that has most of these."""
    mine = clusters[first] == cluster
    cells = looked_at[clusters[looked_at] == cluster]
    paired = len(np.unique(first[mine])) / max(len(cells), 1)
    return paired, int(np.bincount(clusters[second[mine]], minlength=n_clusters).argmax())


def _verdict(row: tuple) -> str:
    words = []
    if not np.isnan(row.paired):
        if row.paired < _PAIRED:
            words.append(f"only in {row.batch}, which alone has such cells: likely biology")
        elif row.counterparts == row.Index:
            words.append(f"mostly in {row.batch}, which has most of such cells: likely biology")
        else:
            words.append(f"only in {row.batch}, counterparts are in cluster {row.counterparts}: likely the batch")
    if row.n_cells < _TINY:
        words.append("tiny")
    if row.confidence < _UNSURE:
        words.append("unsure of its cells")
    return "; ".join(words) or "ok"


def _training(history: pd.DataFrame, n_batches: int) -> str:
    if "changed" in history:
        changed = float(history["changed"].iloc[-1])
        if changed > _CHANGED:
            return (
                f"Training had not settled: {changed:.1%} of cells changed cluster in the last epoch. Raise max_epochs."
            )
        return "Training had settled."
    if n_batches < _MIN_BATCHES:
        return f"Training was too short to settle: {n_batches} mini-batches. Raise max_epochs."
    moved = float(history["moved"].iloc[-1])
    if moved > _MOVED:
        return f"Training had not settled: codes moved by {moved:.4f} (1 - cosine) in its last tenth. Raise max_epochs."
    return "Training had settled."
