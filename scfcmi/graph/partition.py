"""Centres from a partition of the neighbour graph: clusters of any shape and of any size."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch.nn import functional as F

from scfcmi.graph.neighbors import joined_graph, modularity, shared_information, spectral_vectors
from scfcmi.graph.refinement import refined_cut

_TEMPERATURE = 0.01
# Cells whose graph is cut; the others follow the centres.
_MAX_CELLS = 10_000
_RESTARTS = 20
# What the nearest mean direction must keep of the information that neighbours share, or cells are parted otherwise.
_KEPT_INFORMATION = 0.9


def cut(vectors: np.ndarray, n_clusters: int, seed: int, n_init: int = _RESTARTS) -> np.ndarray:
    """Return labels of k-means on the first ``n_clusters`` vectors, the normalised cut relaxed: shape (n_cells,)."""
    return KMeans(n_clusters, n_init=n_init, random_state=seed).fit_predict(vectors[:, :n_clusters])


def directional_cut(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return labels of k-means on the directions of the vectors (Ng, Jordan and Weiss, 2002), started from ``labels``.

    Where types run into each other, vectors are short, whatever their direction, and :func:`cut` puts all cells near the
    origin in one cluster. Started elsewhere, large clusters are split and small ones lost.
    """
    # Of cells that are all alike, k-means finds fewer clusters than it is asked for.
    found, labels = np.unique(labels, return_inverse=True)
    n_clusters = len(found)
    rows = vectors[:, :n_clusters]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    start = np.stack([rows[labels == label].mean(axis=0) for label in range(n_clusters)])
    return KMeans(n_clusters, init=start, n_init=1).fit_predict(rows)


def centers_of(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean directions of clusters: unit length, shape (n_clusters, n_dims)."""
    sums = np.stack([codes[labels == label].sum(axis=0) for label in np.unique(labels)])
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)


def fitted_centers(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return centres such that cells, as many as can be, are nearest to that of their own cluster.

    They minimise the cross-entropy of ``softmax(cosine / temperature)`` and ``labels`` at the lowest temperature, from the
    mean directions. Unit length, shape (n_clusters, n_dims).
    """
    centers = torch.from_numpy(centers_of(codes, labels)).requires_grad_()
    cells, clusters = torch.from_numpy(codes), torch.from_numpy(labels).long()
    optimizer = torch.optim.LBFGS([centers], max_iter=100, line_search_fn="strong_wolfe")

    def surprise() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(cells @ F.normalize(centers, dim=1).T / _TEMPERATURE, clusters)
        loss.backward()
        return loss

    optimizer.step(surprise)
    return F.normalize(centers.detach(), dim=1).numpy()


def graph_centers(
    codes: np.ndarray, n_clusters: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut the neighbour graph of codes into clusters and return their centres, the largest cluster first.

    The normalised cut asks for no even sizes, and needs no compact clusters. k-means on the eigenvectors comes near a low
    one (:func:`cut`); from there and from a cut by their directions (:func:`directional_cut`) local search finds lower ones
    (:func:`scfcmi.graph.refinement.refined_cut`). What it finds is taken if its modularity is higher, too: where types run
    into each other, it need not be. Centres are the mean directions of the clusters. If they keep less than nine tenths of
    the information that neighbours share for the cut by directions (:func:`scfcmi.graph.neighbors.shared_information`), this
    is taken, and centres are fitted to it (:func:`fitted_centers`).

    Parameters
    ----------
    codes
        Unit length, shape (n_cells, n_dims). Of more than 10,000 cells as many are drawn.
    n_clusters
        Number of clusters.
    rng
        Source of the draw and of the seed of k-means.

    Returns
    -------
    Centres of unit length, shape (n_clusters, n_dims); the cells that were cut, and their clusters.
    """
    cells = np.arange(len(codes))
    if len(codes) > _MAX_CELLS:
        cells = np.sort(rng.choice(len(codes), _MAX_CELLS, replace=False))
    codes = codes[cells]
    if n_clusters == 1 or len(codes) <= n_clusters + 1:
        labels = _by_size(np.arange(len(codes)) % n_clusters)
        return centers_of(codes, labels), cells, labels
    graph = joined_graph(codes, n_clusters)
    vectors = spectral_vectors(graph, n_clusters)[1]
    seed = int(rng.integers(2**31))
    labels = _by_size(cut(vectors, n_clusters, seed))
    turned = _by_size(directional_cut(vectors, labels))
    refined = _by_size(refined_cut(graph, codes, [labels, turned], seed))
    if modularity(graph, refined) > modularity(graph, labels):
        labels = refined
    centers = centers_of(codes, labels)
    kept = shared_information(graph, (codes @ centers.T).argmax(axis=1))
    if kept < _KEPT_INFORMATION * shared_information(graph, turned):
        return fitted_centers(codes, turned), cells, turned
    return centers, cells, labels


def _by_size(labels: np.ndarray) -> np.ndarray:
    """Number clusters anew, the largest first."""
    return np.argsort(np.argsort(-np.bincount(labels), kind="stable"))[labels]
