"""What is checked and decided before any training or prediction, in both modes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils import gen_batches

from scfcmi import _validate
from scfcmi._logging import warn

# Training needs optimizer steps, and costs them: where cells are many, a thousand mini-batches are enough for paper mode.
_MAX_STEPS = 1000
# Sums of squares of larger values are beyond float32.
_LARGEST = 1e15
# Rows looked at together, to see whether they differ.
_FEW = 64


def warn_of_empty(n_empty: int, n_cells: int, name: str) -> None:
    """Warn of cells that are zero everywhere."""
    if 0 < n_empty < n_cells:
        msg = (
            f"{n_empty} cell(s) have no expression in the genes of {name} that are used. Their cluster means nothing. "
            "Remove them: sc.pp.filter_cells(adata, min_genes=1)."
        )
        warn(msg)


def check_largest(largest: float, name: str = "X") -> None:
    """Raise ``ValueError`` unless the largest absolute value is finite, and small enough to be computed with."""
    if not math.isfinite(largest):
        msg = f"{name} has entries that are NaN or infinite. Remove these cells or genes, or impute."
        raise ValueError(msg)
    if largest > _LARGEST:
        msg = (
            f"{name} holds values as large as {largest:.3g}, whose squares do not fit into float32. Normalize and "
            "log-transform it, or divide it by a number."
        )
        raise ValueError(msg)


def check_varies(varies: bool, shape: tuple[int, ...]) -> None:  # noqa: FBT001  # the answer to what is asked
    """Raise ``ValueError`` unless any feature varies."""
    if not varies:
        msg = f"All {math.prod(shape[1:])} features of X have the same value in all {shape[0]} cells: there is nothing to cluster by."
        raise ValueError(msg)


def epochs_for(
    n_cells: int, batch_size: int, max_epochs: int | None, *, least: int, most: int, max_steps: int = _MAX_STEPS
) -> int:
    """Return the number of epochs: as given, or what so many mini-batches allow, within bounds."""
    if max_epochs is not None:
        return _validate.integer("max_epochs", max_epochs, minimum=1)
    return min(most, max(least, max_steps // -(-n_cells // batch_size)))


def all_the_same(X: np.ndarray | sp.csr_matrix | sp.csr_array) -> bool:
    """Say whether every feature has the same value in all cells."""
    # Blocks of a few rows: all but constant matrices are told by the first.
    dense = (X[rows].toarray() if sp.issparse(X) else X[rows] for rows in gen_batches(X.shape[0], _FEW))
    first = X[:1].toarray() if sp.issparse(X) else X[:1]
    return all((block == first).all() for block in dense)


def by_name(X: pd.DataFrame, names: np.ndarray) -> np.ndarray:
    """Return the columns that a model was fitted on, in its order; as they come, where columns have no names of text."""
    if not all(isinstance(name, str) for name in X.columns) or np.array_equal(X.columns, names):
        return X.to_numpy()
    missing = pd.Index(names).difference(X.columns, sort=False)
    if len(missing) or not X.columns.is_unique or len(set(names)) < len(names):
        what = f"X lacks {len(missing)} of them: {list(missing[:5])}" if len(missing) else "names repeat"
        msg = f"The model was fitted on {len(names)} named features, and {what}."
        raise ValueError(msg)
    return X[list(names)].to_numpy()
