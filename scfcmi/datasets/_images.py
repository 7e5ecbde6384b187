from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfcmi._random import stream
from scfcmi.datasets._build import build, categorical, draw, warn_of_differences
from scfcmi.datasets._check import images_in
from scfcmi.datasets._features import image_features, read_features
from scfcmi.datasets._fetch import obtain
from scfcmi.datasets._manifest import Manifest, read_manifest
from scfcmi.errors import DatasetUnavailableError

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from anndata import AnnData

# Columns of the annotation after the path: x and y of five landmarks, then these.
_N_LANDMARKS = 10
_ATTRIBUTES = ("gender", "smile", "glasses", "pose")
_GENDERS = {"1": "male", "2": "female"}
_GLASSES = {"1": "glasses", "2": "no glasses"}


def office31(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    subset: int | None = None,
    progress: bool | None = None,
) -> AnnData:
    """Office objects of 31 kinds, from Amazon's pages and from a webcam, as features of a ResNet-50.

    Only the authors hand out the images: ``scfcmi data info office31`` says how to get them. The features are computed once,
    which needs ``pip install 'scfcmi[images]'``, or read from ``office31/features.npz``.

    Parameters
    ----------
    data_dir
        Folder of all data sets. ``None`` takes the folder that the environment variable ``SCFCMI_DATA_DIR`` names. If it is
        not set, files go to the user's cache.
    download
        Whether to download the weights of the ResNet-50.
    subset
        Take only this many samples, for a quick look. Every label and group keeps its share. The draw is the same on every
        call.
    progress
        Whether to draw progress bars. ``None`` draws them on a terminal or in a notebook only.

    Returns
    -------
    3,612 samples of 2,048 features (standardized, then tanh), float32 in [-1, 1], with ``.obs["label"]``,
    ``.obs["group"]`` and ``.obs["domain"]`` (amazon 2,817, webcam 795) and ``.uns["dataset"]`` (name, citation, terms,
    version of the manifest).

    Raises
    ------
    DatasetUnavailableError
        If there is no file of features, and images, torchvision or weights are missing.

    References
    ----------
    Saenko et al., ECCV, 2010. He et al., CVPR, 2016.
    """
    manifest = read_manifest("office31")
    found = obtain(manifest, data_dir, download=download, progress=progress, subset=subset)
    path, file = found["amazon"]
    if path.suffix == ".npz":
        adata = _from_features(path, manifest, subset, file.variant)
    else:
        images = [image for part in ("amazon", "webcam") for image in images_in(found[part].path)]
        folder = path.parents[1]
        labels = np.array([image.parent.name for image in images])
        groups = np.array([image.relative_to(folder).parts[0] for image in images])
        rows = draw(labels, groups, subset)
        images = [images[row] for row in rows]
        X = image_features(images, folder, download=download, progress=progress)
        names = [f"{image.relative_to(folder).parts[0]}/{image.parent.name}/{image.name}" for image in images]
        adata = build(X, _obs(labels[rows], groups[rows], names, manifest), manifest)
    adata.obs["domain"] = adata.obs["group"]
    return adata


def mtfl(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    subset: int | None = None,
    progress: bool | None = None,
) -> AnnData:
    """Faces of women and men, a thousand with glasses and a thousand without, as features of a ResNet-50.

    The images are for research only and must be downloaded by hand: ``scfcmi data info mtfl`` says how. Each thousand holds
    346 women and 654 men, drawn from all annotated faces. Which faces the paper drew is not known. The features are computed
    once, which needs ``pip install 'scfcmi[images]'``, or read from ``mtfl/features.npz``.

    Parameters
    ----------
    data_dir
        Folder of all data sets. ``None`` takes the folder that the environment variable ``SCFCMI_DATA_DIR`` names. If it is
        not set, files go to the user's cache.
    download
        Whether to download the weights of the ResNet-50.
    subset
        Take only this many samples, for a quick look. Every label and group keeps its share. The draw is the same on every
        call.
    progress
        Whether to draw progress bars. ``None`` draws them on a terminal or in a notebook only.

    Returns
    -------
    2,000 samples of 2,048 features (standardized, then tanh), float32 in [-1, 1], with ``.obs["label"]`` and
    ``.obs["gender"]``, ``.obs["group"]`` and ``.obs["glasses"]``, and ``.uns["dataset"]`` (name, citation, terms,
    version of the manifest).

    Raises
    ------
    DatasetUnavailableError
        If there is no file of features, and images, torchvision or weights are missing.

    References
    ----------
    Zhang et al., ECCV, 2014. He et al., CVPR, 2016.
    """
    manifest = read_manifest("mtfl")
    found = obtain(manifest, data_dir, download=download, progress=progress, subset=subset)
    path, file = found["training"]
    if path.suffix == ".npz":
        adata = _from_features(path, manifest, subset, file.variant)
    else:
        folder = path.parent
        faces = pd.concat([read_annotation(found[part].path) for part in ("training", "testing")], ignore_index=True)
        faces = faces.iloc[_drawn(faces, manifest)]
        rows = draw(faces["label"].to_numpy(), faces["group"].to_numpy(), subset)
        faces = faces.iloc[rows]
        images = [folder / image for image in faces["image"]]
        absent = [str(image) for image in images if not image.is_file()]
        if absent:
            msg = f"mtfl: {len(absent)} images are missing, such as {absent[0]}. By hand: {manifest.by_hand}"
            raise DatasetUnavailableError(msg)
        X = image_features(images, folder, download=download, progress=progress)
        names = [f"face{number}" for number in faces.index]
        adata = build(X, _obs(faces["label"].to_numpy(), faces["group"].to_numpy(), names, manifest), manifest)
    adata.obs["gender"], adata.obs["glasses"] = adata.obs["label"], adata.obs["group"]
    return adata


def read_annotation(path: Path) -> pd.DataFrame:
    """Return image, label (gender) and group (glasses) of each line of MTFL's annotation.

    Raises
    ------
    ValueError
        If a line is of another form, or its path leaves the folder.
    """
    faces = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        fields = line.split()
        n_numbers = _N_LANDMARKS + len(_ATTRIBUTES)
        image = PurePosixPath(" ".join(fields[:-n_numbers]).replace("\\", "/"))
        codes = dict(zip(_ATTRIBUTES, fields[-len(_ATTRIBUTES) :], strict=False))
        gender, glasses = _GENDERS.get(codes.get("gender", "")), _GLASSES.get(codes.get("glasses", ""))
        if not image.name or image.is_absolute() or ".." in image.parts or None in (gender, glasses):
            msg = f"{path}, line {number}: a path, ten coordinates, gender, smile, glasses and pose were expected."
            raise ValueError(msg)
        faces.append((str(image), gender, glasses))
    return pd.DataFrame(faces, columns=["image", "label", "group"])


def _drawn(faces: pd.DataFrame, manifest: Manifest) -> np.ndarray:
    """Return rows of as many faces of each label in each group as the manifest says, the same on every call."""
    rng, rows = stream(0), []
    for label, counts in manifest.expected.table.items():
        for group, count in zip(manifest.expected.groups, counts, strict=True):
            candidates = np.flatnonzero((faces["label"] == label) & (faces["group"] == group))
            if len(candidates) < count:
                msg = f"mtfl: {len(candidates)} faces are annotated as {label}, {group}; the benchmark has {count}."
                raise ValueError(msg)
            rows.append(rng.choice(candidates, count, replace=False))
    return np.sort(np.concatenate(rows))


def _from_features(path: Path, manifest: Manifest, subset: int | None, variant: str | None) -> AnnData:
    X, labels, groups = read_features(path)
    warn_of_differences(path, pd.DataFrame({"label": labels, "group": groups}), manifest, X.shape[1])
    rows = draw(labels, groups, subset)
    obs = _obs(labels[rows], groups[rows], [f"sample{row}" for row in rows], manifest)
    return build(X[rows], obs, manifest, variant=variant)


def _obs(labels: np.ndarray, groups: np.ndarray, names: list[str], manifest: Manifest) -> pd.DataFrame:
    expected = manifest.expected
    columns = {
        "label": categorical(labels, list(expected.labels)),
        "group": categorical(groups, list(expected.groups)),
    }
    return pd.DataFrame(columns, index=names)
