"""How much is tried, and where it is written down: a little in ``make test``, all of it in ``make torture``.

With ``SCFCMI_TORTURE`` set to a file, every family runs at full size and the file gets a line a family.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_RESULTS: dict[str, tuple[int, list[str]]] = {}
_HEAD = """# Reliability

`make torture` tries to break the package and writes this page: commit `{commit}`, Python {python}. Each row is one kind of attack. An attempt
holds if it ends in time with the documented result or a documented error, and does not change its input.

| what was tried | attempts | held | failed |
| --- | --- | --- | --- |
"""
_FOOT = """
`make test` tries a few of each kind. It also makes some two thousand wrong calls, generated from the signatures of all public functions. No test
may reach another machine or write outside temporary folders and caches.

**One weakness lies in the HDF5 library.** h5ad files are HDF5, and the HDF5 library itself crashes or hangs on about one in a hundred of the damaged files
tried here. No file is changed when that happens.

## Do I get the same labels again?

Yes, if version, seed, settings and libraries are the same, on one kind of machine:

| what differs between the runs | atlas mode | paper mode |
| --- | --- | --- |
| nothing, or the process | same labels | same labels |
| cells dense, sparse (CSR, CSC), on disk or in a Dask array, on workers or not | same labels | same labels |
| names of batches, of cells, or other columns of `obs` | same labels | same labels |
| order of the cells or of the genes | same clusters, cells between two types may differ | same clusters, cells between two types may differ |
| other threads of the process | same labels | same labels |
| number of threads | same labels; with 100 clusters or more, single cells may differ | same labels; with images, or in bfloat16, cells between two types may differ |
| Python 3.11 with scanpy 1.11, or 3.13 with scanpy 1.12 (the eight benchmark sets) | same labels | not measured |

"""
# Written by benchmarks/peers.py.
_PEERS = Path(__file__).parents[2] / "benchmarks" / "results" / "peers.md"


class Tally:
    """Attempts of one family, and how many are to be made."""

    def __init__(self, family: str, n_attempts: int) -> None:
        self.family, self.n_attempts = family, n_attempts
        self.n_tried, self.failed = 0, []

    def held(self) -> None:
        self.n_tried += 1

    def broke(self, what: str) -> None:
        self.n_tried += 1
        self.failed.append(what)


@pytest.fixture
def tally(request):
    """Give a family its number of attempts; fail, and write down, what broke."""
    marker = request.node.get_closest_marker("attempts")
    few, many = marker.args
    count = Tally(marker.kwargs["family"], many if os.environ.get("SCFCMI_TORTURE") else few)
    yield count
    _RESULTS[count.family] = count.n_tried, count.failed
    assert count.n_tried == count.n_attempts
    assert not count.failed, "\n".join(count.failed[:20])


def pytest_sessionfinish():
    path = os.environ.get("SCFCMI_TORTURE")
    if not path or not _RESULTS:
        return
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    version = ".".join(map(str, sys.version_info[:3]))
    lines = [
        f"| {family} | {tried:,} | {tried - len(failed):,} | {len(failed):,} |"
        for family, (tried, failed) in sorted(_RESULTS.items())
    ]
    Path(path).write_text(
        _HEAD.format(commit=commit.strip(), python=version) + "\n".join(lines) + "\n" + _FOOT + _PEERS.read_text()
    )
