from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scfcmi import AtlasFCMI
from scfcmi.models.atlas import training


def test_cells_without_counterparts_count_as_zero(monkeypatch):
    """L_agr is the mean over all cells, and not over those that have counterparts."""
    cells = torch.nn.functional.normalize(torch.randn(1, 8, 4, generator=torch.Generator().manual_seed(0)), dim=2)
    network = SimpleNamespace(encode_views=lambda x: x, decode_views=lambda x, _: x)
    found = SimpleNamespace(share=0.25, draw=lambda n, _: (np.zeros(n, int), np.ones(n, int)))
    matched, neighbors = training._Matched(cells, [found]), training._Neighbors(cells, np.zeros((1, 8, 3), int))
    rng = np.random.default_rng(0)
    loss, _, agreement, smoothness = training._terms(network, cells, None, matched, neighbors, rng, 4.0)
    expected = 0.25 * (1 - (cells[0, 0] * cells[0, 1]).sum())
    torch.testing.assert_close(agreement, expected)
    torch.testing.assert_close(loss, 4 * expected)
    # These codes are the components: nothing moved.
    assert smoothness < 1e-12


def test_neighbors_are_of_the_same_group():
    """Of the definition, in plain numpy; a group of one cell has itself, one of three has each several times."""
    rng = np.random.default_rng(0)
    components = rng.normal(size=(2, 84, 5)).astype(np.float32)
    groups = rng.permutation(np.repeat([0, 1, 2], [80, 1, 3]))
    found = training._find_neighbors(torch.from_numpy(components), groups).of_cells
    assert found.shape == (2, 84, 15)
    assert (groups[found] == groups[:, None]).all()
    for view, of_cells in zip(components, found, strict=True):
        units = view / np.linalg.norm(view, axis=1, keepdims=True)
        cosines = np.where(groups[:, None] == groups, units @ units.T, -2)
        for cell, neighbors in enumerate(of_cells):
            n_distinct = min(15, np.sum(groups == groups[cell]))
            assert set(neighbors) == set(np.argsort(-cosines[cell])[:n_distinct])


@pytest.mark.parametrize("further", [0.0, 2.0])
def test_neighbors_that_move_differently_cost_something(further):
    """All cells move by the same, but for one of the fifteen neighbors of each cell."""
    cells = torch.nn.functional.normalize(torch.randn(1, 40, 4, generator=torch.Generator().manual_seed(0)), dim=2)
    is_third = lambda x: (x == cells[:, 3:4]).all(dim=2, keepdim=True)
    network = SimpleNamespace(encode_views=lambda x: x + 0.5 + further * is_third(x), decode_views=lambda *_: cells)
    found = SimpleNamespace(share=0.5, draw=lambda n, _: (np.zeros(n, int), np.zeros(n, int)))
    matched = training._Matched(cells, [found])
    neighbors = training._Neighbors(cells, np.tile(np.arange(15), (1, 40, 1)))
    values, rng = [], np.random.default_rng(0)
    for _ in range(200):
        loss, reconstruction, agreement, smoothness = training._terms(
            network, cells, None, matched, neighbors, rng, 4.0
        )
        torch.testing.assert_close(loss, reconstruction + 4 * agreement + smoothness / 2)
        values.append(smoothness.item())
    # One of the two is the third in 1/15 + 1/40 of the pairs, but for both in 1/600.
    expected = (1 / 15 + 1 / 40 - 2 / 600) * 4 * further**2 / 2
    assert np.mean(values) == pytest.approx(expected, rel=0.1, abs=1e-10)


def test_mini_batches_are_drawn_anew_in_each_epoch_and_view(blobs, monkeypatch):
    X, _, groups = blobs
    seen, losses, terms = [], [], training._terms

    def noted(network, part, *rest):
        seen.append(part.clone())
        losses.append(terms(network, part, *rest))
        return losses[-1]

    monkeypatch.setattr(training, "_terms", noted)
    history = AtlasFCMI(3, max_epochs=2, batch_size=60).fit(X, groups=groups).history_
    # The table has the mean over mini-batches.
    for column, values in zip(("loss", "L_rec", "L_agr", "L_smooth"), zip(*losses, strict=True), strict=True):
        assert history[column].iloc[0] == pytest.approx(sum(value.item() for value in values[:4]) / 4, rel=1e-5)
    assert len(seen) == 2 * 4
    for view in range(2):
        first, second = (torch.cat([part[view] for part in seen[start : start + 4]]) for start in (0, 4))
        assert not torch.equal(first, second)
        # All cells, in another order.
        torch.testing.assert_close(first.sum(dim=1).sort()[0], second.sum(dim=1).sort()[0])
    # Components of one's own do not depend on the seed, but the order does.
    firsts = []
    for seed in range(2):
        seen.clear()
        AtlasFCMI(3, n_components=None, max_epochs=1, batch_size=60, random_state=seed).fit(X, groups=groups)
        firsts.append(seen[0])
    assert not torch.equal(*firsts)


def test_the_last_shift_is_that_since_the_last_search(blobs):
    X, _, groups = blobs
    history = AtlasFCMI(3, max_epochs=10, batch_size=24).fit(X, groups=groups).history_["code_shift"]
    # Nothing has moved before the first search; later, codes move less and less.
    assert history.iloc[0] == 0
    assert history.iloc[-1] != history.iloc[-2]
    assert (history.iloc[2:] > 0).all()


def test_decoders_are_trained_on_codes(blobs, monkeypatch):
    X, _, groups = blobs
    model = AtlasFCMI(3, max_epochs=3).fit(X, groups=groups)
    seen, decode = [], type(model._network).decode_views
    monkeypatch.setattr(training, "_DECODER_STEPS", 1)
    monkeypatch.setattr(
        type(model._network),
        "decode_views",
        lambda self, codes, groups: seen.append(codes) or decode(self, codes, groups),
    )
    before = {name: value.clone() for name, value in model._network.state_dict().items()}
    model.prepare_decoding()
    torch.testing.assert_close(seen[0].norm(dim=2), torch.ones(seen[0].shape[:2]))
    changed = {
        name.split(".")[0]
        for name, value in model._network.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"decoder"}


def test_few_mini_batches_never_settle(blobs):
    X, _, groups = blobs
    for max_epochs, settled in ((49, False), (50, True)):
        model = AtlasFCMI(3, learning_rate=1e-9, max_epochs=max_epochs).fit(X, groups=groups)
        assert model.history_["code_shift"].iloc[-1] < 1e-6
        assert model.settings_["settled"] is settled


def test_decoders_learn_the_final_codes(blobs):
    """After one mini-batch they know next to nothing; three hundred more halve the error."""
    X, _, groups = blobs
    model = AtlasFCMI(3, max_epochs=1).fit(X, groups=groups)
    training, model._decoder_training = model._decoder_training, None
    before = np.square(model.reconstruct(X, groups) - X).mean()
    model._decoder_training = training
    assert np.square(model.reconstruct(X, groups) - X).mean() < before / 2
