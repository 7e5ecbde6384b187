"""What a page says of a result: numbers, tables and sentences."""

from __future__ import annotations

import json
import os
import platform
import shlex
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scfcmi import __version__, metrics
from scfcmi._adata import curve_of, diagnosis_of, proba_of, table_in_memory
from scfcmi.pl._composition import enrichment
from scfcmi.pl._confidence import LEVELS
from scfcmi.pl._report._charts import history_charts, resolution_chart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData

# Where levels of confidence begin, but for the first.
_LEVELS = list(LEVELS.values())[1:]
# What diagnose says of a cluster that lacks batches, as the page puts it; and what of a verdict asks for a look.
_CAUSES = {
    "likely the batch": "Clusters that lack batches, likely a batch effect",
    "likely biology": "Clusters that lack batches, likely biology",
    "cannot tell": "Clusters that lack batches, and nothing tells why",
}
_LOOK = ("likely the batch", "cannot tell", "most of its links", "unsure")
# Tables with more fields than this are left to scfcmi.pl.
_MOST_FIELDS = 3_000
_METRICS = {
    "nmi": ("NMI", "Information that clusters and labels share. 1 is full agreement, 0 is none."),
    "ari": (
        "ARI",
        "Pairs of cells on which clusters and labels agree, beyond chance. 1 is full agreement, 0 is chance.",
    ),
    "accuracy": ("Accuracy", "Share of cells whose cluster is the one matched to their label."),
    "batch_leakage": (
        "Batch leakage",
        "What clusters tell of the batch beyond what the label tells. 0 is ideal, whatever batches are made of.",
    ),
    "mnce": ("MNCE", "Mix of batches in the least mixed cluster. 1 only where every cluster holds all batches alike."),
    "balance": (
        "Balance",
        (
            "Cells of the rarest batch over those of the most common, in the least balanced cluster. 0 if a cluster lacks a batch, which is no "
            "fault where batches hold different cell types."
        ),
    ),
    "f_beta": ("F_beta", "Harmonic mean of NMI and MNCE."),
}


def gather(
    adata: AnnData,
    key: str,
    batch_key: str,
    label_key: str | None,
    values: Mapping[str, pd.Categorical],
    colors: Mapping[str, list[str]],
    source: str | os.PathLike[str] | None,
) -> dict[str, Any]:
    """Return the content of the page but for maps and genes, by the names that ``page.html`` knows."""
    clusters, batches = values[key], values[batch_key]
    stored, diagnosis = adata.uns[key], diagnosis_of(adata, key, batch_key)
    counts, proba = _counts(clusters, batches), proba_of(adata, key)
    name = None if source is None else Path(os.fspath(source)).name
    is_changed = proba is None and f"{key}_proba" in adata.obsm
    # Of other cells, or other clusters, a call would not make them again.
    is_whole = not is_changed and stored["params"].get("n_cells", adata.n_obs) == adata.n_obs
    return {
        "title": name or "Clusters of scfcmi",
        "key": key,
        "batch_key": batch_key,
        "label_key": label_key,
        "summary": _summary(adata, stored, clusters, counts, batch_key, diagnosis, is_changed=is_changed),
        "batches": list(zip(map(str, batches.categories), colors[batch_key], strict=False)),
        "clusters": _clusters(proba, np.asarray(clusters.codes), counts, colors[key], diagnosis.get("clusters")),
        "has_diagnosis": "clusters" in diagnosis,
        "is_stale": not diagnosis and f"{key}_diagnosis" in adata.uns,
        "has_proba": proba is not None,
        "enrichment": _enrichment(counts, key, batch_key),
        "metrics": None if label_key is None else _metrics(clusters, batches, values[label_key]),
        "confusion": None if label_key is None else _confusion(clusters, values[label_key]),
        "resolutions": _resolutions(adata, key),
        "history": history_charts(table_in_memory(stored["history"])) if "history" in stored else [],
        "information": dict(diagnosis.get("information", {})),
        "call": _call(stored["params"], key) if is_whole else None,
        "repeat": _repeat(stored["params"], key, name) if is_whole else None,
        # Of the map, scanpy's own: method and use_rep.
        "params": sorted(
            (str(k), str(v)) for k, v in stored["params"].items() if k not in {"call", "method", "use_rep"}
        ),
        "versions": {
            "result": str(stored["params"].get("version", "unknown")),
            "page": {"scfcmi": __version__, **{p: version(p) for p in ("anndata", "scanpy", "numpy")}}
            | {"Python": platform.python_version()},
        },
    }


def _counts(rows: pd.Categorical, columns: pd.Categorical) -> pd.DataFrame:
    """Return numbers of cells by name, empty categories included: by code, since pandas hashes not every name."""
    known = (rows.codes >= 0) & (columns.codes >= 0)
    table = np.zeros((len(rows.categories), len(columns.categories)), np.int64)
    np.add.at(table, (rows.codes[known], columns.codes[known]), 1)
    return pd.DataFrame(table, index=rows.categories, columns=columns.categories)


def _summary(
    adata: AnnData,
    stored: Mapping[str, Any],
    clusters: pd.Categorical,
    counts: pd.DataFrame,
    batch_key: str,
    diagnosis: Mapping[str, Any],
    *,
    is_changed: bool,
) -> list[str]:
    sizes = np.bincount(clusters.codes[clusters.codes >= 0])
    sizes = sizes[sizes > 0]
    n_batches, params = int((counts.sum() > 0).sum()), stored["params"]
    batches = f"{n_batches} batches" if n_batches != 1 else "one batch"
    lie = (
        f"lie in {len(sizes)} clusters, of {sizes.min():,} to {sizes.max():,} cells"
        if len(sizes) > 1
        else "lie in one cluster"
    )
    matrix = params.get("matrix", "an unknown matrix")
    made = "Assigned by a saved model" if "assigned" in params else f"Clustered in {params.get('mode', 'unknown')} mode"
    since = "; clusters have been changed since" if is_changed else ""
    said = [f"{adata.n_obs:,} cells of {batches} ({batch_key}) {lie}.", f"{made}, on {matrix}{since}."]
    if n_without := adata.n_obs - int(counts.to_numpy().sum()):
        said.append(f"{n_without:,} cells have no batch or no cluster.")
    if "training" in diagnosis:
        said.append(str(diagnosis["training"]))
    return said + _lacking(diagnosis.get("clusters"))


def _lacking(diagnosis: pd.DataFrame | None) -> list[str]:
    """Return which clusters lack batches, by what that is likely due to."""
    if diagnosis is None:
        return []
    verdicts = diagnosis["verdict"].astype(str)
    said = []
    for words, heading in _CAUSES.items():
        names = [str(name) for name in diagnosis.index[verdicts.str.contains(words, regex=False)]]
        if names:
            said.append(f"{heading}: {', '.join(names)}.")
    return said or ["No cluster clearly lacks a batch."]


def _clusters(
    proba: np.ndarray | None,
    codes: np.ndarray,
    counts: pd.DataFrame,
    colors: list[str],
    diagnosis: pd.DataFrame | None,
) -> list[dict[str, Any]]:
    """Return a row a cluster with cells: number, size, shares of batches, confidence and verdict."""
    largest = None if proba is None else proba.max(axis=1)
    rows = []
    for code, (name, of_batches) in enumerate(counts.iterrows()):
        # Cells without a batch are of the cluster, too.
        size, with_batch = int((codes == code).sum()), max(1, int(of_batches.sum()))
        if size == 0:
            continue
        sure = [] if largest is None else largest[codes == code]
        level = np.bincount(np.searchsorted(_LEVELS, sure, side="right"), minlength=len(_LEVELS) + 1)
        found = None if diagnosis is None or str(name) not in diagnosis.index else diagnosis.loc[str(name)]
        rows.append(
            {
                "code": code,
                "name": str(name),
                "color": colors[code],
                "size": size,
                "share": size / (codes >= 0).sum(),
                "batches": [(batch, int(n), n / with_batch) for batch, n in enumerate(of_batches) if n],
                "confidence": float(np.mean(sure)) if len(sure) else None,
                "levels": (level / size).tolist() if len(sure) else [],
                "verdict": "" if found is None else str(found["verdict"]),
                "look": found is not None and any(words in str(found["verdict"]) for words in _LOOK),
            }
        )
    return rows


def _enrichment(counts: pd.DataFrame, key: str, batch_key: str) -> dict[str, Any] | None:
    """Return what ``scfcmi.pl.composition`` draws."""
    counts = counts.loc[counts.sum(axis=1) > 0, counts.sum() > 0]
    if counts.size > _MOST_FIELDS:
        return None
    corner = key
    if counts.shape[1] > counts.shape[0]:
        # The shorter side goes across: a page is longer than wide.
        counts, corner = counts.T, batch_key
    # Without negative zeros.
    values = enrichment(counts).to_numpy().round(1) + 0.0
    return _table(counts, values) | {"corner": corner}


def _table(counts: pd.DataFrame, values: np.ndarray) -> dict[str, Any]:
    rows = [(str(name), row) for name, row in zip(counts.index, values.tolist(), strict=True)]
    return {"columns": list(map(str, counts.columns)), "rows": rows}


def _metrics(clusters: pd.Categorical, batches: pd.Categorical, labels: pd.Categorical) -> dict[str, Any]:
    """Return metrics of the cells that have a label, and the same of the labels themselves as clusters."""
    known = np.asarray((labels.codes >= 0) & (clusters.codes >= 0) & (batches.codes >= 0))
    if not known.any():
        return {"n_cells": 0, "rows": []}
    of, cells, groups = (np.asarray(v.codes)[known] for v in (labels, clusters, batches))
    scores = metrics.evaluate(of, cells, groups)
    ideal = metrics.evaluate(of, of, groups)
    rows = [(heading, scores[name], ideal[name], words) for name, (heading, words) in _METRICS.items()]
    return {"n_cells": int(known.sum()), "rows": rows}


def _confusion(clusters: pd.Categorical, labels: pd.Categorical) -> dict[str, Any] | None:
    """Return the percent of each label's cells in each cluster."""
    counts = _counts(labels, clusters)
    counts = counts.loc[counts.sum(axis=1) > 0, counts.sum() > 0]
    if counts.empty or counts.size > _MOST_FIELDS:
        return None
    percent = 100 * counts.div(counts.sum(axis=1), axis=0)
    return _table(counts, percent.to_numpy())


def _resolutions(adata: AnnData, key: str) -> str | None:
    curve = curve_of(adata, key)
    return None if curve is None else resolution_chart(curve, adata.uns[key]["params"].get("resolution"))


def layer_of(params: Mapping[str, Any]) -> str | None:
    """Return the layer that was clustered, if it was one."""
    return json.loads(params.get("call", "{}")).get("layer")


def _call(params: Mapping[str, Any], key: str) -> str | None:
    """Return the call in Python that made the result; ``None`` if it is not known."""
    if "call" not in params or "assigned" in params:
        return None
    given = {"mode": params["mode"], **json.loads(params["call"])}
    if key != "fcmi":
        given["key_added"] = key
    # What JSON could not hold was an array.
    words = [f"{name}={'...' if value is None else repr(value)}" for name, value in given.items()]
    # fair_cluster does not take every parameter of the estimators.
    return f"scfcmi.tl.fit_model(adata, {', '.join([repr(params['batch_key']), *words])})"


def _repeat(params: Mapping[str, Any], key: str, name: str | None) -> str | None:
    """Return the command that repeats the result; ``None`` if it cannot be repeated."""
    if "call" not in params or "assigned" in params or None in json.loads(params["call"]).values():
        return None
    words = ["scfcmi", "repeat", name or "OUT.h5ad", "IN.h5ad", *(["--key-added", key] if key != "fcmi" else [])]
    return shlex.join(words)
