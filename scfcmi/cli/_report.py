"""``scfcmi report``: one HTML page that shows a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfcmi.cli import _cells, _files

if TYPE_CHECKING:
    import argparse

_WORDS = """\
Writes one HTML page that shows what 'scfcmi cluster' stored: maps, clusters, batches, what diagnose says, and how it was
made. The page fetches nothing, opens in any browser and prints. The file of cells is left as it is: a missing map, and a
missing or outdated diagnosis, are computed for the page."""


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``report``."""
    report = commands.add_parser("report", help="show a result on one HTML page", description=_WORDS)
    _files.add_input(report, "OUT.h5ad", help="what 'scfcmi cluster' wrote")
    _files.add_output(report, "PAGE.html")
    report.add_argument("--key", default="fcmi", help="column of obs with clusters, the key_added (default fcmi)")
    report.add_argument("--batch-key", help="column of obs with the batches (default: the one that was clustered with)")
    report.add_argument("--label-key", help="column of obs with reference labels; adds their map, and metrics")
    report.add_argument(
        "--n-markers", type=int, default=5, help="number of marker genes of each cluster (default 5; 0 for none)"
    )
    report.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    cells = _files.Input("OUT.h5ad", options.input, _files.CELLS)
    page = _files.Output("--output", options.output, (".html", ".htm"))
    _files.check_paths([cells], [page], overwrite=options.overwrite)
    from scfcmi import _validate, pl, tl
    from scfcmi._adata import diagnosis_of, own

    key = options.key
    _validate.integer("--n-markers", options.n_markers, minimum=0)
    # Of an h5ad file, expression stays on disk but for the cells that markers are found on.
    adata = _cells.read_cells(cells.argument, cells.path, backed=True)
    if options.label_key is not None:
        _validate.key_in(adata.obs.columns, options.label_key, f"obs of {cells.argument}")
    if f"X_{key}_umap" not in adata.obsm:
        tl.umap(adata, key)
    batch_key = options.batch_key or own(adata, key).get("params", {}).get("batch_key")
    # Cells of one batch, as of a new sample, have no batch that a cluster could lack. Nor can cells without a batch be judged.
    batches = adata.obs.get(batch_key)
    unjudged = batches is not None and (batches.nunique() == 1 or (batches.isna().any() and batches.notna().any()))
    if not unjudged and (batch_key is None or not diagnosis_of(adata, key, batch_key)):
        tl.diagnose(adata, key, batch_key=batch_key)
    pl.report(
        adata,
        options.output,
        key=key,
        batch_key=batch_key,
        label_key=options.label_key,
        n_markers=options.n_markers,
        source=options.input,
    )
