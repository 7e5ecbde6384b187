"""Matrix products with the same bits for any number of threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

# BLAS divides the columns of one product among threads. Columns at the edge of a part are rounded in another way. This was seen
# in products narrower than this. In a batch of products, BLAS computes each product in one thread.
_NARROW, _BLOCK = 128, 128


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return ``left @ right``, shapes (n_rows, n_inner) and (n_inner, n_columns). Gradients are computed in the same way."""
    if min(right.shape) >= _NARROW:
        return left @ right
    n_blocks = max(2, -(-len(left) // _BLOCK))
    padded = F.pad(left, (0, 0, 0, n_blocks * _BLOCK - len(left)))
    blocks = padded.view(n_blocks, _BLOCK, -1)
    return torch.bmm(blocks, right.expand(n_blocks, -1, -1)).flatten(0, 1)[: len(left)]


def batched_linear(bias: Tensor, inputs: Tensor, weight: Tensor) -> Tensor:
    """Return linear layers side by side, of shapes (n, 1, n_out), (n, n_cells, n_in) and (n, n_in, n_out)."""
    if len(inputs) > 1:
        return torch.baddbmm(bias, inputs, weight)
    return product(inputs[0], weight[0])[None] + bias


class Linear(nn.Linear):
    """Linear layer computed by :func:`product`."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the layer's outputs, shape (n_cells, n_outputs)."""
        if min(self.weight.shape) >= _NARROW:
            return super().forward(inputs)
        return product(inputs, self.weight.T) + self.bias
