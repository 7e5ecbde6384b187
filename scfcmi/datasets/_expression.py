"""Expression as Tran et al. publish it: a text too large to hold as a dense table."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from tqdm.auto import tqdm

if TYPE_CHECKING:
    from pathlib import Path


def read_expression(path: Path, *, progress: bool | None = None) -> tuple[sp.csr_matrix, list[str], list[str]]:
    """Read a gzipped, tab-separated table of genes x cells, one gene at a time.

    The first line names the cells, with or without a name for the column of genes; names may be quoted.

    Returns
    -------
    CSR of cells x genes, float32; names of cells; names of genes.

    Raises
    ------
    ValueError
        If a line has another number of fields than the first, or a field that is no finite number of at least zero,
        or a cell is named twice.
    """
    genes: list[str] = []
    data, indices, lengths = [], [], [0]
    disable = None if progress is None else not progress
    with gzip.open(path) as stream:
        header = _names(stream.readline())
        for line in tqdm(stream, desc=path.name, unit=" genes", disable=disable):
            gene, *fields = line.rstrip(b"\r\n").split(b"\t")
            if not genes:
                header = header[len(header) - len(fields) :] if len(header) == len(fields) + 1 else header
            genes.append(gene.decode().strip('"'))
            try:
                values = np.array(fields, dtype=np.float32)
            except ValueError as error:
                msg = f"{path}, gene {genes[-1]!r}: {error}."
                raise ValueError(msg) from None
            if len(values) != len(header) or not (np.isfinite(values) & (values >= 0)).all():
                msg = (
                    f"{path}, gene {genes[-1]!r}: {len(header)} finite numbers of at least zero were expected, "
                    f"got {len(values)} fields."
                )
                raise ValueError(msg)
            indices.append(np.flatnonzero(values).astype(np.int32))
            data.append(values[indices[-1]])
            lengths.append(len(indices[-1]))
    if not genes or len(set(header)) < len(header):
        msg = f"{path} {'names a cell twice' if genes else 'holds no genes'}."
        raise ValueError(msg)
    shape = (len(genes), len(header))
    by_gene = sp.csr_matrix((np.concatenate(data), np.concatenate(indices), np.cumsum(lengths)), shape=shape)
    return by_gene.T.tocsr(), header, genes


def _names(line: bytes) -> list[str]:
    return [name.strip('"') for name in line.decode().rstrip("\r\n").split("\t")]
