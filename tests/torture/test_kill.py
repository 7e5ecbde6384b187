"""``kill -9`` at random moments of ``scfcmi cluster``: no input changed, no output in part, nothing left behind in the end."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time

import anndata as ad
import pytest

import scfcmi


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.attempts(1, 50, family="Kill: `kill -9` at a random moment of `scfcmi cluster`, with model and checkpoint")
def test_a_killed_run_leaves_whole_files(small, tmp_path, tally):
    cells, out, model, checkpoint = (tmp_path / name for name in ("in.h5ad", "out.h5ad", "model", "state"))
    small.write_h5ad(cells)
    command = [sys.executable, "-m", "scfcmi", "cluster", str(cells), "--batch-key", "tech", "--mode", "paper"]
    command += ["--n-clusters", "3", "--max-epochs", "15", "-o", str(out), "--save-model", str(model), "--overwrite"]
    command += ["--checkpoint", str(checkpoint)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

    def start() -> subprocess.Popen:
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    before, begun = digest(cells), time.perf_counter()
    assert start().wait() == 0
    seconds, expected = time.perf_counter() - begun, ad.read_h5ad(out).obs["fcmi"].tolist()
    rng = random.Random(0)
    for attempt in range(tally.n_attempts):
        for path in (out, model, checkpoint):
            # Every other run finds what the last one left.
            if attempt % 2:
                path.unlink(missing_ok=True)
        run, moment = start(), rng.uniform(0.3, 1.1) * seconds
        try:
            run.wait(moment)
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()
        wrong = [] if digest(cells) == before else ["the input has changed"]
        if out.exists() and ad.read_h5ad(out).obs["fcmi"].tolist() != expected:
            wrong.append("other labels")
        if model.exists():
            scfcmi.load_model(model)
        tally.broke(f"killed after {moment:.2f} s: {wrong}") if wrong else tally.held()
    assert start().wait() == 0
    assert ad.read_h5ad(out).obs["fcmi"].tolist() == expected
    assert {path.name for path in tmp_path.iterdir()} - {"state"} == {"in.h5ad", "model", "out.h5ad"}
