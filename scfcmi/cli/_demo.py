"""``scfcmi demo``: real cells, clustered, drawn and measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scfcmi.cli import _files
from scfcmi.cli._written import write_cells

if TYPE_CHECKING:
    import argparse

    import pandas as pd
    from anndata import AnnData

_BATCH, _LABEL = "phase", "bulk_labels"


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``demo``."""
    demo = commands.add_parser("demo", help="try it: cluster 700 blood cells that come with scanpy")
    demo.add_argument(
        "-o", "--output-dir", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    _files.add_overwrite(demo)
    demo.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    _files.check_folder("--output-dir", options.output_dir)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    cells, picture, page = (options.output_dir / f"demo.{ending}" for ending in ("h5ad", "png", "html"))
    outputs = [
        _files.Output("The demo's file", cells, _files.CELLS),
        _files.Output("The demo's file", picture),
        _files.Output("The demo's file", page),
    ]
    _files.check_paths([], outputs, overwrite=options.overwrite)
    import matplotlib as mpl

    mpl.use("agg")
    import scanpy as sc

    from scfcmi import pl, tl
    from scfcmi._files import replacing

    adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    tl.fair_cluster(adata, _BATCH)
    tl.umap(adata)
    tl.diagnose(adata)
    figure = pl.umap(adata, ["fcmi", _BATCH, _LABEL], return_fig=True)
    with replacing(picture) as path:
        figure.savefig(path, dpi=150, bbox_inches="tight")
    pl.report(adata, page, label_key=_LABEL, source=cells)
    write_cells(adata, cells)
    print(_words(adata, tl.evaluate(adata, "fcmi", _BATCH, _LABEL), [page, picture, cells]))


def _words(adata: AnnData, scores: pd.Series, written: list[Path]) -> str:
    """Return what was done, what its numbers say, and what to do next."""
    from scfcmi import metrics

    page, picture, cells = written
    of_labels = metrics.balance(adata.obs[_LABEL], adata.obs[_BATCH])
    zero = (
        f"""0 says that some cluster holds no cell of some phase. That is no fault here: the labels
               themselves score {of_labels:.2f}, since not every type has dividing cells in this sample."""
        if scores["balance"] == 0
        else f"the rarest phase over the commonest, in the least balanced cluster. Labels score {of_labels:.2f}."
    )
    return f"""\
{adata.n_obs} blood cells from scanpy are now in {adata.obs["fcmi"].nunique()} clusters. The phase of the cell cycle took the place of a batch:
clusters should follow the cell type, not the phase. Labels are the authors' own.

{_files.format_scores(scores)}

What the numbers say of these cells:

nmi, ari       agreement of clusters and labels: 1 is full agreement, 0 is none. Subtypes of T cells run into each
               other on the map, which keeps both below 1.
batch_leakage  how well clusters predict the phase among cells of one type. Near 0 is good.
balance        {zero}
mnce           the mix of phases in the least mixed cluster. 1 would need types that all divide alike.
I_G_C          how well clusters predict the phase, in nats: 0 is not at all. More, where types divide differently.

docs/metrics.md explains the others.

Open           {page}: maps with names to click, marker genes, what diagnose says.
               {picture}: the map as a figure of a paper.
               {cells}: the cells, for scanpy or Seurat.

Next, with a file of your own whose obs has the batch in column BATCH:

  scfcmi cluster yours.h5ad --batch-key BATCH -o clustered.h5ad
  scfcmi report clustered.h5ad -o clustered.html"""
