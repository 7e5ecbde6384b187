"""``scfcmi cluster``: clusters for the cells of a file."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from scfcmi.cli import _cells, _files
from scfcmi.cli._memory import add_memory, check_memory
from scfcmi.cli._summary import summary
from scfcmi.cli._workers import add_workers, working
from scfcmi.cli._written import write_results, write_results_only

if TYPE_CHECKING:
    from anndata import AnnData

# Arguments of fair_cluster, by the name that they have there. They are passed on if given: what is left out is for
# fair_cluster to decide, which refuses what a mode has no use for.
_PASSED_ON = (
    "n_clusters",
    "resolution",
    "mode",
    "agreement",
    "n_neighbors",
    "n_components",
    "alpha",
    "beta",
    "balance",
    "n_runs",
    "layer",
    "use_rep",
    "mask_var",
    "key_added",
    "max_epochs",
    "batch_size",
    "random_state",
    "device",
    "precision",
    "checkpoint",
)

_WORDS = """\
Clusters cells so that clusters follow biology and not the batch, and writes the cells with their clusters. Defaults serve
most data. Next: 'scfcmi report OUT.h5ad -o report.html'."""


class _Once(argparse.Action):
    """Stores a value, once: of two columns, the last would win, and clusters might follow the first."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{option} takes one column, and is given twice. To use two columns, join them into one")
        setattr(namespace, self.dest, values)


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``cluster``."""
    cluster = commands.add_parser(
        "cluster", help="cluster the cells of an h5ad file or a zarr store", description=_WORDS
    )
    _files.add_input(cluster, help="cells with log-normalized expression: an h5ad file or a zarr store")
    cluster.add_argument(
        "--batch-key",
        required=True,
        action=_Once,
        help="column of obs with the batches, which clusters must not follow",
    )
    _files.add_output(cluster)
    cluster.add_argument(
        "--n-clusters",
        type=int,
        metavar="K",
        help="number of clusters (default: the resolution decides; paper mode needs it)",
    )
    cluster.add_argument("--resolution", type=float, help="larger values give more clusters (atlas mode; default 0.3)")
    cluster.add_argument(
        "--mode",
        choices=("atlas", "paper"),
        help="atlas for cells; paper for images, or to set alpha, beta or balance (default atlas)",
    )
    cluster.add_argument(
        "--agreement", type=float, help="how strongly batches are corrected; 0: not at all (atlas mode; default 4)"
    )
    cluster.add_argument(
        "--n-neighbors",
        type=int,
        help="nearest neighbors in each other batch among which matching cells are searched (atlas mode; default 40)",
    )
    cluster.add_argument(
        "--n-components",
        type=int,
        help="number of principal components (default 50; paper mode: dimension of the code, default K)",
    )
    cluster.add_argument("--alpha", type=float, help="weight of L_clu (paper mode; default 0.04)")
    cluster.add_argument("--beta", type=float, help="weight of L_fair (paper mode; default: the composition decides)")
    cluster.add_argument(
        "--balance", type=float, help="weight of H(C) (paper mode; default: alpha, or the composition decides)"
    )
    cluster.add_argument(
        "--runs", type=int, dest="n_runs", metavar="N", help="cluster N times and take the consensus (paper mode)"
    )
    cluster.add_argument("--layer", help="layer with the expression (default: X)")
    cluster.add_argument("--use-rep", metavar="OBSM_KEY", help="cluster this entry of obsm instead of expression")
    cluster.add_argument(
        "--mask-var",
        metavar="VAR_COLUMN",
        help="column of var that marks genes (default: highly_variable, or all genes)",
    )
    cluster.add_argument("--key-added", help="name of the result in the output (default fcmi)")
    cluster.add_argument("--max-epochs", type=int, help="passes over the cells (default: their number decides)")
    cluster.add_argument("--batch-size", type=int, help="cells in a mini-batch of training (default 512)")
    cluster.add_argument("--seed", type=int, dest="random_state", metavar="SEED", help="random seed (default 0)")
    cluster.add_argument("--device", help="cpu, cuda, or auto: a GPU if there is one (default auto)")
    cluster.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        help="number format in training (paper mode; default auto)",
    )
    cluster.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="keep progress here, so that a killed run can be resumed (atlas mode: principal components)",
    )
    cluster.add_argument("--save-model", type=Path, metavar="FILE", help="write the model, for 'scfcmi assign'")
    cluster.add_argument(
        "--results-only", action="store_true", help="write obs and the result only, without expression"
    )
    add_memory(cluster)
    add_workers(cluster)
    cluster.add_argument("-v", "--verbose", action="store_true", help="say which matrix and settings are used")
    cluster.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    from scfcmi import set_verbosity, tl

    cells = _files.Input("IN.h5ad", options.input, _files.CELLS)
    # Results alone would not replace the cells.
    replaced = None if options.results_only else cells
    outputs = [_files.Output("--output", options.output, _files.CELLS, replaces=replaced)]
    if options.save_model is not None:
        outputs.append(_files.Output("--save-model", options.save_model))
    if options.checkpoint is not None:
        outputs.append(_files.Output("--checkpoint", options.checkpoint, continues=True))
    _files.check_paths([cells], outputs, overwrite=options.overwrite)
    if options.memory is not None and options.mode == "paper":
        msg = "--memory is for atlas mode: paper mode reads all expression into memory."
        raise ValueError(msg)
    if options.verbose:
        set_verbosity("info")
    given = {name: getattr(options, name) for name in _PASSED_ON if getattr(options, name) is not None}
    with working(options) as with_dask, _cells.opened(cells.argument, cells.path, with_dask=with_dask) as adata:
        if options.mode != "paper":
            check_memory(
                options.memory,
                adata.n_obs,
                _n_features(adata, options),
                n_clusters=options.n_clusters,
                checkpoint=options.checkpoint is not None,
            )
        model = tl.fit_model(adata, options.batch_key, **given)
    key = options.key_added or "fcmi"
    if options.results_only:
        write = lambda: write_results_only(adata, key, options.output)
    else:
        write = lambda: write_results(adata, key, options.input, options.output)
    writers = [("--output", options.output, write)]
    if options.save_model is not None:
        writers.append(("--save-model", options.save_model, lambda: model.save(options.save_model)))
    _files.write_outputs(writers)
    print(summary(adata, key, [path for _, path, _ in writers]))


def _n_features(adata: AnnData, options: argparse.Namespace) -> int:
    """Return how many features are clustered: genes of a mask are fewer than all."""
    from scfcmi.tl._mask import feature_mask

    if options.use_rep not in (None, "X"):
        # A name that is not there is told later.
        return adata.obsm[options.use_rep].shape[1] if options.use_rep in adata.obsm else 0
    with warnings.catch_warnings():
        # What the mask leaves out is told once.
        warnings.simplefilter("ignore")
        mask, _ = feature_mask(adata, options.mask_var, all_features=options.use_rep == "X")
    return adata.n_vars if mask is None else int(mask.sum())
