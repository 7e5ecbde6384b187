"""Colors of categories: ``adata.uns`` keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from natsort import natsorted

from scfcmi import _adata, _validate
from scfcmi.pl._palette import palette

if TYPE_CHECKING:
    from anndata import AnnData


def categories(adata: AnnData, column: str, *, hint: str = "") -> pd.Categorical:
    """Return a column of ``adata.obs`` as scanpy sees it: its own categories, or all values in natural order.

    Categories without cells stay: each has a color.
    """
    _validate.key_in(adata.obs.columns, column, "adata.obs", hint=hint)
    values = _adata.column(adata.obs, column)
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.array
    codes, found = pd.factorize(values)
    # Named as everywhere else: batches 1.0 and 2.0 are "1" and "2".
    texts = [_validate.group_name(value) for value in found]
    names = natsorted(set(texts))
    return pd.Categorical.from_codes(np.append(pd.Index(names).get_indexer(texts), -1)[codes], categories=names)


def colors_of(adata: AnnData, column: str, names: pd.Index) -> dict[object, str]:
    """Return the color of each category: those in ``adata.uns``, or new ones where these are too few.

    Raises
    ------
    ValueError
        If ``adata.uns`` holds something else than colors.
    """
    from matplotlib.colors import is_color_like, to_hex

    kept = list(_adata.in_memory(adata.uns.get(f"{column}_colors", ())))
    wrong = [c for c in kept if not is_color_like(c)]
    if wrong:
        msg = f"adata.uns[{column + '_colors'!r}] holds {wrong[0]!r}, which is no color. Correct or delete this entry."
        raise ValueError(msg)
    if len(kept) < len(names):
        kept = list(palette(len(names)))
    return dict(zip(names, (to_hex(c) for c in kept), strict=False))


def keep_colors(adata: AnnData, colors: dict[str, dict[object, str]]) -> None:
    """Store the colors of columns, where there are too few. Last of all: an error leaves ``adata`` as it was.

    Not in a view, which would become an AnnData of its own.
    """
    if adata.is_view:
        return
    for column, of_names in colors.items():
        if len(adata.uns.get(f"{column}_colors", ())) < len(of_names):
            adata.uns[f"{column}_colors"] = list(of_names.values())
