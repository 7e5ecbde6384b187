from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import anndata as ad
import pandas as pd
import scanpy as sc

from scfcmi.datasets._build import categorical, describe, draw, warn_of_differences
from scfcmi.datasets._expression import read_expression
from scfcmi.datasets._fetch import obtain
from scfcmi.datasets._manifest import Manifest, read_manifest

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from anndata import AnnData

_MIN_GENES, _MIN_CELLS, _N_TOP_GENES = 200, 3, 2000


class _Table(NamedTuple):
    """How a table of cells names things: its columns, and for each batch our name and technology."""

    batch: str
    label: str
    batches: dict[str, tuple[str, str]]
    also: tuple[str, ...] = ()


# The atlas's file names say Seq-Well and 10x, the studies and the counts a cell say Microwell-seq and Smart-seq2.
_TABLES = {
    "mouse_atlas": _Table(
        "batchlb",
        "ct",
        {"Batch1": ("Batch1", "Microwell-seq"), "Batch2": ("Batch2", "Smart-seq2")},
        ("tissue", "organ"),
    ),
    "human_dc": _Table("batch", "celltype", {name: (name, "Smart-seq2") for name in ("Batch1", "Batch2")}),
    "pancreas": _Table(
        "batchlb",
        "celltype",
        {
            "Baron_b1": ("Baron", "inDrop"),
            "Mutaro_b2": ("Muraro", "CEL-Seq2"),
            "Segerstolpe_b3": ("Segerstolpe", "Smart-seq2"),
            "Wang_b4": ("Wang", "SMARTer"),
            "Xin_b5": ("Xin", "SMARTer"),
        },
    ),
}


def mouse_atlas(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    subset: int | None = None,
    progress: bool | None = None,
) -> AnnData:
    """Mouse cells of eleven types, measured by two technologies: data set 2 of Tran et al.

    The cells are prepared in scanpy's standard way. Cells have at least 200 genes, and genes are in at least 3 cells. Each
    cell is normalized to 10,000 counts (``normalize_total(target_sum=1e4)``), then ``log1p``. 2,000 highly variable genes
    are chosen with both batches in view.

    Parameters
    ----------
    data_dir
        Folder of all data sets. ``None`` takes the folder that the environment variable ``SCFCMI_DATA_DIR`` names. If it is
        not set, files go to the user's cache.
    download
        Whether to download files that are missing or damaged.
    subset
        Take only this many cells, for a quick look. Every label and group keeps its share. The draw is the same on every
        call.
    progress
        Whether to draw progress bars. ``None`` draws them on a terminal or in a notebook only.

    Returns
    -------
    6,954 cells by all genes, CSR float32. ``.X`` is log-normalized, ``.layers["counts"]`` holds the published values.
    ``.var["highly_variable"]`` marks genes. ``.obs`` has ``label``, ``group`` (Batch1 4,239, Batch2 2,715), ``tech``,
    ``tissue`` and ``organ``. ``.uns["dataset"]`` has name, citation, terms and version of the manifest.

    Raises
    ------
    DatasetUnavailableError
        If a file is missing, and ``download`` is false or no source has it.
    ChecksumError
        If the checksum of a file is not the expected one.

    References
    ----------
    Tran et al., Genome Biology, 2020. Han et al., Cell, 2018. Tabula Muris Consortium, Nature, 2018.
    """
    return _load("mouse_atlas", data_dir, download=download, subset=subset, progress=progress)


def human_dc(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    subset: int | None = None,
    progress: bool | None = None,
) -> AnnData:
    """Human dendritic cells in two batches that share two of four types: data set 1 of Tran et al.

    Parameters
    ----------
    data_dir
        Folder of all data sets. ``None`` takes the folder that the environment variable ``SCFCMI_DATA_DIR`` names. If it is
        not set, files go to the user's cache.
    download
        Whether to download files that are missing or damaged.
    subset
        Take only this many cells, for a quick look. Every label and group keeps its share. The draw is the same on every
        call.
    progress
        Whether to draw progress bars. ``None`` draws them on a terminal or in a notebook only.

    Returns
    -------
    576 cells, prepared and annotated as in :func:`mouse_atlas`. ``.layers["counts"]`` holds the published values, which are
    transcripts per million.

    Raises
    ------
    DatasetUnavailableError
        If a file is missing, and ``download`` is false or no source has it.
    ChecksumError
        If the checksum of a file is not the expected one.

    References
    ----------
    Tran et al., Genome Biology, 2020. Villani et al., Science, 2017.
    """
    return _load("human_dc", data_dir, download=download, subset=subset, progress=progress)


def pancreas(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    subset: int | None = None,
    progress: bool | None = None,
) -> AnnData:
    """Cells of human pancreatic islets from five studies: data set 4 of Tran et al.

    Parameters
    ----------
    data_dir
        Folder of all data sets. ``None`` takes the folder that the environment variable ``SCFCMI_DATA_DIR`` names. If it is
        not set, files go to the user's cache.
    download
        Whether to download files that are missing or damaged.
    subset
        Take only this many cells, for a quick look. Every label and group keeps its share. The draw is the same on every
        call.
    progress
        Whether to draw progress bars. ``None`` draws them on a terminal or in a notebook only.

    Returns
    -------
    14,767 cells, prepared and annotated as in :func:`mouse_atlas`. The groups are the studies. ``.obs["tech"]`` is the
    technology that each study used.

    Raises
    ------
    DatasetUnavailableError
        If a file is missing, and ``download`` is false or no source has it.
    ChecksumError
        If the checksum of a file is not the expected one.

    References
    ----------
    Tran et al., Genome Biology, 2020, and the five studies in ``.uns["dataset"]["citation"]``.
    """
    return _load("pancreas", data_dir, download=download, subset=subset, progress=progress)


def _load(
    name: str, data_dir: str | os.PathLike[str] | None, *, download: bool, subset: int | None, progress: bool | None
) -> AnnData:
    manifest = read_manifest(name)
    found = obtain(manifest, data_dir, download=download, progress=progress, subset=subset)
    obs = read_cells(found["cells"].path, manifest)
    warn_of_differences(found["cells"].path, obs, manifest)
    X, cells, genes = read_expression(found["expression"].path, progress=progress)
    places = pd.Index(cells).get_indexer(obs.index)
    if (places < 0).any():
        msg = f"{(places < 0).sum()} cells of {found['cells'].path} are not in {found['expression'].path}."
        raise ValueError(msg)
    adata = ad.AnnData(X[places], obs=obs, var=pd.DataFrame(index=genes))
    adata.var_names_make_unique()
    _prepare(adata)
    adata.uns["dataset"] = describe(manifest)
    if subset is None:
        return adata
    return adata[draw(adata.obs["label"].to_numpy(), adata.obs["group"].to_numpy(), subset)].copy()


def _prepare(adata: AnnData) -> None:
    sc.pp.filter_cells(adata, min_genes=_MIN_GENES)
    sc.pp.filter_genes(adata, min_cells=_MIN_CELLS)
    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata, n_top_genes=min(_N_TOP_GENES, adata.n_vars), batch_key="group")


def read_cells(path: Path, manifest: Manifest) -> pd.DataFrame:
    """Return label, group, technology and more of each cell, in the order of the file.

    Raises
    ------
    ValueError
        If a column is missing, a cell is named twice, or a batch or label is not of this data set.
    """
    table = _TABLES[manifest.name]
    frame = pd.read_csv(path, sep="\t", index_col=0)
    absent = {table.batch, table.label, *table.also} - set(frame.columns)
    if absent or not frame.index.is_unique:
        msg = f"{path} {f'lacks columns {sorted(absent)}' if absent else 'names a cell twice'}."
        raise ValueError(msg)
    batches = categorical(frame[table.batch], list(table.batches)).astype(str)
    names, technologies = ([table.batches[batch][i] for batch in batches] for i in (0, 1))
    expected = manifest.expected
    # By map: astype(str) of pandas 3 leaves what is missing as it is, that of pandas 2 calls it "nan".
    labels = frame[table.label].map(str)
    obs = pd.DataFrame(
        {
            "label": categorical(labels, list(expected.labels) or sorted(set(labels))),
            "group": categorical(names, list(expected.groups)),
            "tech": pd.Categorical(technologies),
        },
        index=frame.index.astype(str).rename(None),
    )
    for column in table.also:
        obs[column] = pd.Categorical(frame[column].map(str))
    return obs
