from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np
import pandas as pd

from scfcmi.datasets._archive import Archive
from scfcmi.datasets._build import build, categorical, draw
from scfcmi.datasets._fetch import obtain
from scfcmi.datasets._manifest import read_manifest

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from anndata import AnnData


def har(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    subset: int | None = None,
    progress: bool | None = None,
) -> AnnData:
    """Activities of thirty people, recorded by the accelerometer and gyroscope of a smartphone (HAR).

    The training and the test part are taken together.

    Parameters
    ----------
    data_dir
        Folder of all data sets. ``None`` takes the folder that the environment variable ``SCFCMI_DATA_DIR`` names. If it is
        not set, files go to the user's cache.
    download
        Whether to download files that are missing or damaged.
    subset
        Take only this many samples, for a quick look. Every label and group keeps its share. The draw is the same on every
        call.
    progress
        Whether to draw progress bars. ``None`` draws them on a terminal or in a notebook only.

    Returns
    -------
    10,299 windows of 561 features, float32 in [-1, 1], with ``.obs["label"]`` (six activities), ``.obs["group"]`` and
    ``.obs["subject"]`` (1 to 30), and ``.uns["dataset"]`` (name, citation, terms, version of the manifest). Its
    ``variant`` is "features recomputed" if the features were read from ``har561.npz``.

    Raises
    ------
    DatasetUnavailableError
        If a file is missing, and ``download`` is false or no source has it.
    ChecksumError
        If the checksum of a file is not the expected one.

    References
    ----------
    Anguita et al., ESANN, 2013. https://doi.org/10.24432/C54S4K
    """
    manifest = read_manifest("har")
    path, file = obtain(manifest, data_dir, download=download, progress=progress, subset=subset)["har"]
    X, activities, subjects = (read_npz if path.suffix == ".npz" else read_zip)(path)
    names = np.array(list(manifest.expected.labels))
    rows = draw(activities, subjects, subset)
    obs = pd.DataFrame(
        {
            "label": categorical(names[activities[rows]], list(names)),
            "group": categorical(subjects[rows], list(manifest.expected.groups)),
        },
        index=[f"window{row}" for row in rows],
    )
    obs["subject"] = obs["group"]
    return build(X if subset is None else X[rows], obs, manifest, variant=file.variant)


def read_zip(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, activities from 0 and subjects from 1 of the archive of UCI, the training part first."""
    parts = []
    with Archive(path) as archive:
        for part in ("train", "test"):
            with archive.open(f"{part}/X_{part}.txt") as stream:
                X = _read_table(stream)
            with archive.open(f"{part}/y_{part}.txt") as stream:
                y = np.array(stream.read().split(), dtype=np.int64)
            with archive.open(f"{part}/subject_{part}.txt") as stream:
                subjects = np.array(stream.read().split(), dtype=np.int64)
            parts.append((X, y - 1, subjects))
    X, activities, subjects = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return X, activities, subjects


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, activities from 0 and subjects from 1 of ``har561.npz``, which counts subjects from 0."""
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["X"], arrays["activity"], arrays["subject"] + 1


def _read_table(stream: IO[bytes]) -> np.ndarray:
    """Return numbers set apart by one or two spaces, a row a line, whatever ends the lines."""
    return pd.read_csv(stream, sep=r"\s+", header=None, dtype=np.float32).to_numpy()
