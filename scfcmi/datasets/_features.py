"""Features of images by a ResNet-50, computed once and kept beside the images."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from scfcmi._files import replacing
from scfcmi._logging import logger
from scfcmi.errors import DatasetUnavailableError

if TYPE_CHECKING:
    import torch

_BATCH_SIZE = 32
# What ImageNet's networks are given: the shorter side at 256, the middle 224 x 224, these means and deviations.
_SIDE, _MIDDLE = 256, 224
_MEAN, _STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


class Backbone(NamedTuple):
    """A network from (n, 3, 224, 224) to (n, n_features), and the identity of its weights."""

    weights: str
    network: torch.nn.Module


def resnet50(folder: Path, *, download: bool) -> Backbone:
    """Return torchvision's ResNet-50 with the weights of its paper's time, ``IMAGENET1K_V1``.

    Raises
    ------
    DatasetUnavailableError
        If torchvision, or the weights, cannot be had. The message names the way around: a file of features in
        ``folder``.
    """
    instead = f"Or place features.npz in {folder}: arrays features (n x 2048), label and group (names)."
    try:
        from torchvision.models import ResNet50_Weights
        from torchvision.models import resnet50 as build
    except ImportError as error:
        msg = f"Features of images need torchvision: pip install 'scfcmi[images]'. {instead}"
        raise DatasetUnavailableError(msg) from error
    import torch

    weights = ResNet50_Weights.IMAGENET1K_V1
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    ways = f"Call with download=True, or place {weights.url} at {file}. {instead}"
    if not (download or file.exists()):
        msg = f"The weights of ResNet-50 are not here. {ways}"
        raise DatasetUnavailableError(msg)
    try:
        network = build(weights=weights)
    except (OSError, RuntimeError) as error:
        msg = f"The weights of ResNet-50 cannot be had ({error}). {ways}"
        raise DatasetUnavailableError(msg) from error
    network.fc = torch.nn.Identity()
    return Backbone(file.stem, network)


def image_features(images: list[Path], folder: Path, *, download: bool, progress: bool | None) -> np.ndarray:
    """Return features of images, float32, shape (n, 2048), standardized and squashed by tanh into [-1, 1].

    The raw features are kept in ``folder`` as ``features-<weights>-<images>.npy`` and taken from there next time.
    """
    backbone = resnet50(folder, download=download)
    # The same images under the same names, of the same sizes, have the same features.
    listing = "\n".join(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}" for path in images)
    kept = folder / f"features-{backbone.weights}-{hashlib.sha256(listing.encode()).hexdigest()[:8]}.npy"
    if kept.exists():
        return squash(np.load(kept, allow_pickle=False))
    features = _compute(images, backbone, progress=progress)
    try:
        with replacing(kept) as temporary, temporary.open("wb") as stream:
            np.save(stream, features)
    except OSError as error:
        logger.warning("features are not kept: %s", error)
    return squash(features)


def read_features(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the user's own features, squashed as :func:`image_features`, with names of labels and groups.

    Raises
    ------
    ValueError
        If the file holds other things than arrays of numbers and text, or an array is missing, of the wrong shape, or
        not finite.
    """
    wanted = ("features", "label", "group")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in wanted if name in arrays}
    # Of what numpy says, the advice to allow pickles is not passed on.
    except (AttributeError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        msg = f"{path} is damaged, or no .npz file of numbers and text: write it with numpy.savez."
        raise ValueError(msg) from error
    absent = set(wanted) - found.keys()
    if absent:
        msg = f"{path} lacks the arrays {sorted(absent)}."
        raise ValueError(msg)
    features, labels, groups = (found[name] for name in wanted)
    of_rows = features.ndim == 2 and labels.shape == groups.shape == features.shape[:1]
    if not of_rows or features.dtype.kind not in "fiu" or not np.isfinite(features).all():
        msg = (
            f"{path}: features must be finite numbers, with a row each for label and group; got {features.dtype} of shape "
            f"{features.shape}, and {labels.shape} and {groups.shape}."
        )
        raise ValueError(msg)
    return squash(features), labels.astype(str), groups.astype(str)


def squash(features: np.ndarray) -> np.ndarray:
    """Return features with mean 0 and variance 1 in each column, then tanh, as the paper gives them to its network."""
    features = np.asarray(features, np.float64)
    deviation = features.std(axis=0)
    return np.tanh((features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1)).astype(np.float32)


def _compute(images: list[Path], backbone: Backbone, *, progress: bool | None) -> np.ndarray:
    import torch

    network = backbone.network.eval()
    batches = [images[i : i + _BATCH_SIZE] for i in range(0, len(images), _BATCH_SIZE)]
    disable = None if progress is None else not progress
    with torch.inference_mode():
        return np.concatenate(
            [
                network(torch.from_numpy(np.stack([_pixels(path) for path in batch]))).numpy()
                for batch in tqdm(batches, desc="ResNet-50", unit="batch", disable=disable)
            ]
        )


def _pixels(path: Path) -> np.ndarray:
    """Return one image as the network takes it, float32, shape (3, 224, 224)."""
    with Image.open(path) as image:
        color = image.convert("RGB")
    scale = _SIDE / min(color.size)
    width, height = (max(_SIDE, round(side * scale)) for side in color.size)
    left, top = (width - _MIDDLE) // 2, (height - _MIDDLE) // 2
    middle = color.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + _MIDDLE, top + _MIDDLE))
    return ((np.asarray(middle, dtype=np.float32) / 255 - _MEAN) / _STD).transpose(2, 0, 1)
