from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from sklearn.datasets import load_digits


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """All 1,797 digits of scikit-learn in [-1, 1], and which they are."""
    X, labels = load_digits(return_X_y=True)
    return X / 8 - 1, labels


@pytest.fixture(scope="session")
def inverse_digits(digits) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first 900 digits and, in the same order, their negatives: X, labels, groups."""
    X, labels = digits[0][:900], digits[1][:900]
    return np.vstack([X, -X]), np.tile(labels, 2), np.repeat(["original", "inverse"], 900)


@pytest.fixture(scope="session")
def cells(data_dir):
    """300 blood cells measured by three chemistries, log-normalised: X (CSR), labels, groups."""
    adata = ad.read_h5ad(data_dir / "singlecell" / "pbmc_3tech.h5ad")
    rows = np.sort(np.random.default_rng(0).choice(adata.n_obs, 300, replace=False))
    return adata.X[rows], adata.obs["label_broad"].to_numpy()[rows], adata.obs["batch"].to_numpy()[rows]
