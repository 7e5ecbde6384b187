from __future__ import annotations

import bz2
import gzip
import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_svmlight_file

from scfcmi.datasets._build import build, categorical, draw
from scfcmi.datasets._fetch import obtain
from scfcmi.datasets._manifest import read_manifest

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from anndata import AnnData

_SHAPE = (28, 28)
_DIGITS = [str(digit) for digit in range(10)]


def mnist_usps(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    subset: int | None = None,
    progress: bool | None = None,
) -> AnnData:
    """Handwritten digits from two sources: the training images of MNIST and of USPS.

    USPS images are enlarged from 16 x 16 to 28 x 28 pixels (bilinear, 8 bits), as torchvision's ``Resize`` does.

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
    67,291 images of 784 pixels, float32 in [-1, 1], with ``.obs["label"]`` (the digit), ``.obs["group"]`` and
    ``.obs["domain"]`` (MNIST 60,000, USPS 7,291), ``.uns["image_shape"]`` and ``.uns["dataset"]`` (name, citation,
    terms, version of the manifest).

    Raises
    ------
    DatasetUnavailableError
        If a file is missing, and ``download`` is false or no source has it.
    ChecksumError
        If the checksum of a file is not the expected one.

    References
    ----------
    LeCun et al., Proceedings of the IEEE, 1998. Hull, IEEE TPAMI, 1994.

    Examples
    --------
    >>> import scfcmi
    >>> adata = scfcmi.datasets.mnist_usps(subset=1000)  # doctest: +SKIP
    >>> adata.shape  # doctest: +SKIP
    (1000, 784)
    """
    manifest = read_manifest("mnist_usps")
    found = obtain(manifest, data_dir, download=download, progress=progress, subset=subset)
    mnist = read_idx(found["mnist_images"].path), read_idx(found["mnist_labels"].path)
    usps = read_usps(found["usps"].path)
    labels = np.concatenate([mnist[1], usps[1]])
    domains = np.repeat(["MNIST", "USPS"], [len(mnist[1]), len(usps[1])])
    rows = draw(labels, domains, subset)
    split = np.searchsorted(rows, len(mnist[1]))
    numbers = np.concatenate([np.arange(len(mnist[1])), np.arange(len(usps[1]))])
    images = np.concatenate([mnist[0][rows[:split]], enlarge(usps[0][rows[split:] - len(mnist[1])])])
    obs = _obs(labels[rows], domains[rows], numbers[rows], list(manifest.expected.groups))
    return build(_scaled(images), obs, manifest, image_shape=_SHAPE)


def reverse_mnist(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    subset: int | None = None,
    progress: bool | None = None,
) -> AnnData:
    """Handwritten digits twice: the training images of MNIST, white on black, and the same black on white.

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
    120,000 images of 784 pixels, float32 in [-1, 1], with ``.obs["label"]`` (the digit), ``.obs["group"]`` and
    ``.obs["domain"]`` (original 60,000, reversed 60,000), ``.uns["image_shape"]`` and ``.uns["dataset"]`` (name,
    citation, terms, version of the manifest).

    Raises
    ------
    DatasetUnavailableError
        If a file is missing, and ``download`` is false or no source has it.
    ChecksumError
        If the checksum of a file is not the expected one.

    References
    ----------
    LeCun et al., Proceedings of the IEEE, 1998.
    """
    manifest = read_manifest("reverse_mnist")
    found = obtain(manifest, data_dir, download=download, progress=progress, subset=subset)
    images, digits = read_idx(found["mnist_images"].path), read_idx(found["mnist_labels"].path)
    n = len(digits)
    labels, domains = np.tile(digits, 2), np.repeat(["original", "reversed"], n)
    rows = draw(labels, domains, subset)
    X = _scaled(images[rows % n])
    np.negative(X, out=X, where=(rows >= n)[:, None])
    obs = _obs(labels[rows], domains[rows], rows % n, list(manifest.expected.groups))
    return build(X, obs, manifest, image_shape=_SHAPE)


def read_idx(path: Path) -> np.ndarray:
    """Return the unsigned bytes of a gzipped IDX file, in its shape; ``ValueError`` if it is none, or is cut short."""
    with gzip.open(path) as stream:
        content = stream.read()
    # Two zeros, 8 for unsigned bytes, the number of axes; the length of each axis; the bytes.
    n_axes = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    shape = [int.from_bytes(content[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(n_axes)]
    if n_axes == 0 or len(content) != 4 + 4 * n_axes + math.prod(shape):
        msg = f"{path} is no whole IDX file of unsigned bytes."
        raise ValueError(msg)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * n_axes).reshape(shape)


def read_usps(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return USPS as uint8 images, shape (n, 16, 16), and digits.

    Reads LIBSVM's ``.bz2`` (label 1 to 10, then ``index:value``) and the ``.gz`` of Elements of Statistical Learning
    (digit, then 256 values); the values lie in [-1, 1] in both.
    """
    if path.suffix == ".bz2":
        with bz2.open(path) as stream:
            X, labels = load_svmlight_file(stream, n_features=256, zero_based=False)
        values, digits = X.toarray(), labels - 1
    else:
        with gzip.open(path) as stream:
            table = np.array(stream.read().split(), dtype=np.float64).reshape(-1, 257)
        values, digits = table[:, 1:], table[:, 0]
    # As torchvision.datasets.USPS: cut, not rounded, in single precision.
    gray = (values.astype(np.float32) + 1) / 2 * 255
    return gray.astype(np.uint8).reshape(-1, 16, 16), digits.astype(np.uint8)


def enlarge(images: np.ndarray) -> np.ndarray:
    """Return 8-bit images at 28 x 28."""
    enlarged = np.empty((len(images), *_SHAPE), dtype=np.uint8)
    for i, image in enumerate(images):
        enlarged[i] = Image.fromarray(image).resize(_SHAPE, Image.Resampling.BILINEAR)
    return enlarged


def _scaled(images: np.ndarray) -> np.ndarray:
    """Return 8-bit images as rows of float32 in [-1, 1]."""
    X = np.divide(images.reshape(len(images), -1), np.float32(127.5), dtype=np.float32)
    X -= 1
    return X


def _obs(labels: np.ndarray, domains: np.ndarray, numbers: np.ndarray, groups: list[str]) -> pd.DataFrame:
    columns = {"label": categorical(labels, _DIGITS), "group": categorical(domains, groups)}
    columns["domain"] = columns["group"].copy()
    return pd.DataFrame(columns, index=[f"{d}-{i}" for d, i in zip(domains, numbers, strict=True)])
