"""From expression to principal components: what the atlas network starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.linalg import eigh
from sklearn.utils.extmath import svd_flip

from scfcmi._random import Stream, some_cells, stream
from scfcmi.models.atlas.weights import gene_weights, rough_clusters
from scfcmi.models.checks import check_varies
from scfcmi.models.products import product, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from scfcmi.rows import Rows, Summary

# Loadings come from at most this many cells, read so many at a time. In a million simulated cells, an earlier version
# found four types of .2 % and less, as one cluster, with 100,000. With 20,000 it did not.
_MAX_CELLS, _PART = 100_000, 20_000
# Of more features, those of largest variance are taken: the covariance is quadratic in them.
_MAX_FEATURES = 4000
# As ``scanpy.pp.scale(max_value=10)``: without clipping, a single cell can turn a component.
_CLIP = 10.0
# The covariance is computed in strips of so many features.
_STRIP = 512
# Components of cells are made orthogonal again if the last is smaller than this share of the first, in units of its length.
_RANK = 0.01
# Genes are weighted by a clustering of at most this many cells.
_MAX_CLUSTERED = 5000


def fit_projections(
    rows: Rows,
    summary: Summary,
    n_components: int,
    groups: np.ndarray,
    seed: int,
    tracked: Callable[[list], Iterable] = iter,
) -> dict[str, Tensor]:
    """Find the principal components of scaled and of unscaled features: two views of the same cells.

    Scaled features are weighted by the square root of the share of variance that rough clusters explain
    (:mod:`scfcmi.models.atlas.weights`). No more than a block of rows is ever dense, but for 5,000 cells. Means and variances
    are of all cells, loadings of at most 100,000 that are drawn. Of more than 4,000 features the most variable take part.
    There are as many components as features, or one less than cells, if that is fewer than ``n_components``.

    Returns the buffers of :class:`scfcmi.models.atlas.network.AtlasNetwork`, float32: ``mean``, and for the view of scaled and
    then that of unscaled features ``scale``, infinite where a feature is left out, ``clip``, ``center`` and ``loadings``. The
    components are ``(clip((x - mean) / scale) - center) @ loadings``.
    """
    n_cells, n_features = rows.shape
    mean, variance = summary.mean, summary.variance
    # Whatever the units. What varies by the last place of single precision does not vary.
    used = variance > 1e-14 * mean**2
    check_varies(bool(used.any()), rows.shape)
    if used.sum() > _MAX_FEATURES:
        # Of equal variances the first are taken, so that there are never more.
        most = np.argsort(-np.where(used, variance, -1).astype(np.float32), kind="stable")[:_MAX_FEATURES]
        used = np.isin(np.arange(n_features), most)
    deviation = np.sqrt(np.where(used, variance, 1))
    rng = stream(seed, Stream.COMPONENTS)
    cells = some_cells(n_cells, _MAX_CELLS, rng)
    columns = np.flatnonzero(used)
    n_components = max(1, min(n_components, n_cells - 1, len(columns)))
    moments = _Moments(
        *(torch.from_numpy(values[columns].astype(np.float32)).to(rows.device) for values in (mean, deviation)),
        by_cells=n_cells < len(columns) and n_cells <= _MAX_CLUSTERED,
    )
    # Of all parts of the data.
    clustered = np.zeros(len(cells), bool)
    clustered[rng.choice(len(cells), min(_MAX_CLUSTERED, len(cells)), replace=False)] = True
    for part in tracked(np.array_split(np.arange(len(cells)), -(-len(cells) // _PART))):
        whole = len(part) == n_cells
        moments.add(rows.subset(None if whole else cells[part], columns), np.flatnonzero(clustered[part]))

    codes = np.unique(groups[cells[clustered]], return_inverse=True)[1]
    unweighted = [moments.loadings(view, n_components) for view in range(2)]
    components = [
        product(moments.kept(view), torch.from_numpy(loadings).float()).numpy()
        for view, (_, loadings) in enumerate(unweighted)
    ]
    clusters = rough_clusters(components, codes, int(rng.integers(2**31 - 1)))
    weights = gene_weights(moments.kept(0).numpy(), codes, clusters)
    weighted_center, vectors = moments.loadings(0, n_components, weights)
    views = [(weighted_center, weights[:, None] * vectors), unweighted[1]]
    centers, loadings = np.zeros((2, n_features)), np.zeros((2, n_features, n_components))
    for view, (center, vectors) in enumerate(views):
        centers[view, columns] = center
        # Signs do not depend on the machine's linear algebra.
        loadings[view, columns] = svd_flip(None, vectors.T, u_based_decision=False)[1].T
    buffers = {
        "mean": mean,
        "scale": np.where(used, [deviation, np.ones(n_features)], np.inf),
        "clip": np.array([_CLIP, np.inf]),
        "center": centers,
        "loadings": loadings,
    }
    return {name: torch.from_numpy(values.astype(np.float32)) for name, values in buffers.items()}


class _Moments:
    """Sums and products of scaled and of unscaled features, from which the components of both views come.

    With ``by_cells``, loadings come from the cells that are kept, all of them, and not from products of features: faster where
    cells are fewer.
    """

    def __init__(self, mean: Tensor, deviation: Tensor, *, by_cells: bool) -> None:
        self._mean, self._deviation, self._by_cells = mean, deviation, by_cells
        self._n_cells, n_features = 0, len(mean)
        self._kept: list[Tensor] = []
        if not by_cells:
            self._sums = torch.zeros(2, n_features, dtype=torch.float64, device="cpu")
            self._products = torch.zeros(2, n_features, n_features, dtype=torch.float64, device="cpu")

    def add(self, sample: Rows, kept: np.ndarray) -> None:
        """Add cells; those of the index ``kept``, rising, are kept as they are."""
        self._n_cells += len(sample)
        start = 0
        for block in sample.blocks():
            first, last = np.searchsorted(kept, (start, start + len(block)))
            self._kept.append(block[torch.from_numpy(kept[first:last] - start).to(block.device)].cpu())
            start += len(block)
            if not self._by_cells:
                self._add(block)

    def _add(self, block: Tensor) -> None:
        n_features = len(self._mean)
        for view in range(2):
            values = _view(view, block, self._mean, self._deviation)
            self._sums[view] += values.sum(dim=0, dtype=torch.float64).cpu()
            # The other half is the same.
            for start in range(0, n_features, _STRIP):
                strip = values[:, start : start + _STRIP]
                self._products[view, start : start + _STRIP, start:] += product(strip.T, values[:, start:]).cpu()

    def kept(self, view: int) -> Tensor:
        """Return the cells that were kept, as a view has them."""
        self._kept = [torch.cat(self._kept)]
        return _view(view, self._kept[0], self._mean.cpu(), self._deviation.cpu())

    def loadings(
        self, view: int, n_components: int, weights: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the center of a view, and the loadings of its features times weights."""
        if self._by_cells:
            values = self.kept(view)
            center = values.mean(dim=0, dtype=torch.float64)
            values = values - center.float()
            if weights is not None:
                values = values * torch.from_numpy(weights.astype(np.float32))
            vectors = _leading(product(values, values.T).double().numpy(), n_components)
            loadings = product(values.T, torch.from_numpy(vectors).float()).numpy()
            lengths = np.linalg.norm(loadings, axis=0)
            if lengths[-1] < _RANK * lengths[0]:
                # There the vectors are rounding, which would come out as copies of the first loadings.
                return center.numpy(), rounded(np.linalg.qr(loadings.astype(np.float64))[0])
            return center.numpy(), loadings / lengths
        center = (self._sums[view] / self._n_cells).numpy()
        covariance = self._products[view].numpy() / self._n_cells
        for start in range(0, len(center), _STRIP):
            covariance[start : start + _STRIP] -= np.outer(center[start : start + _STRIP], center)
        if weights is not None:
            covariance *= weights
            covariance *= weights[:, None]
        return center, _leading(covariance.T, n_components)


def _view(view: int, cells: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Return features of cells: scaled and clipped in the first view, only centered in the second."""
    centered = cells - mean
    return centered if view else centered.div_(deviation).clamp_(-_CLIP, _CLIP)


def _leading(products: np.ndarray, n_components: int) -> np.ndarray:
    """Return the eigenvectors of largest eigenvalue, the largest first, shape (len(products), n_components).

    Only the lower half is read. The products are overwritten.
    """
    some = [len(products) - n_components, len(products) - 1]
    return rounded(eigh(products, overwrite_a=True, subset_by_index=some)[1][:, ::-1])
