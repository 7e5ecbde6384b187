"""One seed in, independent streams out; the global random states of numpy and torch are never touched."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

RandomState = int | np.integer | np.random.Generator | np.random.RandomState | None


class Stream(IntEnum):
    """What random numbers are drawn for: one independent stream each. A number is never used again for another."""

    WEIGHTS = 0
    CENTERS = 1
    ORDER = 2
    RUN = 3
    ATLAS_ORDER = 11
    COUNTERPARTS = 12
    COMPONENTS = 13
    CLUSTERS = 14
    SAMPLE = 15
    DECODER = 16
    AUTOENCODER_WEIGHTS = 100
    AUTOENCODER_TRAINING = 101
    REFINEMENT = 102
    DFDC_WEIGHTS = 110
    DFDC_TRAINING = 111
    DFC_CRITIC = 120
    DFC_TRAINING = 121
    VARIATIONAL_WEIGHTS = 130
    VARIATIONAL_TRAINING = 131
    DAC_WEIGHTS = 140
    DAC_TRAINING = 141
    CLUSTERGAN_GENERATOR = 150
    CLUSTERGAN_ENCODER = 151
    CLUSTERGAN_CRITIC = 152
    CLUSTERGAN_TRAINING = 153
    SCFC_ORDER = 160
    SCFC_SHIFT = 161


def seed_from(random_state: RandomState, rng: RandomState = None) -> int:
    """Reduce whatever scanpy and scikit-learn accept as ``random_state`` to one integer seed.

    ``rng`` is the same argument under the name that newer scanpy has; ``TypeError`` if both are given.
    """
    if rng is not None:
        if not (isinstance(random_state, int) and random_state == 0):
            msg = "rng and random_state are two names of one argument. Give one of them."
            raise TypeError(msg)
        return seed_from(rng)
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint32)[0])
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**32))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**32, dtype=np.uint32))
    # Of larger ones, no file could keep the number.
    is_integer = isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool)
    if is_integer and 0 <= random_state < 2**64:
        return int(random_state)
    msg = (
        "random_state must be a non-negative integer below 2**64, a numpy Generator or RandomState, or None, got "
        f"{random_state!r}."
    )
    raise ValueError(msg)


def stream(seed: int, *purpose: int) -> np.random.Generator:
    """Return the numpy generator of one purpose: the same seed and purpose give the same draws, in any order of use."""
    return np.random.default_rng([seed, *purpose])


def some_cells(n_cells: int, n_wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Return the index of so many cells, rising; of all, and without a draw, if there are no more."""
    if n_cells <= n_wanted:
        return np.arange(n_cells)
    return np.sort(rng.choice(n_cells, n_wanted, replace=False))


def torch_stream(seed: int, *purpose: int) -> torch.Generator:
    """Return the torch generator (on the CPU) of one purpose, as :func:`stream`."""
    import torch

    generator = torch.Generator()
    generator.manual_seed(int(stream(seed, *purpose).integers(2**63)))
    return generator
