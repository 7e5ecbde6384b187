"""Encode and decode rows in blocks of one size: a cell's code must not depend on which cells it came with.

A network here has ``encode(inputs)``, which returns codes of unit length, and ``decode(codes, groups)``.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

import torch

from scfcmi._scratch import let_go, on_disk
from scfcmi.rows import ChunkedRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import numpy as np
    from torch import Tensor, nn

    from scfcmi.rows import Rows

T = TypeVar("T")

# Matrix products round differently for different numbers of rows. So the last block is padded to this size.
BLOCK = 512


def encode(network: nn.Module, rows: Rows, *, half_precision: bool = False) -> Tensor:
    """Return the codes of all rows, float32, shape (n_cells, n_dims), on the network's device."""

    def codes(inputs: Tensor, _: Tensor) -> Tensor:
        with autocast(inputs.device, half=half_precision):
            return network.encode(inputs)

    return in_blocks(network, rows, codes)


def reconstruct(network: nn.Module, rows: Rows, groups: Tensor) -> np.ndarray:
    """Return all rows encoded and decoded, each by the decoder of its entry in ``groups``."""
    return in_blocks(
        network, rows, lambda inputs, index: network.decode(network.encode(inputs), groups[index]).cpu()
    ).numpy()


def reconstruction_error(network: nn.Module, rows: Rows, groups: Tensor) -> float:
    """Return L_rec of Eq. 11 over all rows, each by the decoder of its own group; memory does not grow with rows."""

    def errors(inputs: Tensor, index: Tensor) -> Tensor:
        outputs = network.decode(network.encode(inputs), groups[index.to(groups.device)])
        return (outputs - inputs).square().flatten(1).mean(dim=1)

    return float(in_blocks(network, rows, errors).mean())


def autocast(device: torch.device, *, half: bool) -> AbstractContextManager:
    """Compute in bfloat16 where ``half`` is true."""
    # Where not, the caller's own setting must not matter.
    known = half or device.type in ("cpu", "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=half) if known else nullcontext()


def in_blocks(
    network: nn.Module,
    rows: Rows,
    function: Callable[[Tensor, Tensor], Tensor],
    *,
    out: Tensor | None = None,
    tracked: Callable[[Iterator[T]], Iterator[T]] = iter,
) -> Tensor:
    """Return what a function returns for all rows.

    Parameters
    ----------
    network
        What the function computes with.
    rows
        The cells.
    function
        Receives a block of rows, always of one size, and the index of these rows.
    out
        Where to put results; ``None`` makes a tensor for them, on disk if ``rows`` are outside of memory. It may be what
        ``rows`` are read from.
    tracked
        Wraps the iterator over blocks, to show progress.
    """
    network.eval()

    def results_of(block: Tensor, start: int) -> tuple[int, Tensor]:
        inside = torch.arange(BLOCK, device="cpu").clamp_max(len(block) - 1)
        padded = block if len(block) == BLOCK else block[inside.to(block.device)]
        # Not in inference mode, whose results could not be trained on.
        with torch.no_grad(), autocast(padded.device, half=False):
            values = function(padded, start + inside)
        # A copy: of a part, Dask would send the whole padded tensor.
        return start, values if len(block) == BLOCK else values[: len(block)].clone()

    for start, values in tracked(rows.map(results_of, BLOCK)):
        if out is None:
            out = _empty_for(rows, values)
        out[start : start + len(values)] = values
        let_go()
    return out


def _empty_for(rows: Rows, values: Tensor) -> Tensor:
    """Return a tensor for the results of all rows, given those of the first block."""
    shape = (len(rows), *values.shape[1:])
    if isinstance(rows, ChunkedRows) and values.device.type == "cpu" and values.dtype == torch.float32:
        return torch.from_numpy(on_disk(shape))
    return values.new_empty(shape)
