"""The same seed gives the same labels: in another process, from dense, sparse and backed cells, with any number of threads.

Images in paper mode are left out: torch's convolutions add up in another order with other threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from scfcmi import tl

MODES = {
    "atlas": {"max_epochs": 1},
    "paper": {"mode": "paper", "n_clusters": 4, "max_epochs": 2},
}
# Fits the files that it is told of, with as many threads as it is told.
ELSEWHERE = """
import json, sys, warnings
import anndata as ad, torch
from scfcmi import tl
warnings.simplefilter("ignore")
path, modes = sys.argv[1], json.loads(sys.argv[2])
for mode, given in modes.items():
    torch.set_num_threads(2)
    adata = ad.read_h5ad(path)
    tl.fair_cluster(adata, "batch", progress=False, **given)
    print(json.dumps(adata.obs["fcmi"].tolist()))
"""


def cells(seed: int) -> ad.AnnData:
    """Types that run into each other: where sums in another order could show."""
    rng = np.random.default_rng(seed)
    types, batches = rng.integers(4, size=120), rng.integers(3, size=120)
    X = 1.5 * np.eye(4, 30)[types] + 0.3 * batches[:, None] * rng.random(30) + rng.normal(scale=0.7, size=(120, 30))
    obs = pd.DataFrame({"batch": np.array(["a", "b", "c"])[batches]}, index=[f"cell{i}" for i in range(120)])
    return ad.AnnData(np.maximum(X, 0).astype(np.float32), obs=obs)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.attempts(
    6,
    60,
    family="Repeatability: same labels from dense, sparse and backed cells, in another process, with 1 and 2 threads",
)
def test_labels_are_the_same(tmp_path, tally):
    for seed in range(tally.n_attempts // 6):
        path = tmp_path / f"{seed}.h5ad"
        adata = cells(seed)
        adata.write_h5ad(path)
        elsewhere = subprocess.run(
            [sys.executable, "-c", ELSEWHERE, str(path), json.dumps(MODES)],
            # Passive: threads that wait for each other otherwise keep a busy machine busy.
            env=os.environ | {"OMP_NUM_THREADS": "2", "NUMBA_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for (mode, given), other in zip(MODES.items(), elsewhere, strict=True):
            found = {"another process": json.loads(other)}
            forms = {
                "1 thread": cells(seed),
                "sparse": ad.AnnData(sp.csr_matrix(adata.X), obs=adata.obs),
                "backed": ad.read_h5ad(path, backed="r"),
            }
            for form, given_cells in forms.items():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    tl.fair_cluster(given_cells, "batch", progress=False, **given)
                found[form] = given_cells.obs["fcmi"].tolist()
            forms["backed"].file.close()
            expected = found.pop("1 thread")
            for form, labels in found.items():
                n_others = sum(a != b for a, b in zip(labels, expected, strict=True))
                tally.broke(f"{seed}, {mode}, {form}: {n_others} labels differ") if n_others else tally.held()
