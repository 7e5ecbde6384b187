"""Data sets as the runs see them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from scfcmi import datasets
from scfcmi.benchmark._record import dataset_name
from scfcmi.datasets._build import draw
from scfcmi.errors import DatasetUnavailableError

# Those of scfcmi.datasets that hold expression.
_EXPRESSION = {"mouse_atlas", "human_dc", "pancreas"}
_MOST_GENES, _N_TOP_GENES, _N_COMPONENTS = 3000, 2000, 50


@dataclass(frozen=True)
class Data:
    """One data set: ``adata`` has ``.obs["group"]`` and ``.obs["label"]``."""

    name: str
    adata: ad.AnnData
    expression: bool

    @property
    def labels(self) -> np.ndarray:
        """Reference labels: they enter metrics, their number K, and nothing else."""
        return _text(self.adata.obs["label"])

    @property
    def groups(self) -> np.ndarray:
        return _text(self.adata.obs["group"])

    @property
    def n_clusters(self) -> int:
        return len(set(self.labels))

    @property
    def variant(self) -> str:
        """What the data are called where they are not the published ones."""
        return str(self.adata.uns.get("dataset", {}).get("variant", "as in the file"))

    @cached_property
    def matrix(self) -> np.ndarray | sp.csr_matrix | sp.csr_array:
        """What networks are given: images, expression of highly variable genes, or features."""
        # Imports torch, which must not weigh on the seconds and the memory of methods without a network.
        from scfcmi.tl._matrix import choose_matrix

        return choose_matrix(self.adata, use_rep=None, layer=None, mask_var=None).X

    @cached_property
    def features(self) -> np.ndarray:
        """What shallow methods are given: principal components of scaled expression, or rows of pixels or features."""
        if not self.expression:
            X = self.adata.X
            return np.asarray(X.toarray() if sp.issparse(X) else X)
        # Half of the start of a run, so not for those without expression.
        import scanpy as sc

        genes = self.adata[:, self.adata.var["highly_variable"]] if "highly_variable" in self.adata.var else self.adata
        scaled = genes.copy()
        # Centered numbers are not sparse: said here, so that scanpy need not warn of it.
        scaled.X = scaled.X.toarray() if sp.issparse(scaled.X) else scaled.X
        sc.pp.scale(scaled, max_value=10)
        sc.pp.pca(scaled, n_comps=min(_N_COMPONENTS, min(scaled.shape) - 1), random_state=0, mask_var=None)
        return scaled.obsm["X_pca"]

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of numbers, labels and groups as they were used, its first half."""
        digest = hashlib.sha256()
        X = self.adata.X
        for array in (X.data, X.indices, X.indptr) if sp.issparse(X) else (np.ascontiguousarray(X),):
            digest.update(memoryview(array).cast("B"))
        digest.update("\n".join([*self.labels, *self.groups]).encode())
        return digest.hexdigest()[:32]


def _text(values: pd.Series) -> np.ndarray:
    """Return names as strings, one that is missing as "nan": pandas 3's own ``astype(str)`` leaves it missing."""
    return np.array([str(value) for value in values], dtype=object)


def load(dataset: str, subset: int | None = None) -> Data:
    """Load one data set, all of it or a stratified part. Nothing is downloaded.

    Raises
    ------
    DatasetUnavailableError, ChecksumError
        If a file is missing, or not the one that the manifest describes.
    KeyError
        If an h5ad file has no column for groups or labels.
    ValueError
        If there is no data set of this name.
    """
    if dataset.endswith(".h5ad"):
        return Data(dataset_name(dataset), _read(Path(dataset), subset), expression=True)
    adata = getattr(datasets, dataset)(download=False, subset=subset, progress=False)
    return Data(dataset, adata, expression=dataset in _EXPRESSION)


def _read(path: Path, subset: int | None) -> ad.AnnData:
    """Read cells; counts are log-normalized, and 2,000 genes chosen where there are many more."""
    if not path.is_file():
        msg = f"{path} is not here."
        raise DatasetUnavailableError(msg)
    adata = ad.read_h5ad(path)
    columns = [name for name in ("group", "batch") if name in adata.obs]
    if not columns or "label" not in adata.obs:
        msg = f"{path} needs obs['label'] and obs['group'] or obs['batch']; it has {list(adata.obs)}."
        raise KeyError(msg)
    adata.obs["group"] = adata.obs[columns[0]]
    n_missing = int(adata.obs[["label", "group"]].isna().any(axis=1).sum())
    if adata.X is None:
        msg = f"{path} has no X: the benchmark needs expression."
        raise ValueError(msg)
    if n_missing:
        msg = f"{path} has {n_missing} samples without label or group. Leave them out, or give them a name."
        raise ValueError(msg)
    # Numbers, too, are names of groups.
    adata.obs["group"] = pd.Categorical(_text(adata.obs["group"]))
    if subset is not None:
        adata = adata[draw(adata.obs["label"].to_numpy(), adata.obs["group"].to_numpy(), subset)].copy()
    import scanpy as sc

    values = adata.X.data if sp.issparse(adata.X) else np.asarray(adata.X)
    if not np.isfinite(values).all():
        msg = f"X of {path} holds values that are not finite."
        raise ValueError(msg)
    if (values >= 0).all() and (values == np.round(values)).all():
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
    if "highly_variable" not in adata.var and adata.n_vars > _MOST_GENES:
        sc.pp.highly_variable_genes(adata, n_top_genes=_N_TOP_GENES, batch_key="group")
    return adata
