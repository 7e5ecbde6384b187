"""The auto-encoder that AE + k-means, DEC and Towards start from: trained by the first of them, kept for the others."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NamedTuple

from safetensors import safe_open
from safetensors.torch import save_file

from scfcmi._files import replacing
from scfcmi.baselines import pretrain_autoencoder
from scfcmi.baselines._autoencoder import WIDTHS
from scfcmi.baselines._deep import AutoEncoder

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np


class Pretraining(NamedTuple):
    """How an auto-encoder is trained, on which data, and where it is kept."""

    folder: Path
    dataset: str
    checksum: str
    seed: int
    epochs: int

    @property
    def path(self) -> Path:
        return self.folder / f"{self.dataset}-{self.checksum}-seed{self.seed}-{self.epochs}epochs.safetensors"


def autoencoder(X: np.ndarray, how: Pretraining) -> tuple[AutoEncoder, float]:
    """Return the auto-encoder, and the seconds it took another run: none if it is trained here."""
    if how.path.exists():
        with safe_open(how.path, "pt") as file:
            kept = json.loads(file.metadata()["kept"])
            auto = AutoEncoder(X.shape[1], WIDTHS, kept["scale"])
            auto.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118  # no mapping
        return auto, kept["seconds"]
    start = time.perf_counter()
    auto = pretrain_autoencoder(X, how.seed, epochs=how.epochs)
    kept = {"scale": auto.scale, "seconds": time.perf_counter() - start}
    how.folder.mkdir(parents=True, exist_ok=True)
    with replacing(how.path) as path:
        save_file(auto.state_dict(), path, {"kept": json.dumps(kept)})
    return auto, 0.0
