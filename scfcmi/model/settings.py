"""From the parameters of the estimator to what training and networks are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfcmi import _validate
from scfcmi._random import seed_from
from scfcmi.model.device import choose_device, half_precision
from scfcmi.model.networks import Architecture
from scfcmi.model.objective import Weights
from scfcmi.model.training import Plan

if TYPE_CHECKING:
    import scipy.sparse as sp

    from scfcmi.model.fcmi import FCMI


def plan_of(model: FCMI) -> Plan:
    """Check the parameters of a model and return them as a plan; ``TypeError`` or ``ValueError`` names the wrong one."""
    check = _validate
    check.one_of("decoder", model.decoder, ("auto", "branches", "shared"))
    check.one_of("precision", model.precision, ("auto", "float32", "bfloat16"))
    if model.n_components is not None:
        check.integer("n_components", model.n_components, minimum=1)
    alpha = check.number("alpha", model.alpha)
    return Plan(
        n_clusters=check.integer("n_clusters", model.n_clusters, minimum=1),
        weights=Weights(
            compactness=alpha,
            balance=alpha if model.balance is None else check.number("balance", model.balance),
            fairness=check.number("beta", model.beta),
        ),
        temperature=check.number("temperature", model.temperature, strict=True),
        learning_rate=check.number("learning_rate", model.learning_rate, strict=True),
        batch_size=check.integer("batch_size", model.batch_size, minimum=2),
        max_epochs=check.integer("max_epochs", model.max_epochs, minimum=1),
        warmup_epochs=check.integer("warmup_epochs", model.warmup_epochs, minimum=0),
        patience=None if model.patience is None else check.integer("patience", model.patience, minimum=1),
        seed=seed_from(model.random_state),
        chance_corrected=bool(model.chance_correction),
        half_precision=half_precision(model.precision, choose_device(model.device)),
    )


def architecture_of(model: FCMI, X: np.ndarray | sp.csr_matrix | sp.csr_array, codes: np.ndarray) -> Architecture:
    """Return the network that a model's parameters, the cells and their groups call for."""
    decoder = model.decoder
    if decoder == "auto":
        sizes = np.bincount(codes)
        decoder = "branches" if len(sizes) <= 3 and sizes.min() >= 256 else "shared"
    return Architecture(
        n_features=model.n_features_in_,
        n_groups=int(codes.max()) + 1,
        n_dims=model.n_clusters if model.n_components is None else model.n_components,
        convolutional=X.ndim > 2,
        decoder=decoder,
        bounded=bool(X.min() >= -1 and X.max() <= 1),
    )
