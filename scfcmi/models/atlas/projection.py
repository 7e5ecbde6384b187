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

    from scfcmi.rows import Rows

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

    def scaled(self, block: Tensor) -> np.ndarray:
        """Return rows scaled and clipped."""
        return np.clip((block.cpu().numpy() - self.mean) / self.scale, -self.clip, self.clip)


def fit_projections(rows: Rows, n_components: int, rng: np.random.Generator) -> list[Projection]:
    """Find the principal components of scaled and of unscaled features: two views of the same cells.

    No more than a block of rows is ever dense. Means and variances are of all cells, loadings of at most 20,000 drawn by
    ``rng``. Of more than 4,000 features the most variable take part.

    Parameters
    ----------
    rows
        Log-normalized expression.
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
    mean, variance = _moments(rows)
    # Rounding leaves a constant feature a variance of about this size.
    used = variance > 1e-10 * (1 + mean**2)
    if not used.any():
        msg = f"All {n_features} features have the same value in all {n_cells} cells: there is nothing to cluster by."
        raise ValueError(msg)
    if used.sum() > _MAX_FEATURES:
        used &= variance >= np.sort(variance)[-_MAX_FEATURES]
    deviation = np.sqrt(np.where(used, variance, 1))
    sample = None if n_cells <= _MAX_CELLS else np.sort(rng.choice(n_cells, _MAX_CELLS, replace=False))
    return [
        _fit(rows, sample, mean, np.where(used, scale, np.inf), clip, n_components)
        for scale, clip in ((deviation, _CLIP), (np.ones(n_features), np.inf))
    ]


def _moments(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the variance of every feature, in double precision."""
    # Differences from the first cell: sums of a block in single precision are exact where a feature is constant.
    origin = rows.take(np.zeros(1, np.int64))

    def sums(block: Tensor) -> tuple[np.ndarray, np.ndarray]:
        values = block - origin
        return tuple(part.sum(dim=0).double().cpu().numpy() for part in (values, values.square()))

    first, second = total(rows, sums)
    mean = first / len(rows)
    variance = np.maximum(second - len(rows) * mean**2, 0) / max(len(rows) - 1, 1)
    return origin[0].double().cpu().numpy() + mean, variance


def _fit(
    rows: Rows, sample: np.ndarray | None, mean: np.ndarray, scale: np.ndarray, clip: float, n_components: int
) -> Projection:
    n_features, columns = len(mean), np.flatnonzero(np.isfinite(scale))
    zeros = np.zeros(n_features, np.float32)
    view = Projection(mean.astype(np.float32), scale.astype(np.float32), clip, zeros, zeros[:, None])

    def products(block: Tensor) -> tuple[np.ndarray, np.ndarray]:
        scaled = view.scaled(block)
        center, scaled = scaled.sum(axis=0, dtype=np.float64), scaled[:, columns]
        # Half of the products, those above the diagonal: the others are the same.
        return center, ssyrk(1.0, scaled.T).astype(np.float64)

    center, covariance = total(rows, products, sample)
    n_cells = len(rows) if sample is None else len(sample)
    center /= n_cells
    covariance = covariance / n_cells - np.outer(center[columns], center[columns])
    n_components = max(1, min(n_components, len(columns), len(rows) - 1))
    vectors = eigh(covariance, lower=False, subset_by_index=[len(columns) - n_components, len(columns) - 1])[1][:, ::-1]
    # Signs do not depend on the machine's linear algebra.
    _, vectors = svd_flip(None, vectors.T, u_based_decision=False)
    loadings = np.zeros((n_features, n_components), np.float32)
    loadings[columns] = vectors.T
    return Projection(view.mean, view.scale, clip, center.astype(np.float32), loadings)
