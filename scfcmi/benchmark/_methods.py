"""Methods by name: those of ``scfcmi.baselines``, FCMI in its forms, and any of them repaired.

A name may carry settings: ``fcmi:beta=0,n_init=3``, ``falg:delta=0.1``. ``+repair`` at the end gives every cluster its
fair share of every group, by :func:`scfcmi.baselines.fair_repair`; ``+consensus`` makes one clustering of five runs, by
:func:`scfcmi.consensus`.
"""

from __future__ import annotations

import ast
import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scfcmi import _validate
from scfcmi.benchmark._oracle import oracle_repair
from scfcmi.benchmark._record import CONSENSUS, REPAIR, split

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from scfcmi.benchmark._data import Data

LABELS, ORACLE = "labels", "oracle-repair"
REFERENCES = (LABELS, ORACLE)
FCMI = "fcmi"

# Forms of FCMI: the paper's weights, and what differs from them.
FORMS = MappingProxyType(
    {
        "fcmi": {},
        "fcmi-plug-in": {"chance_correction": False},
        "fcmi-branches": {"decoder": "branches"},
        "fcmi-restarts": {"n_init": 3},
    }
)
DEFAULT = "fcmi-default"

# The paper's exceptions.
_EXCEPTIONS = {"mouse_atlas": {"beta": 0.0}, "mtfl": {"n_components": 5}}
_EPOCHS, _WARMUP = 300, 20


class Unsupported(Exception):
    """A method that cannot serve a data set, or is not installed; not an error of the run."""


class Outcome(NamedTuple):
    """What a method found; ``proba`` is its soft assignment, or any scores that fair_repair takes."""

    clusters: np.ndarray
    params: dict[str, Any]
    proba: np.ndarray | None = None
    history: pd.DataFrame | None = None
    # Spent by another run on what this one took over.
    seconds_before: float = 0.0


def names() -> list[str]:
    """Return the methods that a benchmark runs by default."""
    from scfcmi.baselines import METHODS

    return [*METHODS, *FORMS, DEFAULT, FCMI + CONSENSUS, FCMI + REPAIR]


def parse(method: str) -> tuple[str, dict[str, Any]]:
    """Split ``"name:key=value,..."``, without ``+repair`` and ``+consensus``, into name and settings.

    Raises
    ------
    ValueError
        If there is no such method or setting, or a setting is not of this form.
    """
    from scfcmi.baselines import METHODS

    name, _, words = split(method)[0].partition(":")
    _validate.one_of("method", name, (*METHODS, *FORMS, DEFAULT, *REFERENCES))
    settings = {}
    for word in words.split(",") if words else ():
        key, equals, value = word.partition("=")
        if not equals:
            msg = f"method {method!r}: settings are key=value, separated by commas, got {word!r}."
            raise ValueError(msg)
        try:
            settings[key.strip()] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            settings[key.strip()] = value
    known = _settings_of(name) if settings else []
    for key in settings:
        _validate.one_of(f"a setting of {name}", key, known)
    return name, settings


def _settings_of(name: str) -> list[str]:
    """Return the names of what may be set of a method."""
    from scfcmi.baselines import METHODS

    if name in REFERENCES:
        return []
    if name in METHODS:
        function, own = METHODS[name], {"autoencoder"}
    elif name == DEFAULT:
        from scfcmi.tl import fair_cluster as function

        own = {"n_clusters", "max_epochs", "random_state", "rng", "device", "progress", "checkpoint", "copy"}
    else:
        from scfcmi.models import FCMI as function

        own = {"n_clusters", "random_state", "device", "progress", "checkpoint", "callbacks"}
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in own]


def fcmi_parameters(data: Data, epochs: int | None) -> dict[str, Any]:
    """Return what the paper trains with on a data set, where that is not FCMI's default."""
    epochs = _EPOCHS if epochs is None else epochs
    return {"max_epochs": epochs, "warmup_epochs": min(_WARMUP, epochs // 5)} | _EXCEPTIONS.get(data.name, {})


def takes_epochs(method: str) -> bool:
    """Tell whether a number of epochs means anything to a method."""
    from scfcmi.baselines import DEEP, METHODS

    name, _ = parse(method)
    return name in DEEP if name in METHODS else name not in REFERENCES


def cluster(
    method: str,
    data: Data,
    seed: int,
    *,
    epochs: int | None = None,
    device: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    shared: Path | None = None,
) -> Outcome:
    """Run one method, without repair or consensus. In the folder ``shared`` is kept what several methods start from.

    Raises
    ------
    Unsupported
        If it cannot serve these data.
    """
    name, settings = parse(method)
    if name in REFERENCES:
        return Outcome(data.labels if name == LABELS else oracle_repair(data.labels, data.groups), {})
    if name == DEFAULT:
        return _fair_cluster(data, seed, settings, epochs, device, checkpoint)
    if name in FORMS:
        return _fcmi(data, seed, FORMS[name] | settings, epochs, device, checkpoint)
    return _baseline(name, data, seed, settings, epochs, shared)


def scores_of(outcome: Outcome, X: np.ndarray) -> np.ndarray:
    """Return what fair_repair takes: the soft assignment, or minus the squared distances to the clusters' means.

    The largest of a sample is that of its own cluster, even if the mean of another is nearer: repair starts from there.
    """
    if outcome.proba is not None:
        return outcome.proba
    _, own = np.unique(outcome.clusters, return_inverse=True)
    means = np.stack([X[own == cluster].mean(axis=0) for cluster in range(own.max() + 1)])
    scores = -((X**2).sum(axis=1)[:, None] - 2 * X @ means.T + (means**2).sum(axis=1))
    scores[np.arange(len(X)), own] = np.nextafter(scores.max(axis=1), np.inf)
    return scores


def soft_assignments(outcomes: Sequence[Outcome]) -> list[np.ndarray]:
    """Return the soft assignments of several runs; if one has none, the clusters of each, one-hot."""
    if all(outcome.proba is not None for outcome in outcomes):
        return [outcome.proba for outcome in outcomes]
    numbered = [np.unique(outcome.clusters, return_inverse=True)[1] for outcome in outcomes]
    one_hot = np.eye(max(clusters.max() for clusters in numbered) + 1)
    return [one_hot[clusters] for clusters in numbered]


def _baseline(
    name: str, data: Data, seed: int, settings: dict[str, Any], epochs: int | None, shared: Path | None
) -> Outcome:
    from scfcmi.baselines import DEEP, METHODS, TWO_GROUPS_ONLY

    n_groups = len(set(data.groups))
    if name in TWO_GROUPS_ONLY and n_groups != 2:
        msg = f"serves two groups only; there are {n_groups}"
        raise Unsupported(msg)
    deep = name in DEEP
    X = data.matrix if deep else data.features
    if deep and X.ndim > 2:
        X = X.reshape(len(X), -1)
    parameters = inspect.signature(METHODS[name]).parameters
    defaults = {k: p.default for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY and k != "autoencoder"}
    given = {}
    if deep and epochs is not None:
        # A short run is short in all its parts.
        given = {"max_epochs": epochs, "pretrain_epochs": min(epochs, defaults.get("pretrain_epochs", epochs))}
    params = defaults | {k: v for k, v in given.items() if k in defaults} | settings
    taken, seconds_before = {}, 0.0
    if shared is not None and "autoencoder" in parameters:
        from scfcmi.benchmark._autoencoder import Pretraining, autoencoder

        n_epochs = params.get("pretrain_epochs", params["max_epochs"])
        how = Pretraining(shared, data.name, data.checksum, seed, n_epochs)
        taken["autoencoder"], seconds_before = autoencoder(X, how)
    try:
        clusters = METHODS[name](X, data.groups, data.n_clusters, seed, **params, **taken)
    except ImportError as error:
        raise Unsupported(str(error)) from error
    return Outcome(clusters, params | {"n_features": int(X.shape[1])}, seconds_before=seconds_before)


def _fcmi(
    data: Data,
    seed: int,
    settings: dict[str, Any],
    epochs: int | None,
    device: str,
    checkpoint: str | os.PathLike[str] | None,
) -> Outcome:
    from scfcmi.models import FCMI

    model = FCMI(
        data.n_clusters,
        **(fcmi_parameters(data, settings.get("max_epochs", epochs)) | settings),
        random_state=seed,
        device=device,
        progress=True,
        checkpoint=checkpoint,
    ).fit(data.matrix, groups=data.groups)
    params = model.get_params() | {
        "decoder": model.decoder_,
        "precision": model.precision_,
        "n_epochs": model.n_iter_,
        "objectives": model.objectives_,
    }
    del params["checkpoint"], params["progress"], params["callbacks"]
    return Outcome(model.labels_, params, model.predict_proba(data.matrix), model.history_)


def _fair_cluster(
    data: Data,
    seed: int,
    settings: dict[str, Any],
    epochs: int | None,
    device: str,
    checkpoint: str | os.PathLike[str] | None,
) -> Outcome:
    from scfcmi import tl

    adata = tl.fair_cluster(
        data.adata,
        "group",
        n_clusters=data.n_clusters,
        max_epochs=epochs,
        random_state=seed,
        device=device,
        progress=True,
        # Only the paper's mode, which images get, trains long enough to have a checkpoint.
        checkpoint=checkpoint if data.matrix.ndim > 2 else None,
        copy=True,
        **({"mode": "paper" if data.matrix.ndim > 2 else "atlas"} | settings),
    )
    found = adata.uns["fcmi"]
    return Outcome(
        adata.obs["fcmi"].astype(str).to_numpy(), found["params"], adata.obsm["fcmi_proba"], found["history"]
    )
