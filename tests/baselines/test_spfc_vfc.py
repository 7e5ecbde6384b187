from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from scipy.linalg import eigh, null_space, subspace_angles
from scipy.sparse.csgraph import connected_components
from sklearn.datasets import make_blobs

from scfcmi import metrics
from scfcmi.baselines import spfc, vfc
from scfcmi.baselines._harmony_leiden import _connectivities
from scfcmi.baselines._inputs import check_inputs
from scfcmi.baselines._spfc import _embedding, _graph


@pytest.fixture
def leaning(digits):
    """Groups that digits below five lean to."""
    X, labels = digits
    return X, labels, np.random.default_rng(0).random(len(X)) < np.where(labels < 5, 0.65, 0.35)


def test_embedding_is_that_of_the_dense_form():
    X, _ = make_blobs(150, 4, centers=3, cluster_std=2.0, random_state=0)
    inputs = check_inputs(X, np.arange(150) % 7 % 3, 4, 0)
    graph = _graph(X, 10)
    found = _embedding(graph, inputs.membership, 4, 0)
    # Kleindessner et al.: H = Z Y, Y the generalised eigenvectors of Z^T L Z and Z^T D Z, Z spanning null(F^T).
    A, F = graph.toarray(), (inputs.membership - inputs.membership.mean(axis=0))[:, :-1]
    D = np.diag(A.sum(axis=1))
    Z = null_space(np.asarray(F).T)
    dense = Z @ eigh(Z.T @ (D - A) @ Z, Z.T @ D @ Z)[1][:, :4]
    assert np.abs(np.asarray(F).T @ found).max() < 1e-8
    assert subspace_angles(found, dense).max() < 1e-5


def test_graph_is_one_piece():
    X, _ = make_blobs(120, 3, centers=6, cluster_std=0.01, random_state=0)
    X[:40] = X[0]
    graph = _graph(X, 3)
    assert connected_components(graph, directed=False)[0] == 1
    assert (graph != graph.T).nnz == 0
    assert graph.diagonal().sum() == 0


def test_spfc_on_digits(leaning):
    X, labels, groups = leaning
    found = spfc(X, groups, 10)
    assert metrics.nmi(labels, found) > 0.8


def test_spfc_needs_fewer_clusters_than_cells():
    with pytest.raises(ValueError, match="SpFC takes fewer clusters than cells, got 5 clusters of 5 cells"):
        spfc(np.eye(5), [0, 1, 0, 1, 0], 5)


def test_spfc_is_better_than_published(data_dir):
    with np.load(data_dir / "har" / "har561.npz", allow_pickle=False) as har:
        X, labels, groups = har["X"], har["activity"], har["subject"]
    found = spfc(X, groups, 6)
    assert metrics.accuracy(labels, found) > 0.5
    assert metrics.nmi(labels, found) > 0.6


def test_balance_of_vfc_grows_with_fairness(leaning):
    X, labels, groups = leaning
    found = [vfc(X, groups, 10, fairness=fairness) for fairness in (0, 50, 200, 1000, 10_000)]
    balance = [metrics.balance(labels, groups) for labels in found]
    assert (np.diff(balance) > 0).all()
    assert balance[-1] > 0.8
    assert metrics.nmi(labels, found[0]) > metrics.nmi(labels, found[-1]) > 0.5


def test_vfc_serves_many_groups(digits):
    X, labels = digits
    groups = (labels * 3 + np.random.default_rng(0).integers(12, size=len(X))) % 30
    low, high = (metrics.mnce(vfc(X, groups, 10, fairness=fairness), groups) for fairness in (0, 100))
    assert high > low + 0.05


def test_vfc_of_more_clusters_than_there_are_places():
    X = np.repeat(np.eye(3), 10, axis=0)
    with pytest.warns(Warning, match="distinct clusters"):
        assert vfc(X, np.arange(30) % 2, 5).max() < 5


@pytest.mark.slow
def test_graph_of_leiden_is_that_of_scanpy():
    # No two distances are alike: of cells as far the two may take another.
    adata = AnnData(np.random.default_rng(0).normal(size=(400, 20)).astype(np.float32))
    sc.pp.neighbors(adata, n_neighbors=15, use_rep="X", transformer="sklearn")
    assert np.abs(adata.obsp["connectivities"] - _connectivities(adata.X, 15)).max() < 1e-5
