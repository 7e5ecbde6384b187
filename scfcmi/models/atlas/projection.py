"""From expression to principal components: what the atlas network starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh

from scfcmi.rows import total

if TYPE_CHECKING:
    from torch import Tensor

    from scfcmi.rows import Rows

# Loadings are read off at most this many cells; more change them little and cost in proportion.
_MAX_CELLS = 20_000
# Of more features, those of largest variance are taken: the covariance is quadratic in them.
_MAX_FEATURES = 4000
# As ``scanpy.pp.scale(max_value=10)``: one cell far off must not turn a component.
CLIP = 10.0


@dataclass(frozen=True)
class Projection:
    """Scaling to unit variance, clipping at 10, projection: ``(clip((x - mean) / scale) - center) @ loadings``."""

    mean: np.ndarray
    """Shape (n_features,)."""
    scale: np.ndarray
    """Shape (n_features,); infinite where a feature is left out."""
    center: np.ndarray
    """Mean after clipping, shape (n_features,)."""
    loadings: np.ndarray
    """Shape (n_features, n_components)."""

    def __call__(self, rows: Rows) -> np.ndarray:
        """Return the components of cells: float32, shape (n_cells, n_components)."""
        return np.concatenate([(self.scaled(block) - self.center) @ self.loadings for block in rows.blocks()])

    def scaled(self, block: Tensor) -> np.ndarray:
        """Return rows scaled and clipped."""
        return np.clip((block.cpu().numpy() - self.mean) / self.scale, -CLIP, CLIP)


def fit_projection(rows: Rows, n_components: int, rng: np.random.Generator) -> Projection:
    """Find the principal components of scaled features, never holding more than a block of dense rows.

    Means and variances are of all cells, loadings of at most 20,000 drawn by ``rng``; of more than 4,000 features the
    most variable take part. The sign of a component is set by its largest loading, so that nothing depends on the
    machine's linear algebra.

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
    The projection.
    """
    n_cells, n_features = rows.shape

    def moments(block: Tensor) -> tuple[np.ndarray, np.ndarray]:
        values = block.cpu().numpy()
        return values.sum(axis=0, dtype=np.float64), np.square(values, dtype=np.float64).sum(axis=0)

    sums, squares = total(rows, moments)
    mean = sums / n_cells
    variance = np.maximum(squares - n_cells * mean**2, 0) / max(n_cells - 1, 1)
    # Rounding leaves a constant feature a variance of about this size.
    used = variance > 1e-10 * (1 + mean**2)
    if used.sum() > _MAX_FEATURES:
        used &= variance >= np.sort(variance)[-_MAX_FEATURES]
    scale = np.where(used, np.sqrt(np.where(used, variance, 1)), np.inf).astype(np.float32)
    part = Projection(mean.astype(np.float32), scale, np.zeros(n_features, np.float32), np.zeros((n_features, 0)))

    sample = None if n_cells <= _MAX_CELLS else np.sort(rng.choice(n_cells, _MAX_CELLS, replace=False))
    columns = np.flatnonzero(used)

    def products_of(block: Tensor) -> tuple[np.ndarray, np.ndarray]:
        scaled = part.scaled(block)
        center, scaled = scaled.sum(axis=0, dtype=np.float64), scaled[:, columns]
        return center, (scaled.T @ scaled).astype(np.float64)

    center, products = total(rows, products_of, sample)
    n_sampled = n_cells if sample is None else len(sample)
    center /= n_sampled
    covariance = products / n_sampled - np.outer(center[columns], center[columns])
    n_components = max(1, min(n_components, len(columns), n_cells - 1))
    first = max(0, len(columns) - n_components)
    vectors = eigh(covariance, subset_by_index=[first, len(columns) - 1])[1][:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])
    loadings = np.zeros((n_features, vectors.shape[1]), np.float32)
    loadings[columns] = vectors
    return Projection(part.mean, scale, center.astype(np.float32), loadings)
