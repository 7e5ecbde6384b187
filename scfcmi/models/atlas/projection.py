"""From expression to principal components: what the atlas network starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.linalg import eigh
from scipy.linalg.blas import dsyrk
from sklearn.utils.extmath import svd_flip

from scfcmi.models.products import rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scfcmi.rows import Rows, Summary

# Loadings are computed from at most this many cells, so many of them at a time. Of a million simulated cells, an earlier
# version found four types of .2 % and less as one cluster with this number, and not with 20,000.
_MAX_CELLS, _PART = 100_000, 20_000
# Of more features, those of largest variance are taken: the covariance is quadratic in them.
_MAX_FEATURES = 4000
# As ``scanpy.pp.scale(max_value=10)``: one cell far off must not turn a component.
_CLIP = 10.0
# For the covariance, values are rounded to whole numbers of at most so many bits. Double precision then holds every sum
# of products exactly (17 + 17 bits, and 17 for the number of cells). So it does not depend on the number of threads.
_BITS = 17


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
    views = [
        _Covariance(columns, mean, np.where(used, scale, np.inf), clip, largest)
        for scale, clip, largest in (
            (deviation, _CLIP, _CLIP),
            (np.ones(n_features), np.inf, 2 * summary.largest),
        )
    ]
    parts = [cells]
    if n_cells > _PART:
        drawn = np.arange(n_cells) if cells is None else cells
        parts = np.array_split(drawn, -(-len(drawn) // _PART))
    for part in tracked(parts):
        # Read once, for both views.
        sample = rows.subset(part, columns)
        for view in views:
            view.add(sample)
    return [view.projection(min(n_components, n_cells - 1)) for view in views]


class _Covariance:
    """Products of scaled features, summed over cells. No scaled value is above ``largest``."""

    def __init__(self, columns: np.ndarray, mean: np.ndarray, scale: np.ndarray, clip: float, largest: float) -> None:
        self._columns, self._clip = columns, clip
        self._step = 2.0 ** (np.ceil(np.log2(largest)) - _BITS)
        self._mean, self._scale = mean.astype(np.float32), scale.astype(np.float32)
        self._n_cells, self._sums = 0, np.zeros(len(columns))
        # As BLAS lays out what it returns.
        self._products = np.zeros((len(columns), len(columns)), order="F")

    def add(self, sample: Rows) -> None:
        """Add cells, which have the columns only."""
        mean, scale = (
            torch.from_numpy(values[self._columns]).to(sample.device) for values in (self._mean, self._scale)
        )
        for block in sample.blocks():
            scaled = ((block - mean) / scale).clamp_(-self._clip, self._clip)
            whole = (scaled / self._step).round_().double().cpu().numpy()
            self._sums += whole.sum(axis=0)
            # Half of the products, those above the diagonal: the others are the same.
            self._products = dsyrk(1.0, whole.T, beta=1.0, c=self._products, overwrite_c=True)
        self._n_cells += len(sample)

    def projection(self, n_components: int) -> Projection:
        """Return the principal components, once: the products are overwritten."""
        n_columns, center, covariance = len(self._columns), self._sums * self._step / self._n_cells, self._products
        covariance *= self._step**2 / self._n_cells
        covariance -= np.outer(center, center)
        n_components = max(1, min(n_components, n_columns))
        some = [n_columns - n_components, n_columns - 1]
        vectors = eigh(covariance, lower=False, overwrite_a=True, subset_by_index=some)[1][:, ::-1]
        # Signs do not depend on the machine's linear algebra.
        _, vectors = svd_flip(None, vectors.T, u_based_decision=False)
        vectors = rounded(vectors)
        n_features = len(self._mean)
        centers, loadings = np.zeros(n_features, np.float32), np.zeros((n_features, n_components), np.float32)
        centers[self._columns], loadings[self._columns] = center, vectors.T
        return Projection(self._mean, self._scale, self._clip, centers, loadings)
