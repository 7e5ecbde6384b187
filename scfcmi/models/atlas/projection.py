"""From expression to principal components: what the atlas network starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.linalg import eigh
from scipy.sparse import csr_matrix
from sklearn.utils.extmath import svd_flip

from scfcmi.models.products import rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scfcmi.rows import Rows, Summary

# Loadings come from at most this many cells, read so many at a time. Of a million simulated cells, an earlier version found
# four types of .2 % and less, as one cluster, with 100,000; with 20,000 it did not.
_MAX_CELLS, _PART = 100_000, 20_000
# Of more features, those of largest variance are taken: the covariance is quadratic in them.
_MAX_FEATURES = 4000
# As ``scanpy.pp.scale(max_value=10)``: without clipping, a single cell can turn a component.
_CLIP = 10.0
# For the covariance, scaled values are rounded to whole numbers of steps, of at most 17 bits. Double precision then holds
# every sum of products exactly (17 + 17 bits, and 17 for the number of cells). So it does not depend on the number of threads.
_STEP = 2.0**-13
# The covariance is computed in strips of so many features.
_STRIP = 256


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


def fit_projections(
    rows: Rows,
    summary: Summary,
    n_components: int,
    rng: np.random.Generator,
    tracked: Callable[[list], Iterable] = iter,
) -> list[Projection]:
    """Find the principal components of scaled and of unscaled features: two views of the same cells.

    No more than a block of rows is ever dense. Means and variances are of all cells, loadings of at most 100,000 drawn by
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
    tracked
        Wraps the list of parts of the cells, to show progress.

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
    covariance = _Covariance(mean[columns], deviation[columns])
    parts = [cells]
    if n_cells > _PART:
        drawn = np.arange(n_cells) if cells is None else cells
        parts = np.array_split(drawn, -(-len(drawn) // _PART))
    for part in tracked(parts):
        covariance.add(rows.subset(part, columns))
    projections, n_components = [], max(1, min(n_components, n_cells - 1, len(columns)))
    # The scaled view last: its covariance overwrites the products.
    for scale, clip, view in (
        (np.ones(n_features), np.inf, covariance.of_unscaled),
        (deviation, _CLIP, covariance.of_scaled),
    ):
        found, center = view()
        vectors = _leading(found, n_components)
        centers, loadings = np.zeros(n_features, np.float32), np.zeros((n_features, n_components), np.float32)
        centers[columns], loadings[columns] = center, vectors.T
        scale = np.where(used, scale, np.inf).astype(np.float32)
        projections.append(Projection(mean.astype(np.float32), scale, clip, centers, loadings))
    return projections[::-1]


class _Covariance:
    """Covariance of features of many cells, scaled and clipped, and unscaled; from one sum of products.

    Products cost most, and few values are clipped. With q for what clipping leaves of a value and e for what it takes away,
    (q + e)(q + e)' is qq' + (q + e/2)e' + e(q + e/2)', and e is sparse.
    """

    def __init__(self, mean: np.ndarray, deviation: np.ndarray) -> None:
        n_features = len(mean)
        self._mean, self._deviation = mean.astype(np.float32), deviation.astype(np.float32)
        self._n_cells, self._sums, self._sums_beyond = 0, np.zeros(n_features), np.zeros(n_features)
        # Of the strips, only what lies on and above the diagonal is computed: the other half is the same.
        self._products = torch.zeros(n_features, n_features, dtype=torch.float64)
        self._products_beyond = np.zeros((n_features, n_features))

    def add(self, sample: Rows) -> None:
        """Add cells, which have the features of the covariance only."""
        n_features, limit = len(self._mean), _CLIP / _STEP
        mean, deviation = (torch.from_numpy(values).to(sample.device) for values in (self._mean, self._deviation))
        for block in sample.blocks():
            steps = ((block - mean).div_(deviation).div_(_STEP)).cpu()
            clipped = steps.clamp(-limit, limit)
            far = np.flatnonzero((clipped != steps).numpy())
            whole = clipped.round_().double()
            self._sums += whole.sum(dim=0).numpy()
            # By torch, as all else here. By OpenBLAS, whose threads are others, all of this takes nearly twice as long.
            for start in range(0, n_features, _STRIP):
                strip = slice(start, start + _STRIP)
                self._products[strip, start:].addmm_(whole[:, strip].T, whole[:, start:])
            if len(far):
                self._add_beyond(steps.numpy().ravel()[far], far, whole.numpy())
        self._n_cells += len(sample)

    def _add_beyond(self, values: np.ndarray, far: np.ndarray, whole: np.ndarray) -> None:
        """Add what clipping takes away from values, at the places ``far`` of a block. The clipped block is overwritten."""
        flat = whole.ravel()
        beyond = values - flat[far]
        flat[far] += beyond / 2
        cells, features = np.divmod(far, whole.shape[1])
        self._sums_beyond += np.bincount(features, beyond, whole.shape[1])
        some, features = np.unique(features, return_inverse=True)
        # scipy's products of sparse matrices have one thread.
        sparse = csr_matrix((beyond, (features, cells)), shape=(len(some), len(whole)))
        self._products_beyond[some] += sparse @ whole

    def of_unscaled(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the covariance of features less their mean, below the diagonal, and what is left of their means."""
        products = np.asfortranarray(self._products_beyond + self._products_beyond.T)
        products += self._products.numpy().T
        covariance, center = self._divided(products, self._sums + self._sums_beyond)
        covariance *= np.outer(self._deviation, self._deviation)
        return covariance, center * self._deviation

    def of_scaled(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the same of scaled and clipped features. The products are overwritten: nothing can be asked for after."""
        return self._divided(self._products.numpy().T, self._sums)

    def _divided(self, products: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn sums over cells, in steps, into a covariance, in place, and means."""
        center = sums * _STEP / self._n_cells
        products *= _STEP**2 / self._n_cells
        products -= np.outer(center, center)
        return products, center


def _leading(covariance: np.ndarray, n_components: int) -> np.ndarray:
    """Return the eigenvectors of largest eigenvalue, the largest first, shape (n_components, n_features)."""
    n_features = len(covariance)
    some = [n_features - n_components, n_features - 1]
    vectors = eigh(covariance, overwrite_a=True, subset_by_index=some)[1][:, ::-1]
    # Signs do not depend on the machine's linear algebra.
    return rounded(svd_flip(None, vectors.T, u_based_decision=False)[1])
