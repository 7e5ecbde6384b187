from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scfcmi import _validate
from scfcmi.baselines._inputs import Inputs, check_inputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from scfcmi._random import RandomState
    from scfcmi.baselines._deep import AutoEncoder

P, T = ParamSpec("P"), TypeVar("T")

WIDTHS = (500, 500, 2000, 10)


def trains_on_cpu(method: Callable[P, T]) -> Callable[P, T]:
    """Let a method train where its caller has switched gradients off, or autocast or another default device on."""

    @functools.wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        import torch

        from scfcmi._initialization import gradients

        with gradients(), torch.device("cpu"):
            return method(*args, **kwargs)

    return wrapped


@trains_on_cpu
def pretrain_autoencoder(
    X: ArrayLike | sp.spmatrix,
    random_state: RandomState = 0,
    *,
    epochs: int = 100,
    widths: tuple[int, ...] = WIDTHS,
) -> AutoEncoder:
    """Train the auto-encoder that AE + k-means, DEC and Towards start from, to hand it to each.

    With the same seed and number of epochs they would train this very one themselves.

    Parameters
    ----------
    X
        Features, dense or sparse, shape (n_cells, n_features). Sparse ones become dense, images flat.
    random_state
        Seed. An integer gives the same weights again.
    epochs
        Number of passes over all cells.
    widths
        Widths of the encoder's layers, the last being that of the code; the decoder mirrors them.

    Returns
    -------
    Encoder and decoder, a torch module on the CPU. The methods leave it as it is.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.

    References
    ----------
    The layers of Xie et al., Unsupervised Deep Embedding for Clustering Analysis, ICML 2016. Trained end to end by
    Adam, where the reference trains layer by layer, with drop-out, by gradient descent.
    """
    from scfcmi.baselines import _deep

    epochs = _validate.integer("epochs", epochs, minimum=1)
    widths = tuple(_validate.integer("widths", width, minimum=1) for width in _validate.names("widths", widths))
    if not widths:
        msg = "widths must name at least one layer, that of the code."
        raise ValueError(msg)
    X = flat(X)
    if len(np.shape(X)) < 2:
        msg = f"X must have shape (n_cells, n_features), got {np.shape(X)}."
        raise ValueError(msg)
    inputs = check_inputs(X, np.zeros(X.shape[0], dtype=int), 1, random_state, dense=True)
    return _deep.pretrain(inputs.X, inputs.seed, epochs, widths)


def flat(X: ArrayLike | sp.spmatrix) -> ArrayLike | sp.spmatrix:
    """Return images as rows of pixels; anything else as an array, or, sparse or a data frame, as it is."""
    if sp.issparse(X) or isinstance(X, pd.DataFrame):
        return X
    _validate.matrix_like(X)
    X = np.asarray(X)
    return X.reshape(len(X), -1) if X.ndim > 2 else X


def given_or_trained(autoencoder: AutoEncoder | None, inputs: Inputs, epochs: int) -> AutoEncoder:
    """Return the auto-encoder handed in, or train one."""
    from scfcmi.baselines import _deep

    epochs = _validate.integer("pretrain_epochs", epochs, minimum=1)
    if autoencoder is None:
        return _deep.pretrain(inputs.X, inputs.seed, epochs, WIDTHS)
    if not isinstance(autoencoder, _deep.AutoEncoder):
        msg = f"autoencoder must come from pretrain_autoencoder, got {autoencoder!r}."
        raise TypeError(msg)
    if autoencoder.n_features != inputs.X.shape[1]:
        msg = f"autoencoder was trained on {autoencoder.n_features} features, X has {inputs.X.shape[1]}."
        raise ValueError(msg)
    return autoencoder
