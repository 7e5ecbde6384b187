"""The command line: ``scfcmi cluster``, ``assign``, ``evaluate``, ``plot``, ``data``, ``benchmark`` and ``demo``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from scfcmi import __version__
from scfcmi.benchmark import _cli as _benchmark
from scfcmi.datasets import _cli as _data
from scfcmi.pl import _cli as _plots

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from anndata import AnnData

OK, FAILURE, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        Words after ``scfcmi``; ``None`` takes those of the process.

    Returns
    -------
    Exit code: 0, 2 for wrong use (of arguments, keys or files), 1 for failure, 130 for an interrupt.
    """
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_args, **_kwargs: _say(f"warning: {message}")
        try:
            options.run(options)
            sys.stdout.flush()
        except BrokenPipeError:
            # head, say, has read what it wanted. Python would complain when it flushes once more at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILURE
        except KeyboardInterrupt:
            _say("interrupted; nothing was written")
            return INTERRUPTED
        except (KeyError, TypeError, ValueError, FileNotFoundError, IsADirectoryError) as error:
            _say(f"error: {_one_line(error)}")
            return WRONG_USE
        except Exception as error:  # noqa: BLE001  # the last stop before the user: one line, not a traceback
            _say(f"error: {type(error).__name__}: {_one_line(error)}")
            return FAILURE
    return OK


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _say(f"error: {message} (see {self.prog} --help)")
        sys.exit(WRONG_USE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="scfcmi", description="Fair clustering of single cells.")
    parser.add_argument("--version", action="version", version=f"scfcmi {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    cluster = commands.add_parser("cluster", help="cluster the cells of an h5ad file")
    cluster.add_argument("input", type=Path, metavar="IN.h5ad")
    cluster.add_argument("--batch-key", required=True, help="column of obs that clusters must not follow")
    cluster.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.h5ad")
    cluster.add_argument("--overwrite", action="store_true", help="allow OUT.h5ad to be IN.h5ad")
    cluster.add_argument("--n-clusters", type=int, metavar="K")
    cluster.add_argument(
        "--mode", choices=("atlas", "paper"), help="default: atlas, unless a weight of the paper is given"
    )
    cluster.add_argument("--alpha", type=float, help="weight of L_clu (paper mode; default 0.04)")
    cluster.add_argument("--beta", type=float, help="weight of L_fair (paper mode; default: decided by composition)")
    cluster.add_argument(
        "--balance", type=float, help="weight of H(C) (paper mode; default: alpha, or decided by composition)"
    )
    cluster.add_argument("--layer")
    cluster.add_argument("--use-rep", metavar="OBSM_KEY")
    cluster.add_argument("--mask-var", metavar="VAR_COLUMN")
    cluster.add_argument("--key-added", default="fcmi")
    cluster.add_argument("--max-epochs", type=int)
    cluster.add_argument("--batch-size", type=int)
    cluster.add_argument("--seed", type=int, default=0)
    cluster.add_argument("--device", default="auto")
    cluster.add_argument("--precision", choices=("auto", "float32", "bfloat16"))
    cluster.add_argument("--checkpoint", type=Path, metavar="FILE", help="keep, and take up, the state of training")
    cluster.add_argument("--save-model", type=Path, metavar="FILE")
    cluster.add_argument("-v", "--verbose", action="store_true", help="say which matrix and weights were taken")
    cluster.set_defaults(run=_cluster)

    assign = commands.add_parser("assign", help="label the cells of an h5ad file with a model that cluster saved")
    assign.add_argument("model", type=Path, metavar="MODEL")
    assign.add_argument("input", type=Path, metavar="IN.h5ad")
    assign.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.h5ad")
    assign.add_argument("--overwrite", action="store_true", help="allow OUT.h5ad to be IN.h5ad")
    assign.add_argument("--batch-key", help="column of obs; batches that the model has not seen are noted in uns")
    assign.add_argument("--layer")
    assign.add_argument("--use-rep", metavar="OBSM_KEY")
    assign.add_argument("--key-added", default="fcmi")
    assign.set_defaults(run=_assign)

    evaluate = commands.add_parser("evaluate", help="measure clusters against batches and, if given, labels")
    evaluate.add_argument("input", type=Path, metavar="IN.h5ad")
    evaluate.add_argument("--batch-key", required=True)
    evaluate.add_argument("--cluster-key", default="fcmi")
    evaluate.add_argument("--label-key")
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of a table")
    evaluate.set_defaults(run=_evaluate)

    _plots.add_commands(commands)
    _data.add_commands(commands)
    _benchmark.add_commands(commands)

    demo = commands.add_parser("demo", help="cluster 700 blood cells that come with scanpy, against the cell cycle")
    demo.add_argument("-o", "--output-dir", type=Path, default=Path(), metavar="DIR")
    demo.set_defaults(run=_demo)
    return parser


def _cluster(options: argparse.Namespace) -> None:
    from scfcmi import set_verbosity, tl

    _check_output(options.output, options.input, overwrite=options.overwrite)
    adata = _read(options.input)
    if options.verbose:
        set_verbosity("info")
    model = tl.fit_model(
        adata,
        options.batch_key,
        n_clusters=options.n_clusters,
        mode=options.mode or "atlas",
        alpha=options.alpha,
        beta=options.beta,
        balance=options.balance,
        layer=options.layer,
        use_rep=options.use_rep,
        mask_var=options.mask_var,
        key_added=options.key_added,
        max_epochs=options.max_epochs,
        batch_size=options.batch_size,
        random_state=options.seed,
        device=options.device,
        precision=options.precision,
        checkpoint=options.checkpoint,
    )
    if options.save_model is not None:
        model.save(options.save_model)
    _write(adata, options.output)


def _assign(options: argparse.Namespace) -> None:
    from scfcmi import load_model, tl

    _check_output(options.output, options.input, overwrite=options.overwrite)
    model = load_model(options.model)
    adata = _read(options.input)
    tl.assign(
        adata,
        model,
        batch_key=options.batch_key,
        layer=options.layer,
        use_rep=options.use_rep,
        key_added=options.key_added,
    )
    _write(adata, options.output)


def _evaluate(options: argparse.Namespace) -> None:
    from scfcmi.metrics import evaluate_adata

    scores = evaluate_adata(_read(options.input), options.cluster_key, options.batch_key, options.label_key)
    print(json.dumps(scores.to_dict()) if options.json else _table(scores))


def _demo(options: argparse.Namespace) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    import scanpy as sc

    from scfcmi import metrics, pl, tl
    from scfcmi._files import replacing

    options.output_dir.mkdir(parents=True, exist_ok=True)
    adata = sc.datasets.pbmc68k_reduced()
    tl.fair_cluster(adata, "phase", n_clusters=adata.obs["bulk_labels"].nunique())
    figure = pl.umap(adata, ["fcmi", "phase", "bulk_labels"], return_fig=True)
    with replacing(options.output_dir / "demo.png") as path:
        figure.savefig(path, dpi=150, bbox_inches="tight")
    _write(adata, options.output_dir / "demo.h5ad")

    print(f"{adata.n_obs} blood cells, clusters against the phase of the cell cycle; labels are the authors' own:\n")
    print(_table(metrics.evaluate_adata(adata, "fcmi", "phase", "bulk_labels")))
    print(f"\nWritten: {options.output_dir / 'demo.h5ad'}, {options.output_dir / 'demo.png'}")


def _check_output(output: Path, source: Path, *, overwrite: bool) -> None:
    if output.suffix != ".h5ad":
        msg = f"--output must end in .h5ad, got {str(output)!r}."
        raise ValueError(msg)
    if not output.parent.is_dir():
        msg = f"--output is in a folder that does not exist: {str(output.parent)!r}."
        raise FileNotFoundError(msg)
    if not overwrite and output.exists() and source.exists() and output.samefile(source):
        msg = f"--output is the input, {str(source)!r}. Name another file, or add --overwrite."
        raise ValueError(msg)


def _read(path: Path) -> AnnData:
    import anndata as ad

    if not path.is_file():
        msg = f"no file at {str(path)!r}."
        raise FileNotFoundError(msg)
    return ad.read_h5ad(path)


def _write(adata: AnnData, path: Path) -> None:
    from scfcmi._files import replacing

    with replacing(path) as temporary:
        adata.write_h5ad(temporary)


def _table(scores: pd.Series) -> str:
    width = max(map(len, scores.index))
    return "\n".join(f"{name:<{width}}  {value:7.4f}" for name, value in scores.items())


def _say(message: str) -> None:
    print(f"scfcmi: {message}", file=sys.stderr)


def _one_line(error: BaseException) -> str:
    # A KeyError prints its message in quotes; its argument is the message.
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(str(text).split())


if __name__ == "__main__":
    sys.exit(main())
