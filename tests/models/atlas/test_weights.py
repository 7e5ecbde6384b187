from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.metrics import adjusted_rand_score

from scfcmi.models.atlas.projection import fit_projections
from scfcmi.models.atlas.weights import explained, rough_clusters
from scfcmi.rows import rows_of, summarize


def test_what_clusters_explain_by_hand():
    """One gene is the cluster, one the group, one both, one constant; one varies half between clusters."""
    clusters, groups = np.tile([0, 0, 1, 1], 500), np.repeat([0, 1], 1000)
    noise = np.tile([-1.0, 1.0], 1000)
    values = np.column_stack([clusters, groups, clusters + 5 * groups, np.ones(2000), 2 * clusters - 1 + noise])
    np.testing.assert_allclose(explained(values, groups, clusters), [1, 0, 1, 0, 0.5], atol=1e-3)


def test_what_may_be_due_to_the_group_counts_less():
    """A marker explains all; less, the more of its cluster one group holds."""
    groups, rng = np.repeat([0, 1], 1000), np.random.default_rng(0)
    found = []
    for share in (0.5, 0.7, 0.9):
        clusters = (rng.random(2000) < np.where(groups, share, 1 - share)).astype(int)
        found.append(float(explained(clusters[:, None].astype(np.float32), groups, clusters)[0]))
    np.testing.assert_allclose(found, [1, 0.86, 0.35], atol=0.05)


def test_copies_of_a_cell_are_no_cluster():
    rng = np.random.default_rng(0)
    types = np.arange(40) % 4
    cells = rng.normal(size=(40, 10)) + 8 * np.eye(4, 10)[types]
    found = rough_clusters([np.repeat(cells, 20, axis=0)] * 2, np.zeros(800, int), 0)
    assert adjusted_rand_score(np.repeat(types, 20), found) > 0.99


def test_chance_explains_nothing():
    rng = np.random.default_rng(0)
    values, clusters, groups = rng.normal(size=(300, 200)), np.arange(300) % 40, np.arange(300) % 3
    assert explained(values, groups, clusters).mean() < 0.06


def test_rough_clusters_do_not_follow_the_group():
    rng = np.random.default_rng(0)
    types, groups = np.arange(400) % 4, np.arange(400) // 4 % 2
    views = [rng.normal(size=(400, 10)) + 8 * np.eye(4, 10)[types] + 30 * groups[:, None] for _ in range(2)]
    assert adjusted_rand_score(types, rough_clusters(views, groups, 0)) > 0.99


@pytest.mark.parametrize("n_cells", [300, 60])
def test_genes_that_tell_types_lead(n_cells):
    """By the covariance of genes, and by that of fewer cells."""
    rng = np.random.default_rng(0)
    types, groups = np.arange(n_cells) % 3, np.arange(n_cells) // 3 % 2
    X = rng.normal(size=(n_cells, 100))
    X[:, :10] += 6 * (types[:, None] == np.arange(10) % 3)
    rows = rows_of(np.abs(X).astype(np.float32))
    weighted, unscaled = fit_projections(rows, summarize(rows), 10, groups, 0)["loadings"].numpy()
    lengths = np.linalg.norm(weighted, axis=1)
    assert lengths[:10].min() > 1.5 * lengths[10:].mean()
    np.testing.assert_allclose(unscaled.T @ unscaled, np.eye(10), atol=1e-4)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_draw_of_the_cells(monkeypatch, sparse):
    """A gene that is the group has the least weight: drawn cells keep their groups."""
    for name, value in (("_MAX_CLUSTERED", 300), ("_PART", 250), ("_MAX_CELLS", 900)):
        monkeypatch.setattr(f"scfcmi.models.atlas.projection.{name}", value)
    rng = np.random.default_rng(0)
    types, groups = rng.integers(3, size=1000), rng.integers(2, size=1000)
    X = np.abs(rng.normal(size=(1000, 40)) + 6 * (types[:, None] == np.arange(40))).astype(np.float32)
    X[:, 39] = 5 * groups
    rows = rows_of(csr_matrix(X) if sparse else X)
    weighted, _ = fit_projections(rows, summarize(rows), 40, groups, 0)["loadings"].numpy()
    lengths = np.linalg.norm(weighted, axis=1)
    np.testing.assert_allclose(lengths[39], np.sqrt(0.1), atol=1e-3)
    assert lengths[:3].min() > 0.85


def test_every_cell_its_own_group():
    """Nothing varies within groups, so that all genes count alike."""
    rng = np.random.default_rng(0)
    rows = rows_of(rng.normal(size=(200, 30)).astype(np.float32))
    weighted, _ = fit_projections(rows, summarize(rows), 30, np.arange(200), 0)["loadings"].numpy()
    np.testing.assert_allclose(weighted.T @ weighted, 0.1 * np.eye(30), atol=1e-4)


def test_no_more_than_4000_features_take_part_if_all_vary_alike():
    X = np.zeros((60, 4100), np.float32)
    rng = np.random.default_rng(0)
    for column in X.T:
        column[rng.choice(60, 5, replace=False)] = 1
    rows = rows_of(X, "cpu")
    scale = fit_projections(rows, summarize(rows), 5, np.arange(60) % 2, 0)["scale"]
    np.testing.assert_array_equal(scale.isfinite().sum(dim=1), [4000, 4000])
