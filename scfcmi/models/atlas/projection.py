"""From expression to principal components: what the atlas network starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.linalg import eigh
from sklearn.utils.extmath import svd_flip

from scfcmi.models.products import product, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

    from scfcmi.rows import Rows, Summary

# Loadings come from at most this many cells, read so many at a time. Of a million simulated cells, an earlier version found
# four types of .2 % and less, as one cluster, with 100,000; with 20,000 it did not.
_MAX_CELLS, _PART = 100_000, 20_000
# Of more features, those of largest variance are taken: the covariance is quadratic in them.
_MAX_FEATURES = 4000
# As ``scanpy.pp.scale(max_value=10)``: without clipping, a single cell can turn a component.
_CLIP = 10.0
# The covariance is computed in strips of so many features.
_STRIP = 512


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
    parts = [cells]
    if n_cells > _PART:
        drawn = np.arange(n_cells) if cells is None else cells
        parts = np.array_split(drawn, -(-len(drawn) // _PART))
    subsets = (rows.subset(part, columns) for part in tracked(parts))
    n_components = max(1, min(n_components, n_cells - 1, len(columns)))
    of_columns = (torch.from_numpy(values[columns].astype(np.float32)).to(rows.device) for values in (mean, deviation))
    find = _from_cells if n_cells < len(columns) else _from_features
    found = find(subsets, *of_columns, n_components)
    projections = []
    for (center, vectors), scale, clip in zip(found, (deviation, np.ones(n_features)), (_CLIP, np.inf), strict=True):
        centers, loadings = np.zeros(n_features, np.float32), np.zeros((n_features, n_components), np.float32)
        # Signs do not depend on the machine's linear algebra.
        centers[columns], loadings[columns] = center, svd_flip(None, vectors.T, u_based_decision=False)[1].T
        scale = np.where(used, scale, np.inf).astype(np.float32)
        projections.append(Projection(mean.astype(np.float32), scale, clip, centers, loadings))
    return projections


def _from_features(
    subsets: Iterable[Rows], mean: Tensor, deviation: Tensor, n_components: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the center and the loadings of both views, from the covariance of features."""
    n_cells, n_features = 0, len(mean)
    sums = torch.zeros(2, n_features, dtype=torch.float64)
    products = torch.zeros(2, n_features, n_features, dtype=torch.float64)
    for sample in subsets:
        n_cells += len(sample)
        for block in sample.blocks():
            for view, values in enumerate(_views(block, mean, deviation)):
                sums[view] += values.sum(dim=0, dtype=torch.float64).cpu()
                # The other half is the same.
                for start in range(0, n_features, _STRIP):
                    strip = values[:, start : start + _STRIP]
                    products[view, start : start + _STRIP, start:] += product(strip.T, values[:, start:]).cpu()
    for center, covariance in zip((sums / n_cells).numpy(), products.numpy(), strict=True):
        covariance /= n_cells
        covariance -= np.outer(center, center)
        yield center, _leading(covariance.T, n_components)


def _from_cells(
    subsets: Iterable[Rows], mean: Tensor, deviation: Tensor, n_components: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the same from products of cells: faster where they are fewer than features."""
    cells = torch.cat([block for sample in subsets for block in sample.blocks()])
    for values in _views(cells, mean, deviation):
        center = values.mean(dim=0, dtype=torch.float64)
        values = (values - center.float()).cpu()
        vectors = _leading(product(values, values.T).double().numpy(), n_components)
        loadings = product(values.T, torch.from_numpy(vectors).float()).numpy()
        yield center.cpu().numpy(), loadings / np.maximum(np.linalg.norm(loadings, axis=0), 1e-12)


def _views(cells: Tensor, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
    """Return features of cells scaled and clipped, and only centered."""
    centered = cells - mean
    return (centered / deviation).clamp_(-_CLIP, _CLIP), centered


def _leading(products: np.ndarray, n_components: int) -> np.ndarray:
    """Return the eigenvectors of largest eigenvalue, the largest first, shape (len(products), n_components).

    Only the lower half is read. The products are overwritten.
    """
    some = [len(products) - n_components, len(products) - 1]
    return rounded(eigh(products, overwrite_a=True, subset_by_index=some)[1][:, ::-1])
