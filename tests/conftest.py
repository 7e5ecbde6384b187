from __future__ import annotations

import os
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

SINGLE_CELL = ("pbmc_3tech", "kang_ctrl_8donors", "human_dc", "rnamix_2protocol")


def pytest_collection_modifyitems(items):
    folder = os.environ.get("SCFCMI_DATA_DIR")
    if folder and Path(folder).is_dir():
        return
    reason = f"SCFCMI_DATA_DIR is {'not a folder: ' + folder if folder else 'not set'}; this test reads real data"
    for item in items:
        if "needs_data" in item.keywords:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    return Path(os.environ["SCFCMI_DATA_DIR"])


@pytest.fixture(scope="session")
def _pbmc(data_dir) -> ad.AnnData:
    return ad.read_h5ad(data_dir / "singlecell" / "pbmc_3tech.h5ad")


@pytest.fixture
def pbmc(_pbmc) -> ad.AnnData:
    """1,200 blood cells measured by three chemistries."""
    return _pbmc.copy()


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three well separated types in two groups, the second group shifted: X, labels, groups."""
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(3, size=240), rng.integers(2, size=240)
    centers = rng.normal(size=(3, 20)) * 3
    X = centers[labels] + groups[:, None] * rng.normal(size=20) * 0.5 + rng.normal(size=(240, 20)) * 0.5
    return X.astype(np.float32), labels, groups


@pytest.fixture
def small(blobs) -> ad.AnnData:
    """The blobs as non-negative sparse expression, with groups of every kind."""
    X, labels, groups = blobs
    X = np.where(np.abs(X) < 0.3, 0, X)
    obs = pd.DataFrame(
        {
            "tech": pd.Categorical(np.array(["10x", "seqwell"])[groups], categories=["seqwell", "10x", "unused"]),
            "tech_string": np.array(["10x", "seqwell"])[groups],
            "tech_integer": groups + 7,
            "tech_boolean": groups == 1,
            "label": pd.Categorical(labels.astype(str)),
        },
        index=[f"cell{i}" for i in range(len(labels))],
    )
    return ad.AnnData(sp.csr_matrix(np.abs(X)), obs=obs)
