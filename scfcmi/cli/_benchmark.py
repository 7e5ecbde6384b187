"""``scfcmi benchmark``: runs, and the table of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scfcmi._shown import shown
from scfcmi.cli import _files

if TYPE_CHECKING:
    import argparse

    from scfcmi.benchmark._figures import Setting

_WORDS = """\
Makes the runs that are missing. Kill it at any time and start it again. Data sets are those of 'scfcmi data list', or
h5ad files with a column 'label' and a column 'group' or 'batch' in obs. It downloads nothing. 'scfcmi benchmark report DIR'
makes the table."""


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``benchmark`` and its commands."""
    benchmark = commands.add_parser(
        "benchmark", help="run methods on benchmarks, and make the paper's table", description=_WORDS
    )
    benchmark.add_argument("--datasets", nargs="+", metavar="NAME", help="data sets (default: the six of the paper)")
    benchmark.add_argument(
        "--methods", nargs="+", metavar="NAME", help="such as fcmi, falg, fcmi:beta=0+consensus+repair (default: all)"
    )
    benchmark.add_argument(
        "--seeds", type=int, default=5, metavar="N", help="runs of each method on each data set (default 5)"
    )
    benchmark.add_argument(
        "--first-seed", type=int, default=0, metavar="SEED", help="seed of the first run (default 0)"
    )
    benchmark.add_argument(
        "--epochs", type=int, metavar="N", help="epochs of methods that train (default: their own number)"
    )
    benchmark.add_argument("--subset", type=int, metavar="N", help="use this many samples only")
    benchmark.add_argument("--device", default="auto", help="cpu, cuda, or auto: a GPU if there is one (default auto)")
    benchmark.add_argument("--time-limit", type=float, metavar="SECONDS", help="end a run that takes longer")
    benchmark.add_argument("--retry", action="store_true", help="repeat runs that failed or met the time limit")
    benchmark.add_argument(
        "-o", "--output", type=Path, default=Path("results"), metavar="DIR", help="folder of results (default results)"
    )
    benchmark.set_defaults(run=_run)
    verbs = benchmark.add_subparsers(metavar="VERB")

    report = verbs.add_parser("report", help="write report.md, report.csv and report.html beside the runs")
    report.add_argument("folder", type=Path, metavar="DIR", help="folder of results")
    report.set_defaults(run=_report)

    table = verbs.add_parser("table", help="make the paper's Table 2 again: L_clu and L_fair, each and both")
    table.add_argument("number", type=int, choices=(2,), metavar="2")
    figure = verbs.add_parser("figure", help="make Figures 3 to 6 of the paper again: numbers and picture")
    figure.add_argument("number", type=int, choices=(3, 4, 5, 6), metavar="{3,4,5,6}")
    for parser, make in ((table, _table), (figure, _figure)):
        parser.add_argument("--dataset", default="har", metavar="NAME", help="data set, or an h5ad file (default har)")
        parser.add_argument("--seed", type=int, default=0, help="of random numbers (default 0)")
        parser.add_argument("--epochs", type=int, metavar="N", help="number of epochs (default 300)")
        parser.add_argument("--subset", type=int, metavar="N", help="use this many samples only")
        parser.add_argument("--device", default="auto", help="cpu, cuda, or auto (default auto)")
        parser.add_argument(
            "-o", "--output", type=Path, default=Path("results"), metavar="DIR", help="where to write (default results)"
        )
        parser.set_defaults(run=make)


def _run(options: argparse.Namespace) -> None:
    from scfcmi import _validate
    from scfcmi.benchmark import run
    from scfcmi.benchmark._runner import PAPER

    _files.check_folder("--output", options.output)
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
        say=_say,
    )


def _report(options: argparse.Namespace) -> None:
    from scfcmi.benchmark import read_runs, write_report

    _files.check_paths([_files.Input("DIR", options.folder, folder=True)], [], overwrite=False)
    # Its own reports are made again: they are what the runs in the folder say.
    _files.check_folder("DIR", options.folder)
    print(write_report(read_runs(options.folder), options.folder).read_text())


def _table(options: argparse.Namespace) -> None:
    from scfcmi._files import replacing
    from scfcmi._shown import without_formulas
    from scfcmi.benchmark import _figures

    setting = _setting(options)
    table = _figures.ablation(setting, _say)
    path = setting.folder / f"table2-{setting.job('fcmi').name}.csv"
    with replacing(path) as temporary:
        without_formulas(table).to_csv(temporary, index_label="terms")
    print(table.round(1).to_string())
    print(path)


def _figure(options: argparse.Namespace) -> None:
    from scfcmi.benchmark import _figures

    print(_figures.make(options.number, _setting(options), _say))


def _setting(options: argparse.Namespace) -> Setting:
    from scfcmi.benchmark._figures import Setting

    _files.check_folder("--output", options.output)
    return Setting(options.output, options.dataset, options.seed, options.epochs, options.subset, options.device)


def _say(line: str) -> None:
    print(shown(line), flush=True)
