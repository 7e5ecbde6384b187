"""Too little memory, and folders that a user must not write to: one clear line, exit code, nothing half written."""

from __future__ import annotations

import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scfcmi

# Each limit has a process of its own, forked from one that has imported all and computed nothing.
FORKS = """
import contextlib, io, json, os, resource, select, sys
from scfcmi import cli, tl
import faiss, scanpy, sknetwork.clustering, torch

words = ["cluster", "in.h5ad", "--batch-key", "tech", "-o", "out.h5ad", "--save-model", "model", "--max-epochs", "1"]
for line in sys.stdin:
    answer, ask = os.pipe()
    child = os.fork()
    if not child:
        size = 1024 * int(next(row for row in open("/proc/self/status") if row.startswith("VmSize")).split()[1])
        # As far below the limit as if the data were larger.
        cli._LEAST_MEMORY = 0
        resource.setrlimit(resource.RLIMIT_AS, (size + int(line),) * 2)
        told = io.StringIO()
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            code = cli.main(words)
        os.write(ask, json.dumps([code, told.getvalue()]).encode())
        os._exit(0)
    os.close(ask)
    ready = select.select([answer], [], [], 60)[0]
    words_said = os.read(answer, 60_000).decode() if ready else json.dumps(["no answer in time", ""])
    if not ready:
        os.kill(child, 9)
    _, status = os.waitpid(child, 0)
    os.close(answer)
    print(words_said or json.dumps([f"crash: {status}", ""]), flush=True)
"""


@pytest.fixture
def large(tmp_path):
    """800 cells that take some 100 MB to cluster."""
    rng = np.random.default_rng(0)
    X = np.maximum(rng.normal(size=(800, 3000)) + 4 * np.eye(3, 3000)[np.arange(800) % 3], 0).astype(np.float32)
    obs = pd.DataFrame({"tech": np.where(np.arange(800) % 2, "a", "b")}, index=[f"cell{i}" for i in range(800)])
    ad.AnnData(X, obs=obs).write_h5ad(tmp_path / "in.h5ad")
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and /proc are Linux's")
@pytest.mark.attempts(
    4, 60, family="Memory: `scfcmi cluster` with a random memory limit (RLIMIT_AS), most of them lower than it needs"
)
def test_a_limit_of_memory(large, tally):
    before = hashlib.sha256((large / "in.h5ad").read_bytes()).hexdigest()
    rng = random.Random(0)
    with subprocess.Popen(
        [sys.executable, "-c", FORKS], cwd=large, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as forks:
        for attempt in range(tally.n_attempts):
            for name in ("out.h5ad", "model"):
                (large / name).unlink(missing_ok=True)
            room = rng.randrange(150 << 20)
            forks.stdin.write(f"{room}\n")
            forks.stdin.flush()
            code, told = json.loads(forks.stdout.readline())
            errors = [line for line in told.splitlines() if not line.startswith("scfcmi: warning: ")]
            if code == 0:
                ad.read_h5ad(large / "out.h5ad")
                clear = not errors
            else:
                clear = code == 1 and len(errors) == 1 and "memory" in errors[0].lower()
                # One output may have been written, whole.
                clear &= not (large / "out.h5ad").exists() or "Written: --output" in told
            if (large / "model").exists():
                scfcmi.load_model(large / "model")
            clear &= {path.name for path in large.iterdir()} <= {"in.h5ad", "out.h5ad", "model"}
            clear &= hashlib.sha256((large / "in.h5ad").read_bytes()).hexdigest() == before
            tally.held() if clear else tally.broke(f"{attempt}, {room >> 20} MB: {code}: {told!r}")
        forks.stdin.close()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_a_limit_below_what_imports_take(tmp_path):
    """OpenBLAS, left alone, tries for memory for ever."""
    done = subprocess.run(
        [sys.executable, "-m", "scfcmi", "cluster", "in.h5ad", "--batch-key", "tech", "-o", "out.h5ad"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (750 << 20,) * 2),
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "out of memory (ulimit -v is 750 MB, and 2048 MB are needed to start)" in done.stderr


# Root may write anywhere: the rights are given up once all is imported, which may be where only root can read.
AS_A_USER = """
import contextlib, io, json, os, sys
from scfcmi import benchmark, cli, tl
import anndata, h5py, scanpy, scfcmi, scfcmi.benchmark._runner, scfcmi.cli._cells
def fail(*_args, **_kwargs):
    raise SystemExit("cells or a model were read, though the paths are wrong")
anndata.read_h5ad = scfcmi.load_model = fail
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for words in json.loads(sys.stdin.read()):
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = cli.main(words)
        except BaseException as stop:
            code = repr(stop)
    print(json.dumps([code, told.getvalue()]))
"""
CLUSTER = ("cluster", "in.h5ad", "--batch-key", "tech")
PROTECTED = [
    [*CLUSTER, "-o", "shut/out.h5ad"],
    [*CLUSTER, "-o", "shut/out.zarr"],
    [*CLUSTER, "-o", "shut/old.h5ad", "--overwrite"],
    [*CLUSTER, "-o", "open/old.h5ad", "--overwrite"],
    [*CLUSTER, "-o", "open/out.h5ad", "--save-model", "shut/model"],
    [*CLUSTER, "-o", "open/out.h5ad", "--mode", "paper", "--n-clusters", "3", "--checkpoint", "shut/state"],
    [*CLUSTER, "-o", "dark/sub/out.h5ad"],
    ["cluster", "secret.h5ad", "--batch-key", "tech", "-o", "open/out.h5ad"],
    ["cluster", "dark/in.h5ad", "--batch-key", "tech", "-o", "open/out.h5ad"],
    ["assign", "in.h5ad", "in.h5ad", "-o", "shut/out.h5ad"],
    ["assign", "dark/model", "in.h5ad", "-o", "open/out.h5ad"],
    ["plot", "composition", "in.h5ad", "-o", "shut/out.png"],
    ["benchmark", "-o", "shut/results"],
    ["benchmark", "-o", "dark/results"],
    ["demo", "-o", "shut"],
    ["demo", "-o", "dark"],
    ["repeat", "in.h5ad", "secret.h5ad"],
    ["evaluate", "secret.h5ad", "--batch-key", "tech", "--label-key", "label"],
]


@pytest.mark.skipif(sys.platform != "linux", reason="users and rights as Linux has them")
def test_a_user_who_may_not_write(small):
    """No folder of pytest's: a user other than root could not look into those."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        small.write_h5ad(folder / "in.h5ad")
        for name in ("open", "shut", "dark", "dark/sub"):
            (folder / name).mkdir()
        for name in ("secret.h5ad", "shut/old.h5ad", "open/old.h5ad", "dark/in.h5ad", "dark/model"):
            (folder / name).write_bytes(b"kept")
        modes = {"secret.h5ad": 0, "open/old.h5ad": 0o444, "shut": 0o555, "open": 0o777, "dark": 0}
        for name, mode in modes.items():
            (folder / name).chmod(mode)
        done = subprocess.run(
            [sys.executable, "-c", AS_A_USER],
            cwd=folder,
            input=json.dumps(PROTECTED),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        for name in reversed(modes):
            (folder / name).chmod(0o755)
        left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert left == {"in.h5ad", "secret.h5ad", "shut/old.h5ad", "open/old.h5ad", "dark/in.h5ad", "dark/model"}
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(PROTECTED)
    for words, (code, told) in zip(PROTECTED, answers, strict=True):
        clear = code == 2 and told.count("\n") == 1 and any(why in told for why in ("protected", "may not be"))
        assert clear, f"{words}: {code}: {told}"
