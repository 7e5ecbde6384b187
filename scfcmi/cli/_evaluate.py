"""``scfcmi evaluate``: metrics of the clusters of a file."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from scfcmi.cli import _cells, _files

if TYPE_CHECKING:
    import argparse


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``evaluate``."""
    evaluate = commands.add_parser(
        "evaluate",
        help="measure clusters against batches and, if there are any, labels",
        description="Print metrics of clusters: how evenly they hold the batches; with --label-key, also how well they agree with "
        "the labels, and leakage. The page Metrics of the documentation says when each misleads.",
    )
    _files.add_input(evaluate, help="clustered cells: an h5ad file or a zarr store")
    evaluate.add_argument("--batch-key", required=True, help="column of obs with the batches")
    evaluate.add_argument("--cluster-key", default="fcmi", help="column of obs with the clusters (default fcmi)")
    evaluate.add_argument(
        "--label-key", help="column of obs with reference labels; adds accuracy, NMI, ARI, F_beta and leakage"
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of a table")
    evaluate.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    from scfcmi import tl

    cells = _files.Input("IN.h5ad", options.input, _files.CELLS)
    _files.check_paths([cells], [], overwrite=False)
    with _cells.opened(cells.argument, cells.path) as adata:
        scores = tl.evaluate(adata, options.cluster_key, options.batch_key, options.label_key)
    # JSON has no NaN, which a single batch leads to.
    values = {name: None if math.isnan(value) else value for name, value in scores.items()}
    print(json.dumps(values) if options.json else _files.format_scores(scores))
