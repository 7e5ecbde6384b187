"""Tutorials run as they stand, and stand there as they ran."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PATHS = sorted((ROOT / "tutorials").glob("*.ipynb"))
NEEDS_DATA = {"benchmark", "fairness", "from_disk_to_disk", "new_cells", "scanpy_pipeline"}
# Of a file, in bytes: a page with pictures that loads at once.
LARGEST = 400_000

pytest.importorskip("nbclient", reason="the group test installs nbclient, with which tutorials run")


def check_outputs(notebook: dict) -> None:
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        for output in cell["outputs"]:
            assert output["output_type"] != "error", output
            text = "".join(output.get("text", "")) + "".join(output.get("data", {}).get("text/plain", ""))
            assert output.get("name") != "stderr", text
            assert "warning" not in text.lower(), text
            assert not re.search(r"(^|[\s'\"(])(/\w|[A-Z]:\\|~/)", text), text


def test_there_are_tutorials():
    assert {path.stem for path in PATHS} >= NEEDS_DATA


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_as_committed(path):
    notebook = json.loads(path.read_text())
    check_outputs(notebook)
    assert path.stat().st_size < LARGEST
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """One for all: what they import compiles for half a minute."""
    with pytest.MonkeyPatch.context() as patch:
        # IPython makes itself a folder where it has none yet.
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        from jupyter_client import AsyncKernelManager
        from jupyter_core.utils import run_sync

        kernel = AsyncKernelManager(kernel_name="python3")
        yield kernel
        if kernel.has_kernel:
            run_sync(kernel.shutdown_kernel)(now=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=[pytest.mark.needs_data] if p.stem in NEEDS_DATA else [], id=p.stem) for p in PATHS],
)
# jupyter_client and ipykernel, of themselves
@pytest.mark.filterwarnings("default")
def test_runs(path, kernel):
    execute = runpy.run_path(str(ROOT / "docs" / "execute_tutorials.py"))["execute"]
    check_outputs(execute(path, kernel))
