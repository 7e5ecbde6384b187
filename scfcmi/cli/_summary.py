"""Lines at the end of ``scfcmi cluster`` and ``scfcmi assign``: what came out, and what to look at next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from scfcmi._shown import listed, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd
    from anndata import AnnData

# More clusters, and more batches of one, are counted and not named.
_MOST_CLUSTERS, _MOST_BATCHES = 3, 3
# Below this probability, labels of new cells are right about half of the time (docs/new_cells.md).
_DOUBTFUL = 0.6


def summary(adata: AnnData, key: str, written: Sequence[Path]) -> str:
    """Return a line each for clusters, sizes, lacked batches, training, what to do next, and files.

    Parameters
    ----------
    adata
        Cells that ``fair_cluster`` has written to; of them only ``obs`` and ``uns`` are read.
    key
        The ``key_added``.
    written
        Paths of what was written, the cells first.

    Returns
    -------
    Six lines. Names of clusters and batches are shown with escapes in place of control characters.
    """
    from sklearn.metrics.cluster import contingency_matrix

    from scfcmi import _validate
    from scfcmi.models.atlas.presence import lacked_batches

    params = adata.uns[key]["params"]
    clusters = adata.obs[key].astype("category").array.remove_unused_categories()
    # Batches as fair_cluster counts them: 1 and "1" are one.
    codes, batches = _validate.group_codes(adata.obs[params["batch_key"]], adata.n_obs)
    counts = contingency_matrix(clusters.codes, codes)
    lacked = lacked_batches(counts)
    lines = {
        "clusters": f"{len(counts)} in obs[{key!r}], of {adata.n_obs:,} cells; {_how(params)}",
        "sizes": _sizes(counts.sum(axis=1), clusters.categories),
        "batches": _lacking(lacked, clusters.categories, batches),
        "training": _training(params),
        "next": _next(written[0], key, lacking=bool(lacked.any())),
        "written": ", ".join(map(str, written)),
    }
    return "\n".join(f"{name:<9} {shown(words)}" for name, words in lines.items())


def assigned(adata: AnnData, key: str, written: Path) -> str:
    """Return three lines on what ``assign`` has written to cells: clusters, doubtful cells, and the file."""
    import numpy as np

    clusters = adata.obs[key]
    doubtful = int((np.asarray(adata.obsm[f"{key}_proba"]).max(axis=1) < _DOUBTFUL).sum())
    lines = {
        "clusters": f"{clusters.nunique()} of {len(clusters.cat.categories)} in obs[{key!r}], of {adata.n_obs:,} cells",
        "doubtful": f"{doubtful:,} cells ({doubtful / adata.n_obs:.1%}) with a probability below {_DOUBTFUL}",
        "written": str(written),
    }
    return "\n".join(f"{name:<9} {shown(words)}" for name, words in lines.items())


def _how(params: dict[str, object]) -> str:
    mode = f"{params.get('mode', 'unknown')} mode"
    return f"{mode} at resolution {float(params['resolution']):g}" if "resolution" in params else mode


def _sizes(sizes: np.ndarray, names: pd.Index) -> str:
    import numpy as np

    smallest = sizes.argsort(kind="stable")[:_MOST_CLUSTERS]
    listed = ", ".join(f"{names[cluster]} ({sizes[cluster]:,})" for cluster in smallest)
    return f"{sizes.min():,} to {sizes.max():,} cells a cluster, median {np.median(sizes):,.0f}; smallest: {listed}"


def _lacking(lacked: np.ndarray, clusters: pd.Index, batches: np.ndarray) -> str:
    found = lacked.any(axis=1).nonzero()[0]
    if not len(found):
        return f"no cluster clearly lacks any of the {len(batches)} batches"
    told = [
        f"{clusters[cluster]} lacks {listed(batches[lacked[cluster]], _MOST_BATCHES)}"
        for cluster in found[:_MOST_CLUSTERS]
    ]
    more = len(found) - _MOST_CLUSTERS
    return "; ".join(told) + (f"; and {more} more clusters lack some" if more > 0 else "")


def _training(params: dict[str, object]) -> str:
    n_epochs = params.get("n_epochs", "an unknown number of")
    epochs = f"{n_epochs} epoch" if n_epochs == 1 else f"{n_epochs} epochs"
    if params.get("settled", True):
        return f"settled after {epochs}"
    return f"had not settled after {epochs}: raise --max-epochs"


def _next(cells: Path, key: str, *, lacking: bool) -> str:
    words = ["scfcmi", "report", str(cells), "-o", str(Path(cells).with_suffix(".html"))]
    command = shlex.join([*words, *(["--key", key] if key != "fcmi" else [])])
    why = "says what speaks for biology and what for the batch" if lacking else "shows all of this on one page"
    return f"{command} {why}"
