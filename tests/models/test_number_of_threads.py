"""Another number of threads gives the same bits: no sum is divided among threads, or it is exact."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

FIT = """
import hashlib, json, sys
import anndata as ad, numpy as np, torch
from scfcmi import FCMI, AtlasFCMI
from scfcmi.graph.neighbors import nearest

def bits(values):
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()

cells = ad.read_h5ad(sys.argv[1])
atlas = AtlasFCMI(progress=False, max_epochs=5).fit(cells.X, groups=cells.obs["batch"])
paper = FCMI(9, precision="float32", progress=False, max_epochs=2, warmup_epochs=1).fit(cells.X, groups=cells.obs["batch"])
# Above 10,000 cells, neighbors are searched in lists.
codes = np.random.default_rng(0).normal(size=(12_000, 20))
distances, indices = nearest(codes, 15)
found = {
    "threads": torch.get_num_threads(),
    "atlas embedding": bits(atlas.embedding_),
    "atlas graph": bits(atlas.graph_.data),
    "atlas labels": bits(atlas.labels_),
    "atlas probabilities": bits(atlas.predict_proba(cells.X)),
    "paper embedding": bits(paper.embedding_),
    "paper labels": bits(paper.labels_),
    "neighbors": bits(indices),
    "distances": bits(distances),
}
print(json.dumps(found))
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor: there is only one thread")
def test_another_number_of_threads_gives_the_same_bits(data_dir):
    path = data_dir / "singlecell" / "pbmc_3tech.h5ad"
    found = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FIT, str(path)],
            # Passive: threads that wait for each other otherwise keep a busy machine busy. A Dask cluster of another test
            # leaves MKL_NUM_THREADS=1 behind.
            env=os.environ | {"OMP_NUM_THREADS": n_threads, "MKL_NUM_THREADS": n_threads, "OMP_WAIT_POLICY": "PASSIVE"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n_threads in ("1", "2")
    ]
    one, two = map(json.loads, found)
    assert (one.pop("threads"), two.pop("threads")) == (1, 2)
    assert one == two
