from __future__ import annotations

import pytest
import torch

from scfcmi.models.products import Linear, batched_linear, product

# Widths at which a BLAS was seen to round otherwise with two threads.
NARROW = (1, 5, 9, 20, 24, 40, 70, 100, 127)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def with_gradients(function, *tensors: torch.Tensor) -> list[torch.Tensor]:
    tensors = [tensor.clone().requires_grad_() for tensor in tensors]
    result = function(*tensors)
    (result * drawn(*result.shape)).sum().backward()
    return [result.detach(), *(tensor.grad for tensor in tensors)]


@pytest.mark.parametrize("n_rows", [1, 77, 512])
@pytest.mark.parametrize("shape", [(256, 9), (9, 256), (300, 200)])
def test_product_is_the_product(n_rows, shape):
    left, right = drawn(n_rows, shape[0]), drawn(*shape)
    for ours, plain in zip(
        with_gradients(product, left, right), with_gradients(torch.matmul, left, right), strict=True
    ):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("width", NARROW)
def test_another_number_of_threads_gives_the_same_bits(width):
    n_threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            out = with_gradients(product, drawn(400, 256), drawn(256, width))
            into = with_gradients(product, drawn(400, width), drawn(width, 256))
            one_layer = with_gradients(batched_linear, drawn(1, 1, width), drawn(1, 400, 256), drawn(1, 256, width))
            found.append([*out, *into, *one_layer])
    finally:
        torch.set_num_threads(n_threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("width", [9, 200])
def test_layer_is_torchs_layer(width):
    layer, inputs = Linear(256, width), drawn(400, 256)
    torch.testing.assert_close(layer(inputs), torch.nn.Linear.forward(layer, inputs), rtol=1e-4, atol=1e-4)
    assert sum(p.numel() for p in layer.parameters()) == 257 * width
