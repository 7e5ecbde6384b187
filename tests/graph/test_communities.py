from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import normalize

from scfcmi.graph import communities
from scfcmi.graph.communities import (
    by_size,
    join,
    leiden,
    leiden_at,
    modularity,
    n_parts,
    own_links,
    resolution_curve,
    split,
)
from scfcmi.graph.neighbors import joint_graph


@pytest.fixture(scope="module")
def types():
    """A graph of five types, of 1 % to 40 % of the cells, and the types."""
    rng = np.random.default_rng(0)
    sizes = [800, 600, 400, 180, 20]
    centers = rng.normal(size=(5, 10)) * 3
    X = np.concatenate([c + rng.normal(size=(n, 10)) for c, n in zip(centers, sizes, strict=True)])
    return joint_graph([normalize(X).astype(np.float32)]), np.repeat(np.arange(5), sizes)


def test_what_falls_apart_is_split_and_not_what_is_large(types):
    graph, labels = types
    # The two smallest types are one community; the largest, four times their size, holds one type.
    joined = np.minimum(labels, 3)
    found = split(graph, joined, 5, 0)
    assert adjusted_rand_score(labels, found) > 0.99


def test_small_and_large_communities_are_found(types):
    graph, labels = types
    found = leiden(graph, 0.4, 0)
    assert adjusted_rand_score(labels, found) > 0.95
    assert (np.diff(np.bincount(found)) <= 0).all()
    np.testing.assert_array_equal(found, leiden(graph, 0.4, 0))


@pytest.mark.parametrize("n_clusters", [1, 2, 5, 12])
def test_any_number_can_be_had(types, n_clusters):
    graph, labels = types
    found = leiden_at(graph, n_clusters, 0)
    assert found.max() + 1 == n_clusters
    if n_clusters == 5:
        assert adjusted_rand_score(labels, found) > 0.95


def test_types_that_overlap():
    """The default resolution finds less than half of what is asked for. Splits of so few would cut across types."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(30, 20))
    X = np.concatenate([center + rng.normal(scale=1.3, size=(100, 20)) for center in centers])
    graph, labels = joint_graph([normalize(X).astype(np.float32)]), np.repeat(np.arange(30), 100)
    coarse = leiden(graph, 0.3, 0)
    assert coarse.max() + 1 < 15
    found = leiden_at(graph, 30, 0)
    assert found.max() + 1 == 30
    assert adjusted_rand_score(labels, found) > 2 * adjusted_rand_score(labels, split(graph, coarse, 30, 0))


def test_more_than_the_graph_holds_is_said():
    graph = sp.csr_matrix(np.ones((2, 2)) - np.eye(2))
    with pytest.warns(ConvergenceWarning, match=r"at most 2 parts. You get 2 clusters, not n_clusters=5"):
        assert leiden_at(graph, 5, 0).max() + 1 == 2


def test_join_unites_the_halves_of_a_type(types):
    graph, labels = types
    halves = np.where(labels == 0, np.arange(len(labels)) % 2 * 5, labels)
    assert adjusted_rand_score(labels, join(graph, halves, 5)) == 1


def test_same_seed_same_communities_in_any_thread(types):
    """scikit-network draws from the C library, which all threads share."""
    graph, _ = types
    serial = [leiden(graph, 1.0, seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for expected, found in zip(serial, pool.map(lambda seed: leiden(graph, 1.0, seed), range(4)), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_numbers_of_two_parts_without_a_link():
    graph = sp.csr_matrix(np.kron(np.eye(2), np.ones((4, 4))))
    halves, mixed = np.repeat([0, 1], 4), np.tile([0, 1], 4)
    assert modularity(graph, halves) == pytest.approx(0.5)
    assert modularity(graph, mixed) == pytest.approx(0)
    assert modularity(graph, halves, resolution=2) == pytest.approx(0)
    np.testing.assert_allclose(own_links(graph, halves), 1)
    np.testing.assert_allclose(own_links(graph, mixed), 0.5)
    assert by_size(np.array([0, 1, 1, 2, 2, 2])).tolist() == [2, 1, 1, 0, 0, 0]


def test_curve(types):
    graph, _ = types
    curve = resolution_curve(graph, 0).set_index("resolution")
    assert curve.index.is_monotonic_increasing
    assert curve.loc[0.3, "n_clusters"] == 5
    assert curve[["modularity", "stability", "separation"]].stack().between(0, 1).all()
    assert curve.loc[0.3, "stability"] > 0.9
    assert curve["n_clusters"].iloc[-1] > 5


def test_one_community_has_no_parts_and_nothing_to_say_of_stability():
    whole = sp.csr_matrix(np.ones((60, 60)) - np.eye(60))
    assert n_parts(whole, np.zeros(60, int), 0).tolist() == [1]
    curve = resolution_curve(whole, 0).set_index("n_clusters").loc[1]
    assert curve[["stability", "separation"]].isna().all(axis=None)


def test_the_best_of_five_runs_is_kept(types, monkeypatch):
    graph, _ = types
    found, one_run = [], communities._one_run

    def noted(*args) -> np.ndarray:
        labels = one_run(*args)
        found.append(modularity(args[0], labels, 5.0))
        return labels

    monkeypatch.setattr(communities, "_one_run", noted)
    # Afterwards cells move, which would make up for a worse run.
    monkeypatch.setattr(communities, "_settled", lambda graph, labels, resolution: labels)
    labels = leiden(graph, 5.0, 0)
    assert len(found) == 5
    assert max(found) - min(found) > 1e-4
    assert modularity(graph, labels, 5.0) == pytest.approx(max(found), abs=1e-6)


def test_no_cell_would_rather_be_in_another_community():
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(6, 8))[np.arange(240) % 6] + 0.9 * rng.normal(size=(240, 8))).astype(np.float32)
    graph = joint_graph([X])
    labels = leiden(graph, 1.0, 0)
    best = modularity(graph, labels)
    for cell in range(0, 240, 3):
        for other in range(labels.max() + 1):
            moved = labels.copy()
            moved[cell] = other
            assert modularity(graph, moved) <= best + 1e-9


def test_modularity_of_the_curve_is_at_resolution_1():
    rng = np.random.default_rng(0)
    links = np.triu(rng.random((30, 30)) * (rng.random((30, 30)) < 0.3), 1)
    graph = sp.csr_matrix(links + links.T)
    curve = resolution_curve(graph, 0).set_index("resolution")["modularity"]
    for resolution in (0.05, 2.0):
        assert curve[resolution] == pytest.approx(modularity(graph, leiden(graph, resolution, 0)))
