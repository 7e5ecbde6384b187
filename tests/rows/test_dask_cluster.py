"""Passes over rows on real worker processes, and what happens when these die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import types
from contextlib import suppress

import numpy as np
import pytest

from scfcmi import AtlasFCMI
from scfcmi.rows import DaskRows, check_workers_see, outside

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")
PASSES = ("moments", "sample", "components")


@pytest.fixture
def client():
    """Two workers of a test's own: those that a test has killed may not come back on a busy machine."""
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.wait_for_workers(2, timeout=120)
        yield client
        # Dask cannot close workers that are just coming back.
        with suppress(TimeoutError):
            client.wait_for_workers(2, timeout=30)


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    types, groups = np.arange(600) % 3, np.arange(600) // 3 % 2
    X = np.maximum(rng.normal(size=(600, 40)) + 4 * np.eye(3, 40)[types] + 0.5 * groups[:, None], 0).astype(np.float32)
    return X, groups


@pytest.fixture(scope="module")
def fitted(cells):
    X, groups = cells
    return AtlasFCMI(3, max_epochs=2, progress=False).fit(X, groups=groups)


def fit(cells) -> AtlasFCMI:
    X, groups = cells
    rows = outside(da.from_array(X, chunks=(90, -1)), "adata.X")
    return AtlasFCMI(3, max_epochs=2, progress=False).fit(rows, groups=groups)


def test_workers_give_what_one_process_gives(client, cells, fitted):
    there = fit(cells)
    np.testing.assert_array_equal(there.embedding_, fitted.embedding_)
    np.testing.assert_array_equal(there.labels_, fitted.labels_)
    rows = outside(da.from_array(cells[0], chunks=(90, -1)), "adata.X")
    np.testing.assert_array_equal(there.transform(rows), fitted.embedding_)


@pytest.mark.parametrize(
    "number", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, len(PASSES)))], ids=PASSES
)
def test_a_worker_that_is_killed_changes_nothing(client, cells, fitted, number, monkeypatch):
    passes, compute = [], DaskRows._compute

    def kill_one(self, tasks):
        # The first pass takes the first cell.
        passes.append(len(tasks))
        if len(passes) == number + 2:
            os.kill(min(client.run(os.getpid).values()), signal.SIGKILL)
        return compute(self, tasks)

    monkeypatch.setattr(DaskRows, "_compute", kill_one)
    np.testing.assert_array_equal(fit(cells).embedding_, fitted.embedding_)
    assert len(passes) == 4


def test_workers_that_die_again_and_again(client, cells):
    X = da.from_array(cells[0], chunks=(300, -1)).map_blocks(lambda _: os._exit(1), dtype=np.float32, meta=cells[0][:0])
    words = r"workers of the Dask cluster died while they read it, most often for lack of memory.*adata.X.rechunk\(\{0: 150\}\)"
    with pytest.raises(RuntimeError, match=words):
        AtlasFCMI(3).fit(outside(X, "adata.X"), groups=cells[1])


@pytest.mark.parametrize("version", [None, "0.0.1"])
def test_workers_without_the_package(client, cells, version):

    def hide() -> None:
        sys.modules["scfcmi"] = None if version is None else types.SimpleNamespace(__version__=version)

    client.run(hide)
    words = "2 of 2 Dask workers have another version of scfcmi, or none. The scheduler and every worker need scfcmi"
    with pytest.raises(RuntimeError, match=words):
        fit(cells)


def test_a_scheduler_that_is_lost(cells, tmp_path):
    """In a process of its own, which ends with the error."""
    code = f"""
import os, sys, signal, threading, time
import dask, dask.array as da, numpy as np
from distributed import Client
from scfcmi import AtlasFCMI
from scfcmi.rows import outside
dask.config.set({{"distributed.comm.timeouts.connect": "2s"}})
client = Client(scheduler_file={str(tmp_path / "scheduler.json")!r}, timeout=30)
client.wait_for_workers(1)
def slowly(block):
    time.sleep(1)
    return block
X = da.ones((600, 40), chunks=(30, -1), dtype=np.float32).map_blocks(slowly)
threading.Timer(2, lambda: os.kill(int(sys.argv[1]), signal.SIGKILL)).start()
try:
    AtlasFCMI(3).fit(outside(X, "adata.X"), groups=np.arange(600) % 2)
except RuntimeError as error:
    print(error, flush=True)
    os._exit(3)
"""
    file = ["--scheduler-file", str(tmp_path / "scheduler.json")]
    quiet = {"stderr": subprocess.DEVNULL, "cwd": tmp_path}
    words = [sys.executable, "-W", "ignore", "-m"]
    scheduler = subprocess.Popen(
        [*words, "distributed.cli.dask_scheduler", *file, "--port", "0", "--no-dashboard"], **quiet
    )
    worker = subprocess.Popen(
        [*words, "distributed.cli.dask_worker", *file, "--nthreads", "1", "--no-dashboard", "--no-nanny"], **quiet
    )
    try:
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, str(scheduler.pid)],
            stdout=subprocess.PIPE,
            timeout=120,
            **quiet,
        )
        assert done.returncode == 3
        assert b"The Dask scheduler was lost while adata.X was read" in done.stdout
        assert time.monotonic() - start < 100
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


def test_workers_that_do_not_see_the_file(client, tmp_path):
    (tmp_path / "in.zarr").mkdir()
    check_workers_see(tmp_path / "in.zarr")
    with pytest.raises(RuntimeError, match=r"2 of 2 Dask workers do not see '.*other.zarr'"):
        check_workers_see(tmp_path / "other.zarr")
