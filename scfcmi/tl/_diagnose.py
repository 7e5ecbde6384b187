from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.metrics.cluster import contingency_matrix

from scfcmi import _validate
from scfcmi._adata import check_adata, column, fingerprint, in_memory, own, proba_of
from scfcmi._random import stream
from scfcmi._shown import listed
from scfcmi.graph.communities import n_parts, own_links
from scfcmi.models.atlas.presence import Presence, lacked_batches, presence_elsewhere
from scfcmi.tl._batches import batches_of
from scfcmi.tl._evaluate import information_of
from scfcmi.tl._graph import graph_of
from scfcmi.tl._results import actual

if TYPE_CHECKING:
    from anndata import AnnData

# More batches than this are not named.
_MOST_NAMED = 3
# A cluster is held together by the graph if it keeps at least half of its links.
_HELD = 0.5
_TINY = 20
# Columns of the table, and what they are called where they are computed.
_ELSEWHERE = {
    "n_expected_elsewhere": "n_expected",
    "frac_matched_elsewhere": "frac_matched",
    "distance_elsewhere": "distance",
}
_UNSURE = 0.75


def diagnose(
    adata: AnnData, key: str = "fcmi", *, batch_key: str | None = None, use_rep: str | None = None
) -> pd.DataFrame:
    """Tell which clusters follow a batch, and whether the cause is likely biology or the batch. Needs no labels.

    Each cluster is asked four questions:

    * *Which batches does it lack?* After correcting for batch size, a cluster lacks a batch if the other batches supply at
      least 90 % of its cells and contribute, on average, nine times as much as it does. It may lack all samples of one laboratory together.
      The cause is *likely the batch* if another cluster holds the counterparts of its cells: their mutual nearest neighbors
      in the batches it lacks (:func:`scfcmi.models.atlas.counterparts.find_counterparts`). The cause is *likely biology* if
      the nearest cells of these batches lie clearly farther away than its own cells lie from each other, and than cells of
      one type usually lie across batches. Otherwise ``diagnose`` *cannot tell*. Either the type is too rare: fewer than 30
      cells are expected in these batches, or in the sample of them that is looked at (10,000 cells or more). Or similar cells
      there may be of a related type.
    * *Does the graph hold it together?* Yes, if it keeps at least half of its links.
    * *Could it be split?* Yes, if communities within it keep at least 70 % of its links.
    * *Is it sure of its cells?* Yes, if the largest probability of its cells is 0.75 or more on average.

    ``diagnose`` judges the clusters that exist. It does not see a type that no cluster holds, nor two types, each of one
    batch, that the embedding has merged. ``benchmarks/diagnose.py`` measures how often verdicts are right.

    Parameters
    ----------
    adata
        Annotated data that :func:`fair_cluster` has written to. Clusters of another tool work, too: then give ``batch_key``
        and ``use_rep``.
    key
        Column of ``adata.obs`` with clusters: the ``key_added`` of :func:`fair_cluster`.
    batch_key
        Column of ``adata.obs`` with the batches. ``None`` takes the one that :func:`fair_cluster` was given.
    use_rep
        Entry of ``adata.obsm`` in which distances are measured. ``None`` takes ``"X_" + key``.

    Returns
    -------
    A table with a row for each cluster:

    ``n_cells``
        Number of cells.
    ``batch``, ``batch_share``
        The batch with the largest share, and this share after correcting for batch size.
    ``n_expected_elsewhere``
        Number of cells to expect in the batches that it lacks, if they held this cluster as often as the other batches do.
        NaN if it lacks no batch.
    ``frac_matched_elsewhere``
        Share of its cells that have counterparts in the batches it lacks. NaN if it lacks no batch.
    ``distance_elsewhere``
        Median distance to cells of these batches. 1 is the distance between its own cells. NaN if it lacks no batch.
    ``counterparts``
        The cluster that holds most of these counterparts. Empty unless the cause is likely the batch.
    ``own_links``
        Share of its links in the neighbor graph that it keeps to itself. With more than 50,000 cells, this is the graph of
        a sample that keeps rare cells. Clusters of your own are looked up in the graph of the result that ``use_rep`` names.
        NaN if there is no graph: in paper mode, for assigned cells, for other tools.
    ``n_parts``
        Number of communities within it: 1 if it cannot be split. NaN if there is no graph.
    ``confidence``
        Largest probability of a cell, on average over its cells. NaN if neither ``fair_cluster`` nor
        ``assign`` made the clusters, or they have been joined or split since.
    ``verdict``
        All of it in words. The documentation explains each verdict, with a picture.

    Sets ``adata.uns[key + "_diagnosis"]``:

    ``clusters``
        The same table.
    ``training``
        Whether training had settled, in one sentence. Only for clusters of ``fair_cluster`` and ``assign``.
    ``information``
        H(C), H(C|X), I(G;C) and I(X;C|G) of these cells, in nats. Only for clusters of ``fair_cluster`` and ``assign``.
    ``checksum``
        Of clusters and batches. :func:`scfcmi.pl.report` leaves verdicts out if they have changed since.

    Raises
    ------
    KeyError
        If a key is not in ``adata``.
    ValueError
        If ``batch_key`` is needed and not given, or a cluster or a batch is missing.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    >>> scfcmi.tl.fair_cluster(adata, "phase", n_clusters=6, max_epochs=50)
    >>> table = scfcmi.tl.diagnose(adata)
    >>> len(table)
    6
    """
    check_adata(adata)
    _validate.text("key", key)
    hint = f"Run scfcmi.tl.fair_cluster(adata, batch_key, key_added={key!r}) first."
    _validate.key_in(adata.obs.columns, key, "adata.obs", hint=hint)
    stored = own(adata, key)
    if batch_key is None:
        batch_key = stored.get("params", {}).get("batch_key")
        if batch_key is None:
            msg = f"Give batch_key, the column of adata.obs with the batches: adata.uns[{key!r}] does not name it."
            raise ValueError(msg)
    if use_rep is None:
        use_rep = f"X_{key}"
        hint = "For clusters of another tool, or joined ones, give use_rep, such as 'X_fcmi'." if not stored else hint
    _validate.key_in(adata.obsm.keys(), use_rep, "adata.obsm", hint=hint)
    batches, batch_names = _validate.group_codes(batches_of(adata, batch_key), adata.n_obs)
    clusters, names = _validate.group_codes(column(adata.obs, key), adata.n_obs, f"adata.obs[{key!r}]")

    counts = contingency_matrix(clusters, batches)
    rates = counts / counts.sum(axis=0)
    lacked = lacked_batches(counts)
    codes = in_memory(adata.obsm[use_rep])
    codes = codes.toarray() if sp.issparse(codes) else np.asarray(codes)
    elsewhere = presence_elsewhere(codes, clusters, batches, lacked, stream(0))
    table = pd.DataFrame(
        {
            "n_cells": counts.sum(axis=1).astype(int),
            "batch": batch_names[rates.argmax(axis=1)],
            "batch_share": rates.max(axis=1) / rates.sum(axis=1),
        },
        index=pd.Index(names.astype(str), name="cluster"),
    )
    of_clusters = [elsewhere.get(cluster) for cluster in range(len(names))]
    for title, name in _ELSEWHERE.items():
        table[title] = [np.nan if found is None else getattr(found, name) for found in of_clusters]
    table["counterparts"] = [
        str(names[found.counterpart]) if found and found.cause == "batch" else "" for found in of_clusters
    ]
    table["own_links"], table["n_parts"] = np.nan, np.nan
    # Clusters that were joined, split or named lie on the graph of the result they come from.
    graph = graph_of(adata, key) or graph_of(adata, use_rep.removeprefix("X_"))
    if graph is not None:
        links, cells = graph
        in_graph, of_cell = np.unique(clusters[cells], return_inverse=True)
        # A cluster without cells in the graph keeps NaN.
        table.iloc[in_graph, table.columns.get_loc("own_links")] = own_links(links, of_cell)
        table.iloc[in_graph, table.columns.get_loc("n_parts")] = n_parts(links, of_cell, 0)
    proba = proba_of(adata, key)
    largest = np.full(adata.n_obs, np.nan) if proba is None else proba.max(axis=1)
    table["confidence"] = np.bincount(clusters, largest) / np.bincount(clusters)
    table["verdict"] = [
        _verdict(
            row,
            found,
            batch_names[~absent & (of_cluster > 0)],
            batch_names[absent],
            alone=not of_cluster[absent].any(),
            # Small batches without such cells are not said to lack them: by chance they may have none.
            all_judged=(absent | (of_cluster > 0)).all(),
        )
        for row, found, absent, of_cluster in zip(table.itertuples(), of_clusters, lacked, counts, strict=True)
    ]

    of_batch = column(adata.obs, batch_key)
    found: dict[str, object] = {"clusters": table, "checksum": fingerprint(column(adata.obs, key), of_batch)}
    if stored:
        found["training"] = _training(stored["params"])
    if proba is not None:
        found["information"] = information_of(proba, of_batch)
    actual(adata).uns[f"{key}_diagnosis"] = found
    return table.copy()


def _verdict(
    row: tuple, found: Presence | None, present: np.ndarray, absent: np.ndarray, *, alone: bool, all_judged: bool
) -> str:
    words = [] if found is None else [_cause(row, found, present, absent, alone=alone, all_judged=all_judged)]
    if row.own_links < _HELD:
        words.append("most of its links lead to other clusters")
    if row.n_parts > 1:
        words.append(f"could be split into {row.n_parts:.0f}")
    if row.n_cells < _TINY:
        words.append("tiny")
    if row.confidence < _UNSURE:
        words.append("unsure of its cells")
    return "; ".join(words) or "ok"


def _cause(
    row: tuple, found: Presence, present: np.ndarray, absent: np.ndarray, *, alone: bool, all_judged: bool
) -> str:
    # Elsewhere is in all other batches.
    only = all_judged and len(present) <= len(absent)
    named, word = (present, "only" if alone else "mostly") if only else (absent, "not" if alone else "hardly")
    where = f"{word} in {listed(named, _MOST_NAMED)}"
    there = "elsewhere" if only else "there"
    if not found.enough:
        return f"{where}; too few cells to judge {there}: cannot tell"
    if found.cause == "unknown":
        if np.isinf(found.far):
            return f"{where}; no cluster shows how far batches lie apart: cannot tell"
        return f"{where}; similar cells {there}, perhaps of a related type: cannot tell"
    if found.cause == "biology":
        return f"{where}; no such cells {there}: likely biology"
    return f"{where}; such cells {there} are in cluster {row.counterparts}: likely the batch"


def _training(params: dict[str, object]) -> str:
    if params["settled"]:
        return "Training had settled."
    return f"Training had not settled after {params['n_epochs']} epochs. Raise max_epochs."
