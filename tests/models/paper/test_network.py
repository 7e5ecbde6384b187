from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from scfcmi.models.paper.estimator import FCMI as Paper
from scfcmi.models.paper.network import Architecture, AutoEncoder, FullyConnectedBranches, GroupedBatchNorm
from scfcmi.rows import rows_of


def architecture(**changes) -> Architecture:
    settings = {
        "n_features": 20,
        "n_groups": 3,
        "n_dims": 4,
        "convolutional": False,
        "decoder": "branches",
        "bounded": False,
    }
    return Architecture(**(settings | changes))


def n_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(autouse=True)
def _fixed_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("convolutional", [False, True])
@pytest.mark.parametrize("decoder", ["branches", "shared"])
def test_shapes_and_ranges(decoder, convolutional):
    shape = (1, 28, 28) if convolutional else (20,)
    network = AutoEncoder(architecture(decoder=decoder, convolutional=convolutional, bounded=True, n_features=20))
    inputs, groups = torch.randn(9, *shape), torch.tensor([2, 0, 0, 2, 2, 0, 2, 2, 0])
    codes = network.encode(inputs)
    outputs = network.decode(codes, groups)
    assert codes.shape == (9, 4)
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(9))
    assert outputs.shape == inputs.shape
    assert outputs.abs().max() <= 1
    outputs.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_sizes_of_the_paper():
    network = AutoEncoder(architecture(n_features=561, n_groups=30, n_dims=6))
    linear = [(m.in_features, m.out_features) for m in network.encoder if isinstance(m, nn.Linear)]
    assert linear == [(561, 1024), (1024, 1024), (1024, 512), (512, 256), (256, 6)]
    assert [m.num_features for m in network.encoder if isinstance(m, nn.BatchNorm1d)] == [1024, 1024, 512]
    assert [tuple(m.weight.shape) for m in network.stem if isinstance(m, nn.Linear)] == [(256, 6), (512, 256)]
    branch = 512 * 1024 + 1024 + 2 * 1024 + 1024 * 1024 + 1024 + 2 * 1024 + 1024 * 561 + 561
    assert n_parameters(network.branches) == 30 * branch
    images = AutoEncoder(architecture(convolutional=True, n_groups=2, n_dims=10))
    convolutions = [(m.in_channels, m.out_channels, m.stride[0]) for m in images.encoder if isinstance(m, nn.Conv2d)]
    assert convolutions == [(1, 16, 1), (16, 32, 2), (32, 32, 1), (32, 16, 2)]


def test_cost_of_the_shared_decoder_does_not_grow_with_groups():
    few, many = (n_parameters(AutoEncoder(architecture(decoder="shared", n_groups=n))) for n in (3, 303))
    assert many - few == 300 * 1024


def test_branches_equal_one_decoder_a_group():
    """The batched computation against plain layers, group by group, in training and in inference."""
    branches = FullyConnectedBranches(architecture())
    stem, groups = torch.randn(50, 512), torch.randint(3, (50,))
    plain = []
    for group in range(3):
        layers = []
        for linear, norm in zip(branches.hidden[::2], branches.hidden[1::2], strict=True):
            layer = nn.Linear(linear.weight.shape[1], linear.weight.shape[2])
            layer.weight.data, layer.bias.data = linear.weight[group].T.data, linear.bias[group, 0].data
            layers += [layer, nn.BatchNorm1d(norm.weight.shape[2]), nn.ReLU()]
        output = nn.Linear(1024, 20)
        output.weight.data, output.bias.data = branches.output.weight[group].T.data, branches.output.bias[group, 0].data
        plain.append(nn.Sequential(*layers, output))

    def one_by_one():
        outputs = torch.empty(50, 20)
        for group, decoder in enumerate(plain):
            outputs[groups == group] = decoder(stem[groups == group])
        return outputs

    torch.testing.assert_close(branches(stem, groups), one_by_one(), atol=1e-5, rtol=1e-4)
    branches.eval()
    for decoder in plain:
        decoder.eval()
    torch.testing.assert_close(branches(stem, groups), one_by_one(), atol=1e-5, rtol=1e-4)


def test_order_of_cells_does_not_matter():
    network = AutoEncoder(architecture()).eval()
    codes, groups = torch.randn(30, 4), torch.randint(3, (30,))
    order = torch.randperm(30)
    torch.testing.assert_close(network.decode(codes, groups)[order], network.decode(codes[order], groups[order]))


@pytest.mark.parametrize("decoder", ["branches", "shared"])
def test_groups_are_decoded_differently(decoder):
    network = AutoEncoder(architecture(decoder=decoder)).eval()
    codes = torch.randn(5, 4)
    a, b = (network.decode(codes, torch.full((5,), group)) for group in (0, 1))
    assert (a - b).abs().max() > 1e-3


def test_group_of_one_cell_uses_running_statistics():
    norm = GroupedBatchNorm(2, 3)
    norm.running_mean[1], norm.running_var[1] = 2.0, 4.0
    block = torch.tensor([[[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]], [[4.0, 6.0, 2.0], [0.0, 0.0, 0.0]]])
    out = norm(block, torch.tensor([0, 1]), torch.tensor([2, 1]))
    torch.testing.assert_close(out[1, 0], torch.tensor([1.0, 2.0, 0.0]), atol=1e-4, rtol=1e-4)
    assert (norm.running_mean[1] == 2).all()
    torch.testing.assert_close(norm.running_mean[0], torch.full((1, 3), 0.2))


@pytest.mark.parametrize("decoder", ["branches", "shared"])
def test_a_group_of_one_cell_learns(decoder):
    network = AutoEncoder(architecture(decoder=decoder))
    inputs, groups = torch.randn(8, 20), torch.tensor([0, 0, 0, 0, 0, 0, 0, 2])
    loss = (network.decode(network.encode(inputs), groups) - inputs)[-1].square().mean()
    loss.backward()
    assert network.stem[0].weight.grad.abs().sum() > 0


def test_running_statistics_are_those_of_torch():
    """Two groups, of five cells and of one, which has no variance."""
    X = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)) * 3 + 1
    ours, theirs = GroupedBatchNorm(2, 3).train(), torch.nn.BatchNorm1d(3).train()
    block = torch.stack([X, X + 7])
    outputs = ours(block, torch.tensor([0, 1]), torch.tensor([5, 1]))
    torch.testing.assert_close(outputs[0], theirs(X))
    torch.testing.assert_close(ours.running_mean[0, 0], theirs.running_mean)
    torch.testing.assert_close(ours.running_var[0, 0], theirs.running_var)
    torch.testing.assert_close(ours.running_mean[1, 0], torch.zeros(3))
    torch.testing.assert_close(ours.running_var[1, 0], torch.ones(3))
    torch.testing.assert_close(outputs[1, 0], (X[0] + 7) / (1 + 1e-5) ** 0.5)


@pytest.mark.parametrize(
    ("sizes", "decoder"),
    [([256, 256], "branches"), ([255, 300], "shared"), ([256] * 3, "branches"), ([256] * 4, "shared")],
)
def test_decoder_is_chosen_by_number_and_size_of_groups(sizes, decoder):
    codes = np.repeat(np.arange(len(sizes)), sizes)
    model = Paper(3)
    model.n_features_in_ = 2

    assert model._architecture(rows_of(np.zeros((len(codes), 2), np.float32)), codes).decoder == decoder
