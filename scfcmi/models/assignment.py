"""Soft assignment of codes to centers, and its calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

_TEMPERATURES = (0.01, 1.0)


def soft_assignment(codes: Tensor, centers: Tensor, temperature: float) -> Tensor:
    """Assign codes softly to centers by cosine: softmax over k of ``cos(h_i, mu_k) / temperature``.

    Parameters
    ----------
    codes
        Codes of unit length, shape (n_cells, n_dims).
    centers
        Centers of unit length, shape (n_clusters, n_dims).
    temperature
        The smaller, the harder the assignment. The paper's code uses 0.1.
    """
    return F.softmax(codes @ centers.T / temperature, dim=1)


def fit_temperature(cosines: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature at which ``softmax(cosines / temperature)`` is most likely to give these labels.

    Temperature scaling (Guo et al., 2017) calibrates probabilities: of the cells assigned with 0.9, about 90 % agree
    with the graph clustering.

    Parameters
    ----------
    cosines
        Of cells and centers, shape (n_cells, n_clusters).
    labels
        Clusters in the graph, shape (n_cells,).
    """
    own = cosines[np.arange(len(labels)), labels]

    def surprise(log_temperature: float) -> float:
        temperature = np.exp(log_temperature)
        return float((logsumexp(cosines / temperature, axis=1) - own / temperature).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=np.log(_TEMPERATURES), method="bounded").x))
