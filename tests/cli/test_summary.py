from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scfcmi.cli._summary import summary


@pytest.fixture
def result(clustered):
    clustered.uns["fcmi"]["params"] |= {"mode": "atlas", "resolution": 0.4, "n_epochs": 30, "settled": True}
    return clustered


def lines(adata, key="fcmi", written=("out.h5ad",)) -> dict[str, str]:
    text = summary(adata, key, [Path(path) for path in written])
    assert text.count("\n") == 5
    assert text.isprintable() or text.replace("\n", "").isprintable()
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in text.splitlines()}


def test_batches_are_counted_as_the_model_counts_them(result):
    """1, 1.0 and "1" are one batch: before, each was one."""
    result.obs["tech"] = np.array([1, 1.0, "1", 2, "2.0", "2"], dtype=object)[np.arange(240) % 6]
    assert lines(result)["batches"] == "no cluster clearly lacks any of the 3 batches"


def test_six_lines(result):
    result.obs["fcmi"] = pd.Categorical(np.repeat(["0", "1", "2"], [150, 80, 10]), categories=["0", "1", "2", "empty"])
    result.obs["tech"] = pd.Categorical(np.arange(240) % 2).rename_categories(["seqwell", "10x"])
    result.X = None
    del result.obsm["X_fcmi"], result.obsm["fcmi_proba"]
    before = result.copy()
    said = lines(result, written=("folder/my out.h5ad", "model.fcmi"))
    assert said == {
        "clusters": "3 in obs['fcmi'], of 240 cells; atlas mode at resolution 0.4",
        "sizes": "10 to 150 cells a cluster, median 80; smallest: 2 (10), 1 (80), 0 (150)",
        "batches": "no cluster clearly lacks any of the 2 batches",
        "training": "settled after 30 epochs",
        "next": "scfcmi report 'folder/my out.h5ad' -o 'folder/my out.html' shows all of this on one page",
        "written": "folder/my out.h5ad, model.fcmi",
    }
    pd.testing.assert_frame_equal(result.obs, before.obs)


def test_batches_that_clusters_lack(result):
    donors = np.array([f"d{i}" for i in range(6)])
    result.obs["fcmi"] = pd.Categorical(np.repeat(list("abcdef"), 40))
    result.obs["tech"] = pd.Categorical(donors[np.repeat(np.arange(6), 40)])
    said = lines(result)
    assert said["batches"] == (
        "a lacks d1, d2, d3 and 2 more; b lacks d0, d2, d3 and 2 more; c lacks d0, d1, d3 and 2 more; "
        "and 3 more clusters lack some"
    )
    assert said["next"].endswith("says what speaks for biology and what for the batch")


def test_names_move_no_cursor(result):
    result.obs["fcmi"] = result.obs["fcmi"].cat.rename_categories(["\x1b[2J", "a\nb", "\u202ec"])
    result.obs["tech"] = result.obs["fcmi"].cat.rename_categories(["\x1b[31m", "x\ry", "z"]).array
    said = lines(result)
    assert "\\x1b[31m" in said["batches"]
    assert "\\x1b[2J" in said["sizes"]


def test_other_results(result):
    """Of another key, in paper mode, not settled, with batches of any kind."""
    result.uns["mine"] = {"params": {"batch_key": "tech_boolean", "mode": "paper", "n_epochs": 12, "settled": False}}
    result.obs["mine"] = result.obs["fcmi"].astype(str)
    said = lines(result, "mine", ["out.zarr"])
    assert said["clusters"] == "3 in obs['mine'], of 240 cells; paper mode"
    assert said["training"] == "had not settled after 12 epochs: raise --max-epochs"
    assert said["next"].startswith("scfcmi report out.zarr -o out.html --key mine ")
