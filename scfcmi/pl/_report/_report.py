from __future__ import annotations

import base64
import hashlib
import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from scfcmi import _validate
from scfcmi._adata import check_adata, own
from scfcmi._files import replacing
from scfcmi._shown import shown
from scfcmi.pl._colors import categories, colors_of
from scfcmi.pl._report import _content
from scfcmi.pl._report._maps import maps
from scfcmi.pl._report._markers import markers

if TYPE_CHECKING:
    from anndata import AnnData


def report(
    adata: AnnData,
    path: str | os.PathLike[str],
    *,
    key: str = "fcmi",
    batch_key: str | None = None,
    label_key: str | None = None,
    n_markers: int = 5,
    source: str | os.PathLike[str] | None = None,
) -> None:
    """Write one HTML page that shows a result: maps, clusters, batches, verdicts, and how it was made.

    The page is one file that fetches nothing. Mail it, open it in any browser, print it. A click on a name in a legend
    hides its cells. A click on a cluster shows its cells alone.

    Parameters
    ----------
    adata
        Annotated data that ``fair_cluster`` and ``scfcmi.tl.umap`` have written to. It is left as it is. For verdicts on
        the page, run ``scfcmi.tl.diagnose`` first, and again if cells or clusters have changed. For the curve of resolutions,
        run ``scfcmi.tl.choose_n_clusters`` first.
    path
        The file to write, such as ``report.html``. It is replaced if it exists.
    key
        The ``key_added`` of ``fair_cluster``.
    batch_key
        Column of ``adata.obs`` with the batches. ``None`` takes the one that ``fair_cluster`` or ``assign`` was given.
    label_key
        Column of ``adata.obs`` with reference labels, if there are any. The page then has a map of labels, and metrics.
    n_markers
        Number of marker genes of each cluster, found by ``sc.tl.rank_genes_groups`` on at most 500 cells of each cluster.
        Zero leaves them out.
    source
        The file that holds ``adata``, for the heading and the command that repeats the result. ``None`` takes the file of
        a file-backed ``adata``.

    Raises
    ------
    KeyError
        If ``fair_cluster`` or ``scfcmi.tl.umap`` has not been run under this key, or a column is not there.
    TypeError, ValueError
        If an argument is wrong, or there are no cells.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    >>> scfcmi.tl.fair_cluster(adata, "phase", n_clusters=8, max_epochs=50)
    >>> scfcmi.tl.umap(adata)
    >>> table = scfcmi.tl.diagnose(adata)
    >>> scfcmi.pl.report(adata, "report.html", label_key="bulk_labels")
    """
    check_adata(adata, written=False)
    _check_target(path)
    _validate.text("key", key)
    _validate.integer("n_markers", n_markers, minimum=0)
    if source is not None:
        _validate.path("source", source)
    hint = f"Run scfcmi.tl.fair_cluster(adata, batch_key, key_added={key!r}) first."
    _validate.key_in(adata.obs.columns, key, "adata.obs", hint=hint)
    if key not in adata.uns:
        msg = (
            f"adata.uns[{key!r}] is missing. The report needs it: it says how the cells were clustered. ad.concat drops it. Copy it "
            f"from one part (adata.uns[{key!r}] = first.uns[{key!r}]), or make a report of each part. {hint}"
        )
        raise KeyError(msg)
    map_hint = f"Run scfcmi.tl.umap(adata, key={key!r}) first."
    _validate.key_in(adata.obsm.keys(), f"X_{key}_umap", "adata.obsm", hint=map_hint)
    stored = own(adata, key)
    if not stored:
        msg = f"key={key!r} is no result of fair_cluster: another tool wrote adata.uns[{key!r}]. {hint}"
        raise ValueError(msg)
    batch_key = stored["params"].get("batch_key") if batch_key is None else batch_key
    if batch_key is None:
        msg = f"batch_key must be given: these cells were assigned without it. Columns: {list(map(str, adata.obs.columns))}."
        raise ValueError(msg)
    _validate.key_in(adata.obs.columns, batch_key, "adata.obs")
    if label_key is not None:
        _validate.key_in(adata.obs.columns, label_key, "adata.obs")

    columns = list(dict.fromkeys([key, batch_key] if label_key is None else [key, batch_key, label_key]))
    values = {column: categories(adata, column) for column in columns}
    colors = {column: list(colors_of(adata, column, of.categories).values()) for column, of in values.items()}
    if source is None:
        source = adata.filename if adata.isbacked else None
    content = _content.gather(adata, key, batch_key, label_key, values, colors, source)
    content["genes"], content["no_genes"] = markers(
        adata, values[key], n_markers, _content.layer_of(own(adata, key)["params"])
    )
    cells = maps(adata.obsm[f"X_{key}_umap"], values, colors)
    page = _page(content, cells)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _check_target(path: object) -> None:
    """Raise before any work if the page cannot be written there."""
    _validate.path("path", path)
    if Path(path).suffix.lower() not in (".html", ".htm"):
        msg = f"path must end in .html, got {os.fspath(path)!r}."
        raise ValueError(msg)
    _validate.output_file("path", path)


def _page(content: dict[str, object], cells: dict[str, object]) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    folder = files("scfcmi.pl._report")
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    # Names come with the data and may hold anything. They are escaped, what hides text is spelled out, and as a last wall
    # the browser is told to run this script only and to fetch nothing.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    return template.render(content, cells=cells, style=Markup(style), script=Markup(script), digest=digest)
