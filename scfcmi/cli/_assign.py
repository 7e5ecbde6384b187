"""``scfcmi assign``: the clusters of a saved model for new cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scfcmi.cli import _cells, _files
from scfcmi.cli._summary import assigned
from scfcmi.cli._workers import add_workers, working
from scfcmi.cli._written import write_results

if TYPE_CHECKING:
    import argparse

_WORDS = """\
Gives new cells the clusters of a saved model, without training. Normalize the new cells in the same way as the old ones.
Every cell gets a cluster, also a cell of a type that the model has never seen: check markers."""


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``assign``."""
    assign = commands.add_parser("assign", help="label new cells with a saved model", description=_WORDS)
    assign.add_argument("model", type=Path, metavar="MODEL", help="what 'scfcmi cluster --save-model' wrote")
    _files.add_input(assign, help="the new cells: an h5ad file or a zarr store")
    _files.add_output(assign)
    assign.add_argument("--batch-key", help="column of obs with the batches; those new to the model are listed in uns")
    assign.add_argument("--layer", help="layer with the expression (default: X)")
    assign.add_argument("--use-rep", metavar="OBSM_KEY", help="entry of obsm, if the model was fitted on one")
    assign.add_argument("--key-added", default="fcmi", help="name of the result in the output (default fcmi)")
    add_workers(assign)
    assign.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    from scfcmi import load_model, tl

    cells = _files.Input("IN.h5ad", options.input, _files.CELLS)
    _files.check_paths(
        [_files.Input("MODEL", options.model), cells],
        [_files.Output("--output", options.output, _files.CELLS, replaces=cells)],
        overwrite=options.overwrite,
    )
    model = load_model(options.model)
    with working(options) as with_dask, _cells.opened(cells.argument, cells.path, with_dask=with_dask) as adata:
        tl.assign(
            adata,
            model,
            batch_key=options.batch_key,
            layer=options.layer,
            use_rep=options.use_rep,
            key_added=options.key_added,
        )
    write = lambda: write_results(adata, options.key_added, options.input, options.output)
    _files.write_outputs([("--output", options.output, write)])
    print(assigned(adata, options.key_added, options.output))
