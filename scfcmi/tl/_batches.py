from __future__ import annotations

from typing import TYPE_CHECKING

from scfcmi import _validate

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData


def batch_codes(adata: AnnData, batch_key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return batch codes and names; the names as they are in ``adata.obs``."""
    _validate.key_in(adata.obs.columns, batch_key, "adata.obs")
    if adata.n_obs == 0:
        msg = "adata has no cells."
        raise ValueError(msg)
    codes, names = _validate.group_codes(adata.obs[batch_key], adata.n_obs, f"adata.obs[{batch_key!r}]")
    if len(names) < 2:
        msg = f"adata.obs[{batch_key!r}] has one batch only, {names[0]!r}. For plain clustering use scfcmi.FCMI."
        raise ValueError(msg)
    return codes, names
