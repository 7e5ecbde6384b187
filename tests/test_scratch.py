"""Arrays on disk: their values, their memory, and what is left of them."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from scfcmi._scratch import in_order, let_go, on_disk, taken

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@linux
def test_filled_in_order_it_takes_no_memory_and_keeps_its_values():
    before = resident()
    array = on_disk((200_000, 100))
    for rows in in_order(len(array)):
        array[rows] = np.arange(rows.start, rows.stop)[:, None]
    assert resident() - before < 20e6 < array.nbytes
    total = sum(array[rows].sum(dtype=float) for rows in in_order(len(array)))
    assert total == 100 * np.arange(200_000).sum()
    assert resident() - before < 20e6


@linux
def test_without_letting_go_it_would_take_memory():
    before = resident()
    array = on_disk((200_000, 100))
    array[:] = 1
    assert resident() - before > 70e6
    let_go()
    assert resident() - before < 20e6
    assert (array == 1).all()


def test_the_file_has_no_name_and_goes_with_the_array(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = on_disk((1000, 10))
    if not sys.platform.startswith("win"):
        assert not list(tmp_path.iterdir())
    view = torch.from_numpy(array).T
    del array
    gc.collect()
    view[:] = 2
    let_go()
    assert (view == 2).all()


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_taken_is_indexing(kind):
    rng = np.random.default_rng(0)
    array = on_disk((20_000, 2, 3))
    array[:] = rng.normal(size=array.shape)
    index = rng.integers(20_000, size=5000)
    found = taken(kind(array), index)
    assert type(found) is type(kind(array))
    np.testing.assert_array_equal(np.asarray(found), array[index])
    assert len(taken(kind(array), index[:0])) == 0


@linux
def test_no_room_is_one_clear_error():
    limited = (
        "import resource, numpy as np\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from scfcmi._scratch import on_disk\n"
        "on_disk((1000, 100))\n"
    )
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "has no room for 0.0004 GB. Name another folder in the environment variable TMPDIR" in done.stderr
