from __future__ import annotations

import subprocess
import sys

import harmonypy
import numpy as np
import pytest
import scipy.sparse as sp

from scfcmi import metrics
from scfcmi.baselines import DEEP, METHODS, TWO_GROUPS_ONLY, _inputs, _neighbors

SHALLOW = [name for name in METHODS if name not in DEEP]


@pytest.mark.parametrize("name", SHALLOW)
def test_digits_and_their_inverse(name, inverse_digits):
    X, labels, groups = inverse_digits
    found = METHODS[name](X, groups, 10, 3)
    assert found.shape == (len(X),)
    assert found.dtype == np.int32
    assert set(found) == set(range(10))
    assert np.array_equal(METHODS[name](X, groups, 10, 3), found)
    assert metrics.nmi(labels, found) > 0.15


@pytest.mark.parametrize("name", SHALLOW)
def test_cells_of_three_chemistries(name, cells):
    X, labels, groups = cells
    if name in TWO_GROUPS_ONLY:
        with pytest.raises(ValueError, match=r"serves two groups only, got 3"):
            METHODS[name](X, groups, 8)
        two = np.flatnonzero(groups != groups[0])
        X, labels, groups = X[two], labels[two], groups[two]
    found = METHODS[name](X, groups, 8)
    assert set(found) == set(range(8))
    if name not in {"scfc", "vfc"}:
        # Fairlets of 2,000 dimensions are pairs at random, and z-scores of sparse genes mostly noise.
        assert metrics.nmi(labels, found) > 0.4


@pytest.mark.parametrize("name", SHALLOW)
def test_leaves_everything_alone(name, blobs):
    X, _, groups = blobs
    before, state = X.copy(), np.random.get_state()[1].copy()  # noqa: NPY002
    METHODS[name](X, groups, 3, np.random.default_rng(1))
    assert np.array_equal(X, before)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("name", SHALLOW)
def test_sparse_is_as_dense(name, blobs):
    X, labels, groups = blobs
    found = METHODS[name](sp.csr_matrix(X), groups, 3)
    assert metrics.ari(METHODS[name](X, groups, 3), found) == 1
    # Pairs from both groups in twenty dimensions are any two, and so are the clusters then.
    assert metrics.nmi(labels, found) > (0 if name == "scfc" else 0.9)


@pytest.mark.parametrize("name", sorted(set(SHALLOW) - TWO_GROUPS_ONLY))
def test_one_group(name, blobs):
    X, labels, _ = blobs
    assert metrics.nmi(labels, METHODS[name](X, ["a"] * len(X), 3)) > 0.9


@pytest.mark.parametrize("name", SHALLOW)
def test_wrong_input(name, blobs):
    X, _, groups = blobs
    method = METHODS[name]
    with pytest.raises(ValueError, match="groups has 239 entries for 240 cells"):
        method(X, groups[1:], 3)
    with pytest.raises(ValueError, match="at most the number of cells, 240, got 241"):
        method(X, groups, 241)
    with pytest.raises(TypeError, match="n_clusters must be an integer"):
        method(X, groups, 3.0)
    with pytest.raises(ValueError, match="X contains NaN"):
        method(np.full_like(X, np.nan), groups, 3)
    with pytest.raises(ValueError, match="random_state must be"):
        method(X, groups, 3, -1)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("kmeans", {"n_init": 0}, "n_init must be at least 1"),
        ("pca_kmeans", {"n_components": 0}, "n_components must be at least 1"),
        ("harmony_leiden", {"n_neighbors": 1}, "n_neighbors must be at least 2"),
        ("falg", {"delta": 1.0}, "delta must be below 1"),
        ("vfc", {"fairness": -1}, "fairness must be finite and at least 0"),
        ("vfc", {"lipschitz": 0}, "lipschitz must be finite and above 0"),
        ("spfc", {"n_neighbors": 0}, "n_neighbors must be at least 1"),
        ("scfc", {"n_components": 0}, "n_components must be at least 1"),
    ],
)
def test_wrong_settings(name, settings, message, blobs):
    with pytest.raises(ValueError, match=message):
        METHODS[name](blobs[0], blobs[2], 3, **settings)


@pytest.mark.parametrize("package", ["harmonypy", "igraph"])
def test_missing_extra(package, blobs, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs {package}.*pip install 'scfcmi\[bench\]'"):
        METHODS["harmony_leiden"](blobs[0], blobs[2], 3)


def test_import_needs_no_extra():
    code = (
        "import sys, scfcmi.baselines; print([m for m in ('harmonypy', 'igraph', 'umap', 'torch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_components_of_as_many_cells_as_features():
    # A square matrix must not be mistaken for its transpose.
    rng = np.random.default_rng(0)
    groups = np.arange(50) % 2
    X = rng.normal(size=(50, 50)) + 20 * np.eye(2)[np.arange(50) // 25] @ rng.normal(size=(2, 50))
    found = METHODS["harmony_kmeans"](X, groups, 2)
    assert metrics.ari(np.arange(50) // 25, found) == 1


def test_harmony_of_two_cells(blobs):
    with pytest.raises(ValueError, match="Harmony needs three cells or more"):
        METHODS["harmony_kmeans"](blobs[0][:2], [0, 1], 1)


def test_unknown_answer_of_harmony(blobs, monkeypatch):
    monkeypatch.setattr(harmonypy, "run_harmony", lambda X, *_, **__: type("Harmony", (), {"Z_corr": X}))
    with pytest.raises(RuntimeError, match="answered with shape"):
        METHODS["harmony_kmeans"](blobs[0], blobs[2], 3)


def test_harmony_takes_the_chemistry_off(cells):
    X, labels, groups = cells
    before, after = (
        metrics.batch_leakage(labels, METHODS[name](X, groups, 8), groups) for name in ("pca_kmeans", "harmony_kmeans")
    )
    assert after < before / 2


@pytest.mark.parametrize("n_clusters", [1, 2, 3, 4, 17, 240])
def test_leiden_gives_the_number_asked_for(n_clusters, blobs):
    X, _, groups = blobs
    assert set(METHODS["harmony_leiden"](X, groups, n_clusters)) == set(range(n_clusters))


def test_neighbours_of_many_cells_are_those_of_few(monkeypatch):
    X = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)
    X[7] = X[300]
    few, distances = _neighbors.nearest(X, 10)
    monkeypatch.setattr(_neighbors, "_FEW", 100)
    many, others = _neighbors.nearest(X, 10)
    # In single precision, the order of neighbors that are equally near is another.
    assert np.mean(many == few) > 0.99
    assert not (many == np.arange(400)[:, None]).any()
    np.testing.assert_allclose(others, distances, atol=1e-3)


def test_few_features_are_taken_as_they_are():
    X = np.random.default_rng(0).normal(size=(30, 4))
    assert _inputs.principal_components(X, 4, 0) is X
    assert _inputs.principal_components(sp.csr_matrix(X), 3, 0).shape == (30, 3)
