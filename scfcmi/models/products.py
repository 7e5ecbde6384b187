"""Matrix products, and what LAPACK returns, with the same bits for any number of threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.autograd import Function
from torch.nn import functional as F

if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor

# The rounding of one large product depends on how BLAS divides it among threads. In a batch of products, BLAS computes each in
# one thread. So a product is computed as a batch of blocks of so many rows. Wide products are a tenth faster in larger blocks.
_ROWS, _ROWS_IF_WIDE, _WIDE = 128, 256, 128
_PLACES = 16


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return ``left @ right``, shapes (n_rows, n_inner) and (n_inner, n_columns). Gradients are computed in the same way.

    Only in float32 and on a processor. In bfloat16, even a batch of products depends on the number of threads.
    """
    return _Product.apply(left, right) if _divided(left) else left @ right


def _divided(left: Tensor) -> bool:
    return left.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


class _Product(Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(left, right)
        return _by_blocks(left, right)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        left, right = ctx.saved_tensors
        by_left = by_right = None
        if ctx.needs_input_grad[0]:
            by_left = _by_blocks(slope, right.T)
        if ctx.needs_input_grad[1]:
            narrow = right.shape[1] < _WIDE
            by_right = _by_blocks(left.T, slope) if narrow else _by_blocks(slope.T, left).T
        return by_left, by_right


def _by_blocks(left: Tensor, right: Tensor) -> Tensor:
    n_rows = _ROWS_IF_WIDE if min(right.shape) >= _WIDE else _ROWS
    n_blocks = max(2, -(-len(left) // n_rows))
    missing = n_blocks * n_rows - len(left)
    padded = F.pad(left, (0, 0, 0, missing)) if missing else left
    blocks = padded.view(n_blocks, n_rows, -1)
    return torch.bmm(blocks, right.expand(n_blocks, -1, -1)).flatten(0, 1)[: len(left)]


def batched_linear(bias: Tensor, inputs: Tensor, weight: Tensor) -> Tensor:
    """Return linear layers side by side, of shapes (n, 1, n_out), (n, n_cells, n_in) and (n, n_in, n_out)."""
    if len(inputs) > 1:
        return torch.baddbmm(bias, inputs, weight)
    return product(inputs[0], weight[0])[None] + bias


def rounded(values: np.ndarray) -> np.ndarray:
    """Return numbers of about one, rounded to 16 binary places: this hides rounding of LAPACK that depends on threads."""
    return np.ldexp(np.rint(np.ldexp(values, _PLACES)), -_PLACES)


class Linear(nn.Linear):
    """Linear layer computed by :func:`product`."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the layer's outputs, shape (n_cells, n_outputs)."""
        if not _divided(inputs):
            return super().forward(inputs)
        outputs = product(inputs, self.weight.T)
        return outputs if self.bias is None else outputs + self.bias
