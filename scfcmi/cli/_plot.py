"""``scfcmi plot``: pictures from files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from scfcmi.cli import _cells, _files

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from anndata import AnnData
    from matplotlib.figure import Figure

_WORDS = """\
Draws what 'scfcmi cluster' or 'scfcmi benchmark' stored. Files are left as they are: a map or a curve that the file does
not hold is computed for the picture. The ending of the picture's name decides its format: .png, .pdf, .svg."""

# Plots of an h5ad file: functions of scfcmi.pl. The others draw what a benchmark stored: functions of scfcmi.benchmark.
_OF_CELLS = {
    "umap": "the map: clusters and batches side by side, or a panel for each batch",
    "composition": "which batches are in each cluster, and which clusters in each batch",
    "confusion": "which labels the cells of each cluster have",
    "confidence": "how sure each cluster is of its cells",
    "history": "the course of training",
    "n-clusters": "how many clusters each resolution gives, and how stable they are",
}


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``plot`` and its commands."""
    plot = commands.add_parser("plot", help="draw a result from its file", description=_WORDS)
    verbs = plot.add_subparsers(required=True, metavar="PLOT")
    parsers = {name: verbs.add_parser(name, help=words) for name, words in _OF_CELLS.items()}
    for parser in parsers.values():
        _files.add_input(parser, help="what 'scfcmi cluster' wrote")
        parser.add_argument("--key", default="fcmi", help="column of obs with clusters, the key_added (default fcmi)")
    parsers["umap"].add_argument(
        "--color", nargs="+", metavar="NAME", help="columns of obs, or genes: a panel for each"
    )
    parsers["umap"].add_argument("--split-by", metavar="COLUMN", help="a panel for each category of this column")
    parsers["composition"].add_argument(
        "--batch-key", help="column of obs with the batches (default: that of 'scfcmi cluster')"
    )
    parsers["composition"].add_argument(
        "--kind", choices=("clusters", "batches", "enrichment"), help="what to draw (default: all)"
    )
    parsers["confusion"].add_argument("--label-key", required=True, help="column of obs with labels")
    parsers["confusion"].add_argument(
        "--normalize", choices=("label", "cluster"), default="label", help="what sums to 100 %% (default label)"
    )
    parsers["history"].add_argument("--terms", nargs="+", metavar="NAME", help="terms to draw (default: all)")

    grid = verbs.add_parser("sensitivity", help="metrics over alpha and beta: Fig. 5 of the paper")
    _files.add_input(grid, "TABLE.csv", help="as 'scfcmi benchmark figure 5' writes it")
    grid.add_argument(
        "--metrics", nargs="+", default=["accuracy", "mnce"], metavar="NAME", help="default: accuracy mnce"
    )
    images = verbs.add_parser(
        "reconstructions", help="images, decoded as their own group and as another: Fig. 4 of the paper"
    )
    _files.add_input(images, "IMAGES.npy", help="as 'scfcmi benchmark figure 4' writes it")
    table = verbs.add_parser("benchmark", help="the table of a benchmark")
    _files.add_input(table, "DIR", help="folder of results, after 'scfcmi benchmark report'")
    table.add_argument("--metrics", nargs="+", metavar="NAME", help="metrics to show (default: all)")
    table.add_argument("--dataset", metavar="NAME", help="data set to show (default: all)")
    parsers |= {"sensitivity": grid, "reconstructions": images, "benchmark": table}
    for name, parser in parsers.items():
        _files.add_output(parser, "PICTURE")
        parser.add_argument("--dpi", type=int, default=300, help="dots per inch (default 300)")
        parser.set_defaults(run=_run, plot=name)


def _run(options: argparse.Namespace) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib.backend_bases import FigureCanvasBase

    from scfcmi import _validate
    from scfcmi._files import replacing

    endings = [f".{name}" for name in FigureCanvasBase.get_supported_filetypes()]
    _files.check_paths(
        [_input(options)], [_files.Output("--output", options.output, endings)], overwrite=options.overwrite
    )
    dpi = _validate.integer("--dpi", options.dpi, minimum=10)
    given = vars(options)
    names = ("key", "color", "split_by", "batch_key", "kind", "label_key", "normalize", "terms", "metrics", "dataset")
    settings = {name: given[name] for name in names if name in given}
    figure = _function(options.plot)(_read(options), return_fig=True, **settings)
    with replacing(options.output) as path:
        figure.savefig(path, dpi=dpi)


def _function(plot: str) -> Callable[..., Figure]:
    from scfcmi import benchmark, pl

    if plot in _OF_CELLS:
        return getattr(pl, plot.replace("-", "_"))
    return {
        "benchmark": benchmark.plot_table,
        "sensitivity": benchmark.plot_sensitivity,
        "reconstructions": benchmark.plot_reconstructions,
    }[plot]


def _input(options: argparse.Namespace) -> _files.Input:
    if options.plot in _OF_CELLS:
        return _files.Input("IN.h5ad", options.input, _files.CELLS)
    name = {"benchmark": "DIR", "sensitivity": "TABLE.csv", "reconstructions": "IMAGES.npy"}[options.plot]
    return _files.Input(name, options.input, folder=options.plot == "benchmark")


def _read(options: argparse.Namespace) -> Any:
    if options.plot == "benchmark":
        return options.input
    if options.plot in ("sensitivity", "reconstructions"):
        import numpy as np
        import pandas as pd

        read, what = (pd.read_csv, "table") if options.plot == "sensitivity" else (np.load, "array of numbers")
        try:
            return read(options.input)
        # Of what numpy says, the advice to allow pickles is not passed on.
        except (EOFError, ValueError, BadZipFile) as error:
            msg = f"{_input(options).argument} {str(options.input)!r} is damaged, or no {what}."
            raise ValueError(msg) from error
    # The expression of all genes is seldom drawn: that of an h5ad file stays on disk.
    cells = _input(options)
    adata = _cells.read_cells(cells.argument, cells.path, backed=True)
    _compute_missing(adata, options.plot, options.key)
    return adata


def _compute_missing(adata: AnnData, plot: str, key: str) -> None:
    """Compute what is drawn, if the file does not hold it."""
    from scfcmi import tl
    from scfcmi._adata import curve_of

    if plot == "umap" and f"X_{key}_umap" not in adata.obsm:
        tl.umap(adata, key)
    if plot == "n-clusters" and curve_of(adata, key) is None:
        tl.choose_n_clusters(adata, key=key)
