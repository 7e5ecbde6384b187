"""Encode and decode rows in blocks of one size: a cell's code must not depend on which cells it came with."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import numpy as np
    from torch import Tensor

    from scfcmi.rows import Rows

# Matrix products round differently for different numbers of rows. So the last block is padded to this size.
_BLOCK = 512


class Network(Protocol):
    """What inference needs of a network."""

    def encode(self, inputs: Tensor) -> Tensor:
        """Return codes of unit length, shape (n_cells, n_dims)."""

    def decode(self, codes: Tensor, groups: Tensor) -> Tensor:
        """Return reconstructions, each by the decoder of its group."""

    def eval(self) -> Network:
        """Switch to inference."""


def encode(network: Network, rows: Rows, *, half_precision: bool = False) -> Tensor:
    """Return the codes of all rows, float32, shape (n_cells, n_dims), on the network's device."""

    def codes(inputs: Tensor, _: Tensor) -> Tensor:
        with autocast(inputs.device, half=half_precision):
            return network.encode(inputs)

    return in_blocks(network, rows, codes)


def reconstruct(network: Network, rows: Rows, groups: Tensor) -> np.ndarray:
    """Return all rows encoded and decoded, each by the decoder of its entry in ``groups``."""
    return in_blocks(
        network, rows, lambda inputs, index: network.decode(network.encode(inputs), groups[index]).cpu()
    ).numpy()


def reconstruction_error(network: Network, rows: Rows, groups: Tensor) -> float:
    """Return L_rec of Eq. 11 over all rows, each by the decoder of its own group; memory does not grow with rows."""

    def errors(inputs: Tensor, index: Tensor) -> Tensor:
        outputs = network.decode(network.encode(inputs), groups[index.to(groups.device)])
        return (outputs - inputs).square().flatten(1).mean(dim=1)

    return float(in_blocks(network, rows, errors).mean())


def autocast(device: torch.device, *, half: bool) -> AbstractContextManager:
    """Compute in bfloat16 where ``half`` is true."""
    return torch.autocast(device.type, torch.bfloat16) if half else nullcontext()


def in_blocks(network: Network, rows: Rows, function: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return what a function returns for all rows; it is given blocks of one size, and the index of their rows."""
    network.eval()
    results, start = None, 0
    # Not in inference mode, whose results could not be trained on.
    with torch.no_grad():
        for block in rows.blocks(_BLOCK):
            inside = torch.arange(_BLOCK).clamp_max(len(block) - 1)
            padded = block if len(block) == _BLOCK else block[inside.to(block.device)]
            values = function(padded, start + inside)
            if results is None:
                results = values.new_empty((len(rows), *values.shape[1:]))
            results[start : start + len(block)] = values[: len(block)]
            start += len(block)
    return results
