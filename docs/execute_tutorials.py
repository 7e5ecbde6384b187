"""Execute notebooks in place, keeping nothing that belongs to the run or the machine: ``make tutorials``."""

from __future__ import annotations

import os
import sys
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import nbformat
from nbclient import NotebookClient
from PIL import Image

if TYPE_CHECKING:
    from jupyter_client import AsyncKernelManager
    from nbformat import NotebookNode

_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


# What a kernel that has run a notebook needs to run the next: its folder, no figures, no names.
_RESET = """
import os
import matplotlib.pyplot as plt
os.chdir({folder!r})
plt.close("all")
plt.rcdefaults()
get_ipython().reset(new_session=False)
"""


def execute(path: Path, kernel: AsyncKernelManager | None = None) -> NotebookNode:
    """Return the notebook as executed in an empty folder; the file is left as it is.

    Parameters
    ----------
    path
        Of the notebook.
    kernel
        Runs one notebook after the other, so that libraries compile once. It is started if it is not running. ``None`` runs
        the notebook in a kernel of its own.
    """
    notebook = nbformat.read(path, as_version=4)
    # tqdm asks for widgets, which the tutorials do not use. Figures are drawn inline, whatever the shell prefers.
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    environment["PYTHONWARNINGS"] = "ignore:IProgress not found"
    with TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        if kernel is not None:
            notebook.cells.insert(0, nbformat.v4.new_code_cell(_RESET.format(folder=folder)))
        client = NotebookClient(
            notebook, kernel, timeout=1800, kernel_name="python3", record_timing=False, resources=resources
        )
        client.execute(env=environment)
        if kernel is not None:
            client.kc.stop_channels()
            _count_from(notebook, notebook.cells.pop(0).execution_count)
    notebook.metadata = nbformat.from_dict(_METADATA)
    return notebook


def _count_from(notebook: NotebookNode, start: int) -> None:
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        for counted in (cell, *(output for output in cell.outputs if "execution_count" in output)):
            counted.execution_count -= start


def squeeze(notebook: NotebookNode) -> NotebookNode:
    """Bring pictures down to 128 colors, a third of their size, in place."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if "image/png" in output.get("data", {}):
            picture = Image.open(BytesIO(b64decode(output["data"]["image/png"]))).convert("RGB")
            small = BytesIO()
            picture.quantize(128).save(small, "PNG", optimize=True)
            output["data"]["image/png"] = b64encode(small.getvalue()).decode()
    return notebook


if __name__ == "__main__":
    for name in sys.argv[1:]:
        nbformat.write(squeeze(execute(Path(name))), name)
