from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import scfcmi
from scfcmi import metrics, pl, tl


def test_is_evaluate_of_columns(clustered):
    obs = clustered.obs
    scores = metrics.evaluate(obs["label"], obs["fcmi"], obs["tech"], beta=2)
    found = tl.evaluate(clustered, "fcmi", "tech", "label", beta=2)
    pd.testing.assert_series_equal(found[scores.index], scores)
    information = ["H_C", "H_C_given_X", "I_G_C", "I_X_C_given_G"]
    assert found.index.tolist() == [*scores.index, *information]
    assert tl.evaluate(clustered, "fcmi", "tech").index.tolist() == ["balance", "mnce", *information]
    assert tl.evaluate(clustered, "label", "tech").index.tolist() == ["balance", "mnce"]
    with pytest.raises(KeyError, match=r"Key 'teck' not found in adata.obs. Did you mean 'tech'\?"):
        tl.evaluate(clustered, "fcmi", "teck")


def test_has_a_name_in_metrics_that_loads_no_tool_before_it_is_used():
    assert metrics.evaluate_adata is tl.evaluate
    assert "evaluate_adata" in dir(metrics)
    code = "import sys, scfcmi.metrics; print('scfcmi.tl' in sys.modules); scfcmi.metrics.evaluate_adata; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]


def test_renamed_clusters_keep_their_probabilities_and_joined_ones_lose_them(clustered):
    clustered.uns["fcmi"]["params"] |= {"settled": True, "n_epochs": 30}
    names = clustered.obs["fcmi"].cat.categories
    expected = tl.diagnose(clustered)["confidence"].to_numpy()
    clustered.obs["fcmi"] = clustered.obs["fcmi"].cat.rename_categories([f"type {name}" for name in names])
    np.testing.assert_array_equal(tl.diagnose(clustered)["confidence"], expected)
    some = clustered[clustered.obs["fcmi"] != "type 0"].copy()
    np.testing.assert_allclose(tl.diagnose(some)["confidence"], expected[1:])
    assert "H_C" in tl.evaluate(some, "fcmi", "tech")

    # A cell moved by hand changes nothing of the others.
    moved = clustered.copy()
    moved.obs.iloc[0, moved.obs.columns.get_loc("fcmi")] = "type 2"
    np.testing.assert_allclose(tl.diagnose(moved)["confidence"], expected, atol=0.02)

    clustered.obs["fcmi"] = clustered.obs["fcmi"].astype(str).replace({"type 1": "type 0"})
    assert tl.diagnose(clustered)["confidence"].isna().all()
    with pytest.raises(ValueError, match="joined or split since"):
        pl.confidence(clustered)
    assert "H_C" not in tl.evaluate(clustered, "fcmi", "tech")


def test_beta_reaches_the_metrics(clustered):
    obs, rng = clustered.obs, np.random.default_rng(0)
    obs["label"], obs["tech"] = rng.permutation(obs["fcmi"].to_numpy()), rng.integers(2, size=240)
    obs.loc[obs.index[60:], "label"] = obs["fcmi"].to_numpy()[60:]
    scores = [scfcmi.tl.evaluate(clustered, "fcmi", "tech", "label", beta=beta)["f_beta"] for beta in (1, 2)]
    expected = [metrics.f_beta(obs["label"], obs["fcmi"], obs["tech"], beta=beta) for beta in (1, 2)]
    assert scores == expected
    assert abs(scores[0] - scores[1]) > 0.01
