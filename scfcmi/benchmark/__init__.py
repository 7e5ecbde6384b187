"""The paper's table and figures, over any data sets, methods and seeds: ``scfcmi benchmark``.

:func:`run` makes runs, each in a process of its own, and appends one JSON line a run to ``runs.jsonl``.
:func:`read_runs` reads them. :func:`write_report` makes their table, in Markdown, CSV and HTML; :func:`paper_table`,
the paper's own numbers, stands beside ours. :func:`plot_table` draws the table, :func:`plot_sensitivity` and
:func:`plot_reconstructions` draw Figures 5 and 4 of the paper, as :mod:`scfcmi.pl` does.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
