"""The cut of the neighbor graph, its refinement, and the number of clusters read off it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from sklearn.metrics import adjusted_rand_score

import scfcmi
from scfcmi import AtlasFCMI
from scfcmi.graph.n_clusters import choose_n_clusters, separation_curve
from scfcmi.graph.neighbors import (
    kept_links,
    modularity,
    neighbor_graph,
    normalised_cut,
    shared_information,
    spectral_vectors,
)
from scfcmi.graph.partition import centers_of, cut, directional_cut, fitted_centers, graph_centers
from scfcmi.graph.refinement import refined_cut


def test_small_and_large_clusters_are_both_cut():
    """Of 1 % and of 40 %: k-means with this many centres splits the large ones."""
    rng = np.random.default_rng(0)
    sizes = [1600, 1200, 800, 360, 40]
    centers = rng.normal(size=(5, 10)) * 3
    X = np.concatenate([c + rng.normal(size=(n, 10)) for c, n in zip(centers, sizes, strict=True)])
    labels = np.repeat(np.arange(5), sizes)
    codes = X / np.linalg.norm(X, axis=1, keepdims=True)
    found, cells, cut_labels = graph_centers(codes.astype(np.float32), 5, rng)
    np.testing.assert_array_equal(cells, np.arange(4000))
    assert (np.diff(np.bincount(cut_labels)) <= 0).all()
    assigned = (codes @ found.T).argmax(axis=1)
    assert adjusted_rand_score(labels, assigned) > 0.95
    smallest = np.bincount(assigned[labels == 4]).argmax()
    assert (assigned == smallest).sum() < 60
    curve = separation_curve(codes.astype(np.float32), 10, rng)
    assert choose_n_clusters(curve) == 5


def test_cut_of_two_rings_and_its_kept_links():
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    ring = np.c_[np.cos(angle), np.sin(angle), np.full(200, 4.0)]
    codes = np.concatenate([ring, ring * [1, 1, -1]])
    codes += np.random.default_rng(0).normal(scale=0.01, size=codes.shape)
    graph = neighbor_graph(codes.astype(np.float32))
    assert (abs(graph - graph.T) > 1e-6).nnz == 0
    values, vectors = spectral_vectors(graph, 3)
    np.testing.assert_allclose(values[:2], 1, atol=1e-5)
    labels = cut(vectors, 2, 0)
    assert adjusted_rand_score(np.repeat([0, 1], 200), labels) == 1
    np.testing.assert_allclose(kept_links(graph, labels), 1)
    assert kept_links(graph, np.arange(400) % 2).max() < 0.8


def test_parts_that_hang_together_in_themselves_only():
    """Six blobs without a link between them, in pairs: the pairs are the three clusters."""
    rng = np.random.default_rng(0)
    pairs = np.repeat(np.eye(3), 2, axis=0) + rng.normal(scale=0.05, size=(6, 3))
    codes = np.repeat(pairs, 40, axis=0) + rng.normal(scale=0.002, size=(240, 3))
    codes = (codes / np.linalg.norm(codes, axis=1, keepdims=True)).astype(np.float32)
    values, vectors = spectral_vectors(neighbor_graph(codes), 8)
    np.testing.assert_allclose(values[:6], 1, atol=1e-5)
    assert values[6] < 0.999
    assert adjusted_rand_score(np.repeat(np.arange(6), 40), cut(vectors, 6, 0)) == 1
    found = (codes @ graph_centers(codes, 3, rng)[0].T).argmax(axis=1)
    assert adjusted_rand_score(np.repeat(np.arange(3), 80), found) == 1


def test_hardly_any_clusters_in_noise():
    codes = np.random.default_rng(0).normal(size=(300, 64)).astype(np.float32)
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    assert choose_n_clusters(separation_curve(codes, 10, np.random.default_rng(0))) <= 3


def test_number_where_types_run_into_each_other():
    """Eight types, none of which keeps 90 % of its links."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(8, 40))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    codes = centers[np.arange(1200) % 8] * rng.gamma(4, 0.25, size=(1200, 1)) + rng.normal(scale=0.24, size=(1200, 40))
    curve = separation_curve((codes / np.linalg.norm(codes, axis=1, keepdims=True)).astype(np.float32), 15, rng)
    assert (curve.loc[curve["n_clusters"] > 4, "separation"] < 0.9).all()
    assert choose_n_clusters(curve) == 8


@pytest.mark.parametrize(
    ("separation", "modularity", "number"),
    [
        ([0.99, 0.95, 0.8, 0.6], [0.4, 0.6, 0.66, 0.6], 3),
        ([0.99, 0.95, 0.8, 0.6], [0.4, 0.6, 0.68, 0.6], 4),
        ([0.8, 0.7, 0.7, 0.6], [0.2, 0.25, 0.3, 0.3], 4),
        ([0.8, 0.7, 0.7, 0.6], [0.2, 0.25, 0.29, 0.29], 2),
    ],
)
def test_choice_of_a_number(separation, modularity, number):
    curve = pd.DataFrame({"n_clusters": [2, 3, 4, 5], "separation": separation, "modularity": modularity})
    assert choose_n_clusters(curve) == number


def test_no_cluster_of_all_that_cannot_be_parted():
    """Ten types that run into each other: the cut has a large cluster of what is left, and mean directions a larger one."""
    atlas = scfcmi.datasets.simulate_atlas(1200, 10, 2, n_genes=2500)
    sc.pp.normalize_total(atlas, target_sum=1e4)
    sc.pp.log1p(atlas)
    model = AtlasFCMI(10, max_epochs=20).fit(atlas.X, groups=atlas.obs["group"])
    codes, labels = model.embedding_, atlas.obs["label"]
    graph = neighbor_graph(codes)
    vectors = spectral_vectors(graph, 10)[1]
    first = cut(vectors, 10, 0)
    turned = directional_cut(vectors, first)
    nearest = (codes @ centers_of(codes, first).T).argmax(axis=1)
    assert shared_information(graph, nearest) < 0.9 * shared_information(graph, turned)
    assert adjusted_rand_score(labels, turned) > adjusted_rand_score(labels, first) + 0.1
    fitted = fitted_centers(codes, turned)
    np.testing.assert_allclose(np.linalg.norm(fitted, axis=1), 1, rtol=1e-5)
    assert ((codes @ fitted.T).argmax(axis=1) == turned).mean() > 0.95
    assert adjusted_rand_score(labels, model.labels_) > adjusted_rand_score(labels, nearest) + 0.1


def test_no_move_of_one_cell_lowers_a_refined_cut():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(90, 4)).astype(np.float32)
    graph = neighbor_graph(codes)
    labels = refined_cut(graph, codes, [np.arange(90) % 4], 0)
    lowest = normalised_cut(graph, labels)
    assert lowest < normalised_cut(graph, np.arange(90) % 4) - 1
    assert set(labels) == set(range(4))
    for cell in range(90):
        for label in range(4):
            moved = labels.copy()
            moved[cell] = label
            assert normalised_cut(graph, moved) > lowest - 1e-6


def test_a_block_that_is_on_the_wrong_side_moves_as_one():
    """Thirty cells hang together, and to their cluster by more than to the one they were put in: none moves alone."""
    n = 90
    weights = np.zeros((3 * n, 3 * n))
    for side in range(3):
        weights[side * n : (side + 1) * n, side * n : (side + 1) * n] = 0.1
    block = np.arange(n, n + 30)
    weights[np.ix_(block, block)] = 1
    weights[np.ix_(block, np.arange(n))] = weights[np.ix_(np.arange(n), block)] = 0.02
    np.fill_diagonal(weights, 0)
    graph = sp.csr_matrix(weights)
    truth = np.repeat([0, 1, 2], n)
    wrong = truth.copy()
    wrong[block] = 0
    codes = np.eye(3)[truth]
    codes[block, 0] = 0.4
    np.testing.assert_array_equal(refined_cut(graph, codes, [wrong], 0), truth)


def test_information_shared_by_neighbours():
    """Of two equal parts without a link between them, log 2; of labels that say nothing of the neighbours', none."""
    graph = sp.csr_matrix(np.kron(np.eye(2), np.ones((4, 4))))
    assert shared_information(graph, np.repeat([0, 1], 4)) == pytest.approx(np.log(2))
    assert shared_information(graph, np.tile([0, 1], 4)) == pytest.approx(0)
    assert modularity(graph, np.repeat([0, 1], 4)) == pytest.approx(0.5)
    assert modularity(graph, np.tile([0, 1], 4)) == pytest.approx(0)
