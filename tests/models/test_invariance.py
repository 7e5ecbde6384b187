"""What must not change clusters: the order of cells and genes, names, storage, and what is beside them."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scfcmi
from scfcmi import metrics

MODES = {
    "atlas": {"max_epochs": 3},
    # Enough epochs for the mini-batches of another order of cells to lead to the same clusters.
    "paper": {"mode": "paper", "max_epochs": 12, "beta": 0.2},
}
N_GENES = 12


def cells(n_cells: int) -> ad.AnnData:
    rng = np.random.default_rng(n_cells)
    types, batches = np.arange(n_cells) % 3, np.arange(n_cells) // 3 % 2
    X = 4 * np.eye(3, N_GENES)[types] + 0.3 * batches[:, None] * rng.random(N_GENES)
    X = np.maximum(X + rng.normal(scale=0.3, size=X.shape), 0).astype(np.float32)
    obs = pd.DataFrame({"batch": np.array(["a", "b"])[batches]}, index=[f"cell{i}" for i in range(n_cells)])
    return ad.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"gene{i}" for i in range(N_GENES)]))


def clusters(adata: ad.AnnData, mode: str) -> pd.Series:
    scfcmi.tl.fair_cluster(adata, "batch", n_clusters=3, **MODES[mode])
    return adata.obs["fcmi"]


same_bits = st.fixed_dictionaries(
    {"sparse": st.sampled_from([None, sp.csr_matrix, sp.csc_matrix, sp.csr_array]), "dtype": st.sampled_from("fd")}
    | {name: st.booleans() for name in ("view", "renamed", "more_columns")}
)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")
@pytest.mark.filterwarnings("ignore:Received a view of an AnnData:UserWarning")
@settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(n_cells=st.sampled_from([100, 121]), change=same_bits)
def test_storage_and_names_do_not_change_a_bit(mode, n_cells, change):
    """The arithmetic is the same: CSR rows are added up to the same dense rows, batches are counted as they appear."""
    adata = cells(n_cells)
    other = cells(n_cells)
    if change["view"]:
        twice = ad.concat([other, other], keys=["x", "y"], index_unique="-")
        other = twice[twice.obs_names.str.endswith("-y")]
    else:
        other.obs_names = [f"{name}-y" for name in other.obs_names]
    other = other.copy() if not change["view"] or change["renamed"] or change["more_columns"] else other
    if change["sparse"] is not None or change["dtype"] == "d":
        X = np.asarray(other.X).astype(change["dtype"])
        other = other.copy()
        other.X = X if change["sparse"] is None else change["sparse"](X)
    if change["renamed"]:
        other.obs["batch"] = pd.Categorical(other.obs["batch"]).rename_categories({"a": "two", "b": "one"})
    if change["more_columns"]:
        other.obs["label"], other.obs["n"], other.var["length"] = "x", 3, 1
    expected, found = clusters(adata, mode), clusters(other, mode)
    assert found.tolist() == expected.tolist()
    np.testing.assert_array_equal(other.obsm["X_fcmi"], adata.obsm["X_fcmi"])


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")
@settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    n_cells=st.sampled_from([120, 150]),
    seed=st.integers(0, 9),
    permuted=st.sets(st.sampled_from(["cells", "genes", "constant genes"]), min_size=1),
)
def test_order_does_not_change_clusters(mode, n_cells, seed, permuted):
    """Other mini-batches, other sums, in paper mode other first weights of genes: the same clusters, not the same bits."""
    adata = cells(n_cells)
    other, rng = adata.copy(), np.random.default_rng(seed)
    if "constant genes" in permuted:
        X = np.hstack([other.X, np.tile(np.float32([0, 1.5]), (n_cells, 1))])
        other = ad.AnnData(X, obs=other.obs, var=pd.DataFrame(index=[*other.var_names, "never", "always"]))
    if "cells" in permuted:
        other = other[rng.permutation(other.n_obs)].copy()
    if "genes" in permuted:
        other = other[:, rng.permutation(other.n_vars)].copy()
    assert metrics.ari(clusters(adata, mode), clusters(other, mode)) >= 0.99
