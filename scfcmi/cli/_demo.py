"""``scfcmi demo``: real cells, clustered, drawn and measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scfcmi.cli import _files
from scfcmi.cli._written import write_cells

if TYPE_CHECKING:
    import argparse


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``demo``."""
    demo = commands.add_parser("demo", help="cluster 700 blood cells that come with scanpy, against the cell cycle")
    demo.add_argument("-o", "--output-dir", type=Path, default=Path(), metavar="DIR")
    _files.add_overwrite(demo)
    demo.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    _files.check_folder("--output-dir", options.output_dir)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    cells, picture = options.output_dir / "demo.h5ad", options.output_dir / "demo.png"
    outputs = [_files.Output("--output-dir", cells, _files.CELLS), _files.Output("--output-dir", picture)]
    _files.check_paths([], outputs, overwrite=options.overwrite)
    import matplotlib as mpl

    mpl.use("agg")
    import scanpy as sc

    from scfcmi import pl, tl
    from scfcmi._files import replacing

    adata = sc.datasets.pbmc68k_reduced()
    tl.fair_cluster(adata, "phase")
    tl.umap(adata)
    figure = pl.umap(adata, ["fcmi", "phase", "bulk_labels"], return_fig=True)
    with replacing(picture) as path:
        figure.savefig(path, dpi=150, bbox_inches="tight")
    write_cells(adata, cells)

    print(f"{adata.n_obs} blood cells, clusters against the phase of the cell cycle; labels are the authors' own:\n")
    print(_files.format_scores(tl.evaluate(adata, "fcmi", "phase", "bulk_labels")))
    print(f"\nWritten: {cells}, {picture}")
