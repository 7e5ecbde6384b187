"""Atlas mode in parts, so that its settings can be compared on the codes of one training."""

from __future__ import annotations

import contextlib
import functools
import time
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from scfcmi import AtlasFCMI
from scfcmi.graph.communities import RESOLUTION, leiden, leiden_at
from scfcmi.graph.neighbors import N_NEIGHBORS, distinct, fuzzy_graph, nearest
from scfcmi.models.atlas import training
from scfcmi.models.atlas.cell_graph import with_whitened_graph

if TYPE_CHECKING:
    import anndata as ad
    from scipy.sparse import csr_matrix

# View and number of leading dimensions of four of the graphs that atlas mode adds up.
FOUR = (("weighted", 50), ("weighted", 20), ("unscaled", 50), ("unscaled", 20))
# And the fifth, of both views in units of the variation within clusters.
FIVE = (*FOUR, ("whitened", 100))


class Codes:
    """A fit of the default, its codes, and communities of any of the graphs of these.

    Parameters
    ----------
    adata
        Log-normalized expression, ``obs["batch"]``.
    seed
        Of the fit. Leiden draws other orders than in the fit.
    weighted
        Whether scaled genes are weighted, as they are in the package.
    smoothness
        Weight of L_smooth as a share of that of L_agr.
    settings
        Parameters of :class:`scfcmi.AtlasFCMI`.
    """

    def __init__(
        self,
        adata: ad.AnnData,
        seed: int,
        *,
        weighted: bool = True,
        smoothness: float = training._SMOOTHNESS,
        **settings: Any,
    ) -> None:
        start = time.perf_counter()
        self.model = AtlasFCMI(max_epochs=None, random_state=seed, progress=False, **settings)
        alike = mock.patch.multiple(
            "scfcmi.models.atlas.projection",
            rough_clusters=lambda *_: None,
            gene_weights=lambda values, *_: np.ones(values.shape[1]),
        )
        as_smooth = mock.patch.object(training, "_SMOOTHNESS", smoothness)
        with contextlib.nullcontext() if weighted else alike, as_smooth:
            self.model.fit(adata.X, groups=adata.obs["batch"])
        self.seconds, self.seed = time.perf_counter() - start, 100 * seed
        weighted_view, unscaled = views_of(self.model.embedding_)
        first, self.place = distinct(weighted_view)
        self.views = {"weighted": weighted_view[first], "unscaled": unscaled[first]}
        self.graph = functools.cache(self._graph)

    def _graph(self, *parts: tuple[str, int]) -> csr_matrix:
        if parts == FIVE:
            return with_whitened_graph(self.graph(*FOUR), list(self.views.values()), self.seed)
        if len(parts) > 1:
            return sum(self.graph(part) for part in parts).tocsr()
        [(view, n_dims)] = parts
        return fuzzy_graph(*nearest(self.views[view][:, :n_dims], N_NEIGHBORS))

    def at(self, resolution: float = RESOLUTION, parts: tuple[tuple[str, int], ...] = FIVE) -> np.ndarray:
        """Return the communities at a resolution."""
        return leiden(self.graph(*parts), resolution, self.seed)[self.place]

    def at_k(self, n_clusters: int, parts: tuple[tuple[str, int], ...] = FOUR) -> np.ndarray:
        """Return so many communities: found without the fifth graph, as in the fit."""
        return leiden_at(self.graph(*parts), n_clusters, self.seed)[self.place]


def views_of(embedding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes of weighted and of unscaled genes, the halves of an embedding."""
    half = embedding.shape[1] // 2
    return embedding[:, :half], embedding[:, half:]
