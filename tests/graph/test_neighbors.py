from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from scfcmi.graph import neighbors
from scfcmi.graph.neighbors import distinct, fuzzy_graph, joint_graph, nearest, with_copies


def codes(n_cells: int, n_types: int = 4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(n_types, 30)) * 2
    return normalize(centers[np.arange(n_cells) % n_types] + rng.normal(size=(n_cells, 30))).astype(np.float32)


def test_weights_are_umap_s():
    from umap.umap_ import fuzzy_simplicial_set

    X = codes(300)
    distances, indices = nearest(X, 15)
    ours = fuzzy_graph(distances, indices)
    # As scanpy and UMAP find them, cells are at distance zero from themselves.
    exact = np.where(indices == np.arange(len(X))[:, None], 0, distances)
    theirs, *_ = fuzzy_simplicial_set(X, 15, 0, "cosine", knn_indices=indices, knn_dists=exact)
    assert abs(ours - theirs).max() < 1e-5
    assert abs(ours - ours.T).max() < 1e-6
    assert (ours.max(axis=1).toarray() > 1 - 1e-6).all()


def test_few_cells_have_their_exact_neighbors():
    X = codes(2000, 10)
    distances, indices = nearest(X, 15)
    wanted = NearestNeighbors(n_neighbors=15, algorithm="brute", metric="cosine").fit(X).kneighbors(X)
    assert (indices == wanted[1]).mean() > 0.999
    np.testing.assert_allclose(distances, wanted[0], atol=1e-6)


def test_index_finds_what_exact_search_finds(monkeypatch):
    X = codes(3000, 10)
    exact = nearest(X, 15)
    monkeypatch.setattr(neighbors, "_EXACT", 1000)
    distances, indices = nearest(X, 15)
    found = [len(set(a) & set(b)) / 15 for a, b in zip(indices, exact[1], strict=True)]
    assert np.mean(found) > 0.95
    assert (np.diff(distances, axis=1) >= 0).all()
    np.testing.assert_array_equal(nearest(X, 15)[1], indices)


def test_views_are_added_up():
    first, second = codes(200), codes(200, seed=1)
    both = joint_graph([first, second])
    assert abs(both - joint_graph([first]) - joint_graph([second])).max() < 1e-6
    # A view of few dimensions is not counted twice.
    assert joint_graph([first[:, :10]]).max() <= 1


def test_fewer_cells_than_neighbors():
    assert joint_graph([codes(3)]).shape == (3, 3)


def test_copies_share_one_place():
    X = codes(50)
    again = np.tile(X, (3, 1)) + np.random.default_rng(0).normal(scale=1e-8, size=(150, 30)).astype(np.float32)
    first, place = distinct(again)
    np.testing.assert_array_equal(first, np.arange(50))
    np.testing.assert_array_equal(place, np.tile(np.arange(50), 3))
    graph = joint_graph([X])
    every = with_copies(graph, place)
    assert every.shape == (150, 150)
    assert abs(every - every.T).max() < 1e-6
    assert connected_components(every)[0] == connected_components(graph)[0]
    assert with_copies(graph, np.arange(50)) is graph


def test_a_link_leads_to_one_copy_of_the_neighbor():
    """Three copies each of two cells: copy i is linked to copy i, and copies of one cell are a chain."""
    graph = sp.csr_matrix(np.float32([[0, 0.5], [0.5, 0]]))
    found = with_copies(graph, np.tile([0, 1], 3)).toarray()
    expected = np.zeros((6, 6), np.float32)
    for i, j, weight in ((0, 1, 0.5), (2, 3, 0.5), (4, 5, 0.5), (0, 2, 1), (2, 4, 1), (1, 3, 1), (3, 5, 1)):
        expected[i, j] = expected[j, i] = weight
    np.testing.assert_array_equal(found, expected)


def types(seed=0, n_dims=30):
    rng = np.random.default_rng(seed)
    labels = np.arange(300) % 5
    return (rng.normal(size=(5, n_dims))[labels] * 2 + rng.normal(size=(300, n_dims))).astype(np.float32), labels


def test_leading_dimensions_have_a_graph_of_their_own():
    X, _ = types()
    expected = fuzzy_graph(*nearest(X, 15)) + fuzzy_graph(*nearest(X[:, :20], 15))
    assert abs(joint_graph([X]) - expected).max() < 1e-6
