"""From expression to principal components: what the atlas network starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh
from scipy.linalg.blas import ssyrk
from sklearn.utils.extmath import svd_flip

from scfcmi.rows import total

if TYPE_CHECKING:
    from torch import Tensor

    from scfcmi.rows import Rows, Summary

# Loadings are computed from at most this many cells; more change them little and cost in proportion.
_MAX_CELLS = 20_000
# Of more features, those of largest variance are taken: the covariance is quadratic in them.
_MAX_FEATURES = 4000
# As ``scanpy.pp.scale(max_value=10)``: one cell far off must not turn a component.
_CLIP = 10.0


@dataclass(frozen=True)
class Projection:
    """One view of expression: ``(clip((x - mean) / scale) - center) @ loadings``."""

    mean: np.ndarray
    """Shape (n_features,)."""
    scale: np.ndarray
    """Shape (n_features,); infinite where a feature is left out."""
    clip: float
    """Largest scaled value; infinite where features are not scaled."""
    center: np.ndarray
    """Mean after clipping, shape (n_features,)."""
    loadings: np.ndarray
    """Shape (n_features, n_components)."""


def fit_projections(rows: Rows, summary: Summary, n_components: int, rng: np.random.Generator) -> list[Projection]:
    """Find the principal components of scaled and of unscaled features: two views of the same cells.

    No more than a block of rows is ever dense. Means and variances are of all cells, loadings of at most 20,000 drawn by
    ``rng``. Of more than 4,000 features the most variable take part.

    Parameters
    ----------
    rows
        Log-normalized expression.
    summary
        Moments of all cells, from :func:`scfcmi.rows.summarize`.
    n_components
        Number of components; as many as features, or one less than cells, if that is fewer.
    rng
        Source of the draw.

    Returns
    -------
    The view of scaled features, then that of unscaled ones.

    Raises
    ------
    ValueError
        If every feature has the same value in all cells.
    """
    n_cells, n_features = rows.shape
    mean, variance = summary.mean, summary.variance
    # Rounding leaves a constant feature a variance of about this size.
    used = variance > 1e-10 * (1 + mean**2)
    if not used.any():
        msg = f"All {n_features} features have the same value in all {n_cells} cells: there is nothing to cluster by."
        raise ValueError(msg)
    if used.sum() > _MAX_FEATURES:
        used &= variance >= np.sort(variance)[-_MAX_FEATURES]
    deviation = np.sqrt(np.where(used, variance, 1))
    cells = None if n_cells <= _MAX_CELLS else np.sort(rng.choice(n_cells, _MAX_CELLS, replace=False))
    columns = np.flatnonzero(used)
    # Read once, for both views.
    sample = rows.subset(cells, columns)
    return [
        _fit(sample, columns, mean, np.where(used, scale, np.inf), clip, min(n_components, n_cells - 1))
        for scale, clip in ((deviation, _CLIP), (np.ones(n_features), np.inf))
    ]


def _fit(
    sample: Rows, columns: np.ndarray, mean: np.ndarray, scale: np.ndarray, clip: float, n_components: int
) -> Projection:
    """Return the principal components of a sample of cells, which has some of the features."""
    mean, scale = mean.astype(np.float32), scale.astype(np.float32)

    def products(block: Tensor) -> tuple[np.ndarray, np.ndarray]:
        scaled = np.clip((block.cpu().numpy() - mean[columns]) / scale[columns], -clip, clip)
        # Half of the products, those above the diagonal: the others are the same.
        return scaled.sum(axis=0, dtype=np.float64), ssyrk(1.0, scaled.T).astype(np.float64)

    sums, covariance = total(sample, products)
    sums /= len(sample)
    covariance = covariance / len(sample) - np.outer(sums, sums)
    n_components = max(1, min(n_components, len(columns)))
    vectors = eigh(covariance, lower=False, subset_by_index=[len(columns) - n_components, len(columns) - 1])[1][:, ::-1]
    # Signs do not depend on the machine's linear algebra.
    _, vectors = svd_flip(None, vectors.T, u_based_decision=False)
    center, loadings = np.zeros(len(mean), np.float32), np.zeros((len(mean), n_components), np.float32)
    center[columns], loadings[columns] = sums, vectors.T
    return Projection(mean, scale, clip, center, loadings)
