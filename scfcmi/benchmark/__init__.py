"""The paper's table and figures, over any data sets, methods and seeds: ``scfcmi benchmark``.

:func:`run` makes runs, each in a process of its own, and appends one JSON line a run to ``runs.jsonl``.
:func:`read_runs` reads them. :func:`write_report` makes their table, in Markdown, CSV and HTML; :func:`paper_table`,
the paper's own numbers, stands beside ours. :func:`plot_table` draws the table, :func:`plot_sensitivity` and
:func:`plot_reconstructions` draw Figures 5 and 4 of the paper, as :mod:`scfcmi.pl` does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scfcmi.benchmark._paper import paper_table
    from scfcmi.benchmark._plot_reconstructions import plot_reconstructions
    from scfcmi.benchmark._plot_sensitivity import plot_sensitivity
    from scfcmi.benchmark._plot_table import plot_table
    from scfcmi.benchmark._record import read_runs
    from scfcmi.benchmark._report import write_report
    from scfcmi.benchmark._runner import run

__all__ = [
    "paper_table",
    "plot_reconstructions",
    "plot_sensitivity",
    "plot_table",
    "read_runs",
    "run",
    "write_report",
]

_HOMES = {"paper_table": "_paper", "read_runs": "_record", "run": "_runner", "write_report": "_report"}
_HOMES |= {name: f"_{name}" for name in __all__ if name.startswith("plot_")}


def __getattr__(name: str) -> object:
    # Loaded on first use: the command line must not pay for pandas and scikit-learn to print its help.
    if name in _HOMES:
        return getattr(importlib.import_module(f"scfcmi.benchmark.{_HOMES[name]}"), name)
    msg = f"module 'scfcmi.benchmark' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
