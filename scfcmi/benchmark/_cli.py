"""``scfcmi benchmark``: runs, and the table of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

_WORDS = """\
Makes the runs that are not there yet; kill it at any time and start it again. Data sets are those of 'scfcmi data list'
or h5ad files with obs columns 'label' and 'group' or 'batch'; nothing is downloaded. 'scfcmi benchmark report DIR'
makes the table."""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add ``benchmark`` and its commands. Nothing heavy is imported before one of them runs."""
    benchmark = commands.add_parser(
        "benchmark", help="run methods on benchmarks, and make the paper's table", description=_WORDS
    )
    benchmark.add_argument("--datasets", nargs="+", metavar="NAME", help="default: the six of the paper")
    benchmark.add_argument(
        "--methods", nargs="+", metavar="NAME", help="default: all; as fcmi, falg, fcmi:beta=0+repair"
    )
    benchmark.add_argument("--seeds", type=int, default=5, metavar="N", help="runs a method and data set (default 5)")
    benchmark.add_argument("--first-seed", type=int, default=0, metavar="SEED")
    benchmark.add_argument("--epochs", type=int, metavar="N", help="for methods that train (default: their own number)")
    benchmark.add_argument("--subset", type=int, metavar="N", help="draw this many samples, stratified")
    benchmark.add_argument("--device", default="auto")
    benchmark.add_argument("--time-limit", type=float, metavar="SECONDS", help="most seconds a run may take")
    benchmark.add_argument("--retry", action="store_true", help="make again what failed or met the time limit")
    benchmark.add_argument("-o", "--output", type=Path, default=Path("results"), metavar="DIR")
    benchmark.set_defaults(run=_run)
    verbs = benchmark.add_subparsers(metavar="VERB")

    report = verbs.add_parser("report", help="write report.md, report.csv and report.html beside the runs")
    report.add_argument("folder", type=Path, metavar="DIR")
    report.set_defaults(run=_report)


def _run(options: argparse.Namespace) -> None:
    from scfcmi import _validate
    from scfcmi.benchmark import run
    from scfcmi.benchmark._runner import PAPER

    seeds = _validate.integer("--seeds", options.seeds, minimum=1)
    run(
        options.output,
        datasets=PAPER if options.datasets is None else options.datasets,
        methods=options.methods,
        seeds=range(options.first_seed, options.first_seed + seeds),
        epochs=options.epochs,
        subset=options.subset,
        device=options.device,
        time_limit=options.time_limit,
        retry=options.retry,
        say=lambda line: print(line, flush=True),
    )


def _report(options: argparse.Namespace) -> None:
    from scfcmi.benchmark import read_runs, write_report

    print(write_report(read_runs(options.folder), options.folder).read_text())
