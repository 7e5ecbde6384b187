"""Cells of every shape and kind for ``fair_cluster``: whole results, or the documented error and the cells as they were."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from scfcmi import tl

SIZES = (1, 2, 3, 5, 17, 40, 120)
FEATURES = (0, 1, 2, 7, 40)


def matrix(rng, n_cells, n_features):
    X = rng.normal(size=(n_cells, n_features)).astype(np.float32)
    forms = (
        lambda: X,
        lambda: np.abs(X),
        lambda: sp.csr_matrix(np.maximum(X, 0)),
        lambda: sp.csc_matrix(np.maximum(X, 0)),
        lambda: sp.csr_array(np.maximum(X, 0)),
        lambda: rng.poisson(0.3, size=X.shape),
        lambda: np.zeros_like(X),
        lambda: X * 0 + 3,
        lambda: X * np.float32(10.0) ** rng.integers(-30, 30),
        lambda: np.where(rng.random(X.shape) < 0.02, np.nan, X),
        lambda: np.where(rng.random(X.shape) < 0.02, np.inf, X),
        lambda: X.astype(np.float64),
        lambda: X > 0,
        lambda: np.repeat(X[:1], n_cells, axis=0),
        lambda: X[rng.integers(n_cells, size=n_cells)],
    )
    return forms[rng.integers(len(forms))]()


def batches(rng, n_cells):
    forms = (
        lambda: rng.integers(2, size=n_cells),
        lambda: rng.choice(["a", "b", "c/d"], size=n_cells),
        lambda: np.arange(n_cells),
        lambda: np.zeros(n_cells),
        lambda: (np.arange(n_cells) == 0).astype(int),
        lambda: pd.Categorical.from_codes(rng.integers(-1, 3, size=n_cells), ["x", "y", "z"]),
        lambda: pd.Categorical.from_codes(rng.integers(3, size=n_cells), ["x", "y", "z"]),
        lambda: np.where(rng.random(n_cells) < 0.5, "", " "),
        lambda: rng.random(n_cells),
        lambda: rng.random(n_cells) < 0.5,
    )
    return forms[rng.integers(len(forms))]()


def arguments(rng):
    given = {"max_epochs": 1, "progress": False, "mode": ("atlas", "atlas", "paper")[rng.integers(3)]}
    choices = {
        "n_clusters": (None, 2, 3, 30, 1000, 0, "3"),
        "resolution": (None, None, 0.05, 1.0, 50.0, -1),
        "n_neighbors": (None, None, 1, 500),
        "n_components": (None, None, 1, 3, 500),
        "use_rep": (None, None, None, "X", "X_pca", "X_one", "missing"),
        "random_state": (0, 2**31, -1, None),
        "batch_size": (None, None, 2, 7),
    }
    for name, values in choices.items():
        if rng.random() < 0.4:
            given[name] = values[rng.integers(len(values))]
    return given


@pytest.mark.attempts(60, 5000, family="`fair_cluster`: cells of every size and kind with random arguments, both modes")
def test_any_cells_give_whole_results_or_a_clear_error(tally):
    for attempt in range(tally.n_attempts):
        rng = np.random.default_rng(attempt)
        n_cells, n_features = rng.choice(SIZES), rng.choice(FEATURES)
        obs = pd.DataFrame({"batch": batches(rng, n_cells)}, index=[f"cell{i}" for i in range(n_cells)])
        cells = ad.AnnData(matrix(rng, n_cells, n_features), obs=obs)
        cells.obsm["X_pca"], cells.obsm["X_one"] = rng.normal(size=(n_cells, 4)), rng.normal(size=(n_cells, 1))
        given = arguments(rng)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tl.fair_cluster(cells, "batch", **given)
        except (KeyError, TypeError, ValueError) as error:
            clean = len(str(error)) > 20 and not cells.uns and set(cells.obsm) == {"X_pca", "X_one"}
            tally.held() if clean else tally.broke(f"{attempt}, {given}: {error!r}, {cells}")
        except Exception as error:  # noqa: BLE001
            tally.broke(f"{attempt}, {given}, {cells.shape}: {type(error).__name__}: {error}")
        else:
            proba = cells.obsm["fcmi_proba"]
            whole = (
                np.isfinite(cells.obsm["X_fcmi"]).all()
                and np.allclose(proba.sum(axis=1), 1, atol=1e-4)
                and proba.shape[1] == len(cells.obs["fcmi"].cat.categories)
                and cells.obs["fcmi"].notna().all()
            )
            tally.held() if whole else tally.broke(f"{attempt}, {given}, {cells.shape}: {cells}")
