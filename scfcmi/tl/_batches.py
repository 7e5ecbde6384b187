from __future__ import annotations

from typing import TYPE_CHECKING

from scfcmi import _validate
from scfcmi._adata import column

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def batches_of(adata: AnnData, batch_key: str) -> pd.Categorical:
    """Return the batch of every cell; unused categories are dropped.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If there are cells without a batch, fewer than two batches, or a name with NUL or half a surrogate pair in it.
    """
    _validate.key_in(adata.obs.columns, batch_key, "adata.obs")
    values = _validate.group_values(column(adata.obs, batch_key), adata.n_obs, f"adata.obs[{batch_key!r}]")
    names = {_validate.group_name(value) for value in values.categories}
    for name in names:
        if "\0" in name or any("\ud800" <= char <= "\udfff" for char in name):
            msg = f"adata.obs[{batch_key!r}] has a batch {name!r}, which no file can hold: rename it."
            raise ValueError(msg)
    if len(names) < 2:
        msg = (
            f"adata.obs[{batch_key!r}] has one batch only, {names.pop()!r}. There is nothing to correct or to compare. One batch "
            "is clustered by sc.pp.neighbors and sc.tl.leiden."
        )
        raise ValueError(msg)
    return values
