"""The graph of neighbours of codes: its weights, its eigenvectors, and what it says of a partition."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh
from sklearn.metrics import mutual_info_score
from sklearn.neighbors import NearestNeighbors

_NEIGHBORS = 15


def neighbor_graph(codes: np.ndarray, n_neighbors: int = _NEIGHBORS) -> csr_matrix:
    """Return the symmetric weighted graph of nearest neighbours by cosine that UMAP lays out (McInnes et al., 2018).

    Parameters
    ----------
    codes
        Shape (n_cells, n_dims).
    n_neighbors
        Number of neighbours, the cell itself among them.
    """
    from umap.umap_ import fuzzy_simplicial_set

    n_neighbors = min(n_neighbors, len(codes))
    # Of unit vectors, by Euclidean distance: the same order, and scikit-learn finds it without a matrix of distances.
    units = codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)
    distances, indices = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(units).kneighbors(units)
    distances = distances**2 / 2
    graph, *_ = fuzzy_simplicial_set(
        codes, n_neighbors, random_state=0, metric="cosine", knn_indices=indices, knn_dists=distances
    )
    return graph.tocsr()


def joined_graph(codes: np.ndarray, n_parts: int) -> csr_matrix:
    """Return a graph of at most so many parts: which of more to join would be left to chance."""
    n_neighbors, graph = _NEIGHBORS, neighbor_graph(codes)
    while n_neighbors < len(codes) and connected_components(graph, directed=False)[0] > n_parts:
        n_neighbors *= 2
        graph = neighbor_graph(codes, n_neighbors)
    return graph


def spectral_vectors(graph: csr_matrix, n_vectors: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest eigenvalues, falling, and eigenvectors of ``D^-1/2 W D^-1/2`` (Shi and Malik, 2000).

    Vectors are scaled back by ``D^-1/2``: shape (n_cells, n_vectors).
    """
    degree = np.asarray(graph.sum(axis=1)).ravel()
    root = diags(1 / np.sqrt(np.maximum(degree, 1e-12)))
    normalised = (root @ graph @ root).tocsr()
    # Part by part: together the parts share the eigenvalue one, and of a repeated eigenvalue Lanczos finds one vector.
    n_parts, part = connected_components(graph, directed=False)
    firsts, values, vectors = [], [], []
    for number in range(n_parts):
        cells = np.flatnonzero(part == number)
        first = np.sqrt(np.maximum(degree[cells], 1e-12))
        first /= np.linalg.norm(first)
        of_part, on_part = _next_largest(normalised[cells][:, cells], first, min(n_vectors, len(cells)))
        spread = np.zeros((len(part), len(of_part) + 1))
        spread[cells] = np.column_stack([first, on_part])
        firsts.append(spread[:, :1])
        values.append(of_part)
        vectors.append(spread[:, 1:])
    all_values = np.concatenate([np.ones(n_parts), *values])
    order = np.argsort(-all_values, kind="stable")[:n_vectors]
    return all_values[order], root @ np.concatenate([*firsts, *vectors], axis=1)[:, order]


def _next_largest(matrix: csr_matrix, first: np.ndarray, n_vectors: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues and eigenvectors that come after ``first``, whose eigenvalue is one; ``n_vectors`` with it.

    Parts that hardly hang together have another eigenvalue of one but for rounding, and vectors that mix the two.
    """
    size = matrix.shape[0]
    if size <= 4 * n_vectors:
        values, vectors = eigh(matrix.toarray(), subset_by_index=[size - n_vectors, size - 1])
    else:
        # From a fixed start, so that the same graph gives the same vectors.
        start = np.random.default_rng(0).uniform(0.5, 1.5, size)
        values, vectors = eigsh(matrix, k=n_vectors, which="LA", v0=start, tol=1e-5)
    others = np.delete(np.arange(n_vectors), np.abs(first @ vectors).argmax())[::-1]
    orthogonal = np.linalg.qr(np.column_stack([first, vectors[:, others]]))[0]
    return np.minimum(values[others], 1), orthogonal[:, 1:]


def kept_links(graph: csr_matrix, labels: np.ndarray) -> np.ndarray:
    """Return the share of its links, by weight, that each cluster keeps to itself: shape (n_clusters,)."""
    links = links_between(graph, labels).toarray()
    return np.diag(links) / np.maximum(links.sum(axis=1), 1e-12)


def normalised_cut(graph: csr_matrix, labels: np.ndarray) -> float:
    """Return the sum over clusters of the share of its links that a cluster loses to others (Shi and Malik, 2000)."""
    return float((1 - kept_links(graph, labels)).sum())


def shared_information(graph: csr_matrix, labels: np.ndarray) -> float:
    """Return I(C;C') of the clusters of a cell and of its neighbour, a link drawn by weight, in nats."""
    return mutual_info_score(None, None, contingency=links_between(graph, labels).toarray())


def modularity(graph: csr_matrix, labels: np.ndarray) -> float:
    """Return the share of links within clusters, less what it would be if links fell anyhow (Newman and Girvan, 2004)."""
    links = links_between(graph, labels).toarray()
    links /= links.sum()
    return float(np.trace(links) - np.square(links.sum(axis=1)).sum())


def links_between(graph: csr_matrix, labels: np.ndarray) -> csr_matrix:
    """Return the graph of clusters, their links added up: shape (n_clusters, n_clusters)."""
    member = csr_matrix((np.ones(len(labels)), (np.arange(len(labels)), labels)))
    return (member.T @ graph @ member).tocsr()
