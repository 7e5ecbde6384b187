from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

from scfcmi import metrics, tl


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
