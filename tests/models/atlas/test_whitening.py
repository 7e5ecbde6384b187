from __future__ import annotations

import numpy as np
from sklearn.metrics import adjusted_rand_score

from scfcmi.graph.communities import leiden
from scfcmi.graph.neighbors import joint_graph
from scfcmi.models.atlas.cell_graph import whitened, with_whitened_graph


def types_and_a_gradient(n_cells: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Cells of three types along a gradient that all types share, and that is wider than the types are apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(n_cells) % 3
    codes = rng.normal(size=(n_cells, 10)) * 0.1
    codes[:, 0] += rng.uniform(-4, 4, n_cells)
    codes[:, 1] += np.where(labels == 0, 1, 0)
    codes[:, 2] += np.where(labels == 1, 1, 0)
    return codes.astype(np.float32), labels


def test_cells_of_a_cluster_vary_alike_in_all_directions():
    codes, labels = types_and_a_gradient()
    found = whitened(codes, labels)
    within = np.cov((found - np.stack([found[labels == k].mean(axis=0) for k in range(3)])[labels]).T)
    assert np.linalg.cond(within) < 15
    assert np.linalg.cond(np.cov(codes.T)) > 500
    # Types are farther apart in units of the gradient.
    spread = lambda x: x[labels == 0].mean(axis=0) - x[labels == 1].mean(axis=0)
    assert np.linalg.norm(spread(found)) / found.std() > 2 * np.linalg.norm(spread(codes)) / codes.std()


def test_the_graph_added_weighs_as_much_as_the_graph():
    codes, labels = types_and_a_gradient()
    graph = joint_graph([codes])
    both = with_whitened_graph(graph, [codes], 0)
    assert both.dtype == np.float32
    assert abs(both - both.T).max() < 1e-5
    np.testing.assert_allclose(both.sum(), 2 * graph.sum(), rtol=1e-5)
    assert adjusted_rand_score(labels, leiden(both, 0.4, 0)) > adjusted_rand_score(labels, leiden(graph, 0.4, 0))


def test_clusters_without_variation_leave_codes_as_they_are():
    codes = np.eye(3, dtype=np.float32)
    np.testing.assert_array_equal(whitened(codes, np.arange(3)), codes)
