"""The two models that fair_cluster trains, and how it decides between their settings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from scfcmi import _validate
from scfcmi.model import FCMI, AtlasFCMI
from scfcmi.model.composition import THRESHOLD, composition_imbalance

if TYPE_CHECKING:
    import numpy as np
    import scipy.sparse as sp

MODES = ("atlas", "paper")
_PAPER_ALPHA, _PAPER_BETA, _PAPER_EPOCHS, _PAPER_WARMUP = 0.04, 0.20, 300, 20
_PATIENCE = 10
# Optimiser steps are what training needs and what it costs: few epochs where cells are many.
_MAX_STEPS, _MIN_EPOCHS = 1000, 10
_ATLAS_EPOCHS = 100


def choose_mode(mode: str | None, *, images: bool, **paper_only: object) -> str:
    """Return the mode: as given, else the paper's where something was given that only it has.

    Raises
    ------
    ValueError
        If the mode is unknown, or has no use for an argument that was given.
    """
    given = sorted(name for name, value in paper_only.items() if value is not None)
    if mode is None:
        return "paper" if given or images else "atlas"
    _validate.one_of("mode", mode, MODES)
    if mode == "atlas" and (given or images):
        what = f"{', '.join(given)} {'has' if len(given) == 1 else 'have'} no part" if given else "images have no place"
        msg = f"{what} in mode='atlas'. Take mode='paper', or leave it to be decided."
        raise ValueError(msg)
    return mode


def epochs(n_cells: int, batch_size: int, max_epochs: int | None, least: int, most: int) -> int:
    """Return the number of epochs: as given, or what a thousand mini-batches allow, within bounds."""
    if max_epochs is not None:
        return _validate.integer("max_epochs", max_epochs, minimum=1)
    return min(most, max(least, _MAX_STEPS // math.ceil(n_cells / batch_size)))


def atlas_model(
    n_cells: int, n_clusters: int | None, *, project: bool, batch_size: int, max_epochs: int | None, **common: Any
) -> tuple[AtlasFCMI, dict[str, Any]]:
    """Return the model of atlas mode, not yet fitted, and what ``params`` say of it."""
    n_epochs = epochs(n_cells, batch_size, max_epochs, 1, _ATLAS_EPOCHS)
    if not project:
        common["n_components"] = None
    model = AtlasFCMI(n_clusters, batch_size=batch_size, max_epochs=n_epochs, **common)
    return model, {
        "beta": 0.0,
        "beta_rule": "atlas",
        "projection": "scaled, principal components" if project else "none",
        "agreement": model.agreement,
        "n_neighbors": model.n_neighbors,
        "n_clusters_rule": "estimated" if n_clusters is None else "given",
    }


def paper_model(
    X: np.ndarray | sp.csr_matrix | sp.csr_array,
    batches: np.ndarray,
    n_clusters: int | None,
    *,
    alpha: float | None,
    beta: float | None,
    balance: float | None,
    batch_size: int,
    max_epochs: int | None,
    **common: Any,
) -> tuple[FCMI, dict[str, Any]]:
    """Return the paper's model, not yet fitted, with beta decided, and what ``params`` say of it."""
    if n_clusters is None:
        msg = "n_clusters must be given in mode='paper', whose code has as many dimensions. Or take mode='atlas'."
        raise ValueError(msg)
    alpha = _validate.number("alpha", _PAPER_ALPHA if alpha is None else alpha)
    n_epochs = epochs(len(batches), batch_size, max_epochs, _MIN_EPOCHS, _PAPER_EPOCHS)
    params: dict[str, Any] = {"beta_rule": "given"}
    if beta is not None:
        beta = _validate.number("beta", beta)
    else:
        imbalance = composition_imbalance(X, batches, n_clusters)
        uneven = imbalance > THRESHOLD
        params = {"beta_rule": "composition", "composition_imbalance": imbalance}
        beta = 0.0 if uneven else _PAPER_BETA
        balance = 0.0 if uneven and balance is None else balance
    model = FCMI(
        n_clusters,
        alpha=alpha,
        beta=beta,
        balance=balance,
        batch_size=batch_size,
        max_epochs=n_epochs,
        # 20, or the paper's share of fewer epochs.
        warmup_epochs=min(_PAPER_WARMUP, n_epochs // 5),
        patience=_PATIENCE,
        **common,
    )
    return model, params | {
        "alpha": alpha,
        "beta": beta,
        "balance": float(alpha if balance is None else balance),
        "warmup_epochs": model.warmup_epochs,
    }
