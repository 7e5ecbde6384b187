"""Every checksum and count of a data set, recomputed."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

from scfcmi import datasets
from scfcmi.datasets._build import differences
from scfcmi.datasets._check import examine, miscount
from scfcmi.datasets._fetch import data_folder
from scfcmi.datasets._tran import read_cells
from scfcmi.errors import DatasetUnavailableError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pandas as pd

    from scfcmi.datasets._manifest import Manifest


class Finding(NamedTuple):
    """One line of the report; ``state`` is ``"ok"``, ``"missing"`` or ``"WRONG"``."""

    name: str
    what: str
    state: str
    detail: str


def verify(manifest: Manifest, data_dir: str | os.PathLike[str] | None) -> Iterator[Finding]:
    """Check each file that is here against its manifest, then counts of labels and groups against the loaded data."""
    folder, good, seen = data_folder(data_dir), {}, set()
    for part, files in manifest.parts().items():
        here = [file for file in files if (folder / file.path).exists()]
        if not here:
            what = " or ".join(file.path for file in files)
            yield Finding(manifest.name, what, "missing", f"see: scfcmi data info {manifest.name}")
        for file in here:
            path = folder / file.path
            verdict = examine(path, file)
            why = verdict.fault or miscount(path, file)
            if why is None:
                good.setdefault(part, path)
            # One file may serve several parts.
            if file.path not in seen:
                yield Finding(manifest.name, file.path, "WRONG" if why else "ok", why or f"{verdict.basis} fits")
            seen.add(file.path)
    if good.keys() == manifest.parts().keys():
        yield _count(manifest, lambda: _load(manifest, folder))
    elif "cells" in good:
        # The table of cells alone has all counts but that of genes.
        yield _count(manifest, lambda: (read_cells(good["cells"], manifest), None))


def _load(manifest: Manifest, folder: Path) -> tuple[pd.DataFrame, int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = getattr(datasets, manifest.name)(data_dir=folder, download=False)
    return adata.obs, adata.n_vars


def _count(manifest: Manifest, read: Callable[[], tuple[pd.DataFrame, int | None]]) -> Finding:
    try:
        obs, n_features = read()
    except DatasetUnavailableError as error:
        # Such as features that are still to be computed from good images.
        return Finding(manifest.name, "counts", "missing", str(error))
    except (OSError, ValueError) as error:
        return Finding(manifest.name, "counts", "WRONG", str(error))
    words = differences(obs, manifest, n_features)
    features = "" if n_features is None else f" x {n_features}"
    shape = f"{len(obs)}{features}, {obs['group'].nunique()} groups, {obs['label'].nunique()} labels"
    return Finding(manifest.name, "counts", "WRONG" if words else "ok", "; ".join(words) or shape)
