from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.decomposition import PCA
from sklearn.utils import check_array

from scfcmi import _validate
from scfcmi._random import RandomState, seed_from

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import ArrayLike


class Inputs(NamedTuple):
    """What every method is given, checked."""

    X: np.ndarray | sp.csr_matrix
    codes: np.ndarray
    n_groups: int
    n_clusters: int
    seed: int

    @property
    def membership(self) -> sp.csr_matrix:
        """One row a cell, a one in the column of its group."""
        return one_hot(self.codes, self.n_groups)


def one_hot(codes: np.ndarray, n_columns: int) -> sp.csr_matrix:
    """Return one row a code, with a one in its column."""
    n_rows = len(codes)
    return sp.csr_matrix((np.ones(n_rows), codes, np.arange(n_rows + 1)), shape=(n_rows, n_columns))


def check_inputs(
    X: ArrayLike | sp.spmatrix, groups: ArrayLike, n_clusters: int, random_state: RandomState, *, dense: bool = False
) -> Inputs:
    """Check what all methods take; CSR stays CSR unless ``dense``.

    Raises
    ------
    TypeError, ValueError
        If X is no finite matrix of two cells or more, groups are not one a cell, or there are more clusters than cells.
    """
    _validate.matrix_like(X)
    if dense and sp.issparse(X):
        X = X.toarray()
    groups = _validate.aligned(groups, X.index if isinstance(X, pd.DataFrame) else None, "groups", "X")
    X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32], ensure_min_samples=2, input_name="X")
    codes, names = _validate.group_codes(groups, X.shape[0])
    n_clusters = _validate.integer("n_clusters", n_clusters, minimum=1)
    if n_clusters > X.shape[0]:
        msg = f"n_clusters must be at most the number of cells, {X.shape[0]}, got {n_clusters}."
        raise ValueError(msg)
    # scikit-learn and harmonypy take seeds of 32 bits.
    return Inputs(X, codes, len(names), n_clusters, seed_from(random_state) % 2**32)


def principal_components(X: np.ndarray | sp.csr_matrix, n_components: int, seed: int) -> np.ndarray:
    """Return principal components, dense; X itself where it has no more features than that."""
    n_components = _validate.integer("n_components", n_components, minimum=1)
    if X.shape[1] <= n_components:
        return X.toarray() if sp.issparse(X) else X
    # The sparse solver finds one fewer than the smaller side at most.
    return PCA(min(n_components, min(X.shape) - 1), random_state=seed).fit_transform(X)


def import_extra(name: str, method: str) -> ModuleType:
    """Import a package of the extra ``bench``; ``ImportError`` says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        msg = f"{method} needs {name}, which is not installed: pip install 'scfcmi[bench]'"
        raise ImportError(msg) from error
