"""The deep baselines, shortened: networks of the reference's size would take minutes a test."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from scfcmi import metrics
from scfcmi.baselines import (
    DEEP,
    METHODS,
    TWO_GROUPS_ONLY,
    _clustergan,
    _dac,
    _deep,
    _dfdc,
    ae_kmeans,
    dac,
    dec,
    dfdc,
    kmeans,
    pretrain_autoencoder,
    towards,
)

STARTS_FROM_AUTOENCODER = {"ae_kmeans", "dec", "towards"}
SMALL = (128, 128, 10)
# Enough to tell learning from none; the defaults are the references'.
SHORT = {
    "ae_kmeans": {},
    "dec": {"max_epochs": 30},
    "dac": {"max_epochs": 20},
    "clustergan": {"max_epochs": 20},
    "towards": {"max_epochs": 30},
    "dfc": {"max_epochs": 10, "pretrain_epochs": 5},
    "dfdc": {"max_epochs": 20},
}


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch):
    for module in (_dac, _dfdc):
        monkeypatch.setattr(module, "_WIDTHS", (200, 200))
    monkeypatch.setattr(_clustergan, "_WIDTHS", (128, 128))
    monkeypatch.setattr(_clustergan, "_RATE", 1e-3)


def shortened(name, autoencoder):
    return SHORT[name] | ({"autoencoder": autoencoder} if name in STARTS_FROM_AUTOENCODER else {})


@pytest.fixture(scope="module")
def small(inverse_digits):
    return pretrain_autoencoder(inverse_digits[0], 3, epochs=30, widths=SMALL)


@pytest.fixture(scope="module")
def plain(digits):
    return pretrain_autoencoder(digits[0], 3, epochs=60, widths=SMALL)


@pytest.fixture(scope="module")
def of_cells(cells):
    return pretrain_autoencoder(cells[0], 3, epochs=30, widths=SMALL)


@pytest.fixture
def of_blobs(blobs):
    return pretrain_autoencoder(blobs[0], 3, epochs=30, widths=SMALL)


@pytest.mark.parametrize("name", sorted(DEEP))
def test_digits_and_their_inverse(name, inverse_digits, small):
    X, labels, groups = inverse_digits
    settings = shortened(name, small)
    found = METHODS[name](X, groups, 10, 3, **settings)
    assert found.shape == (len(X),)
    assert found.dtype == np.int32
    assert set(found) <= set(range(10))
    assert len(set(found)) > 7
    assert np.array_equal(METHODS[name](X, groups, 10, 3, **settings), found)
    # Labels drawn at random have 0.01; k-means, which splits each class by group, has 0.48. ClusterGAN has learned
    # little so soon; the reference makes 500,000 steps.
    assert metrics.nmi(labels, found) > (0.2 if name == "clustergan" else 0.3)


@pytest.mark.parametrize("name", sorted(DEEP))
def test_cells_of_three_chemistries(name, cells, of_cells):
    X, labels, groups = cells
    if name in TWO_GROUPS_ONLY:
        with pytest.raises(ValueError, match=r"serves two groups only, got 3"):
            METHODS[name](X, groups, 8)
        two = np.flatnonzero(groups != groups[0])
        X, labels, groups = X[two], labels[two], groups[two]
    found = METHODS[name](X, groups, 8, **shortened(name, of_cells))
    # Labels drawn at random have 0.06. DAC wants clusters of one size; there are 168 T cells and one megakaryocyte.
    assert metrics.nmi(labels, found) > (0.25 if name == "dac" else 0.35)


@pytest.mark.parametrize("name", sorted(DEEP))
def test_leaves_everything_alone(name, blobs, of_blobs):
    X, labels, groups = blobs
    before, state, torch_state = X.copy(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    weights = [weight.clone() for weight in of_blobs.parameters()]
    found = METHODS[name](X, groups, 3, np.random.default_rng(1), **shortened(name, of_blobs))
    assert metrics.nmi(labels, found) > 0.7
    assert np.array_equal(X, before)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert all(torch.equal(a, b) for a, b in zip(weights, of_blobs.parameters(), strict=True))


@pytest.mark.parametrize("name", sorted(DEEP))
def test_sparse_and_images_are_as_dense(name, blobs, of_blobs):
    X, _, groups = blobs
    settings = shortened(name, of_blobs)
    found = METHODS[name](X, groups, 3, **settings)
    assert np.array_equal(METHODS[name](sp.csr_matrix(X), groups, 3, **settings), found)
    assert np.array_equal(METHODS[name](X.reshape(-1, 4, 5), groups, 3, **settings), found)


@pytest.mark.parametrize("name", sorted(DEEP))
def test_wrong_input(name, blobs):
    X, _, groups = blobs
    method = METHODS[name]
    with pytest.raises(ValueError, match="groups has 239 entries for 240 cells"):
        method(X, groups[1:], 3)
    with pytest.raises(ValueError, match="at most the number of cells, 240, got 241"):
        method(X, groups, 241)
    with pytest.raises(ValueError, match="X contains NaN"):
        method(np.full_like(X, np.nan), groups, 3)
    with pytest.raises(ValueError, match="random_state must be"):
        method(X, groups, 3, -1)
    with pytest.raises(ValueError, match="max_epochs must be at least 1, got 0"):
        method(X, groups, 3, max_epochs=0)


@pytest.mark.parametrize("name", sorted(STARTS_FROM_AUTOENCODER))
def test_autoencoder_of_other_data(name, blobs, of_blobs):
    with pytest.raises(ValueError, match="autoencoder was trained on 20 features, X has 19"):
        METHODS[name](blobs[0][:, 1:], blobs[2], 3, autoencoder=of_blobs)


def test_given_autoencoder_is_the_one_trained_inside(blobs):
    X, _, groups = blobs
    given = pretrain_autoencoder(X, 5, epochs=3)
    for method, settings in ((ae_kmeans, {"max_epochs": 3}), (dec, {"max_epochs": 2, "pretrain_epochs": 3})):
        inside = method(X, groups, 3, 5, **settings)
        assert np.array_equal(method(X, groups, 3, 5, autoencoder=given, **settings), inside)


def test_autoencoder_beats_the_components_of_as_many_dimensions(digits, plain):
    X = plain.prepare(digits[0])
    left = (plain.decoder(_deep.evaluate(plain.encoder, X)) - X).square().mean().item()
    values = np.linalg.svd(X.numpy() - X.numpy().mean(axis=0), compute_uv=False)
    assert left < np.square(values[10:]).sum() / X.numel()


def test_dec_improves_on_kmeans_of_the_code(digits, plain):
    X, labels = digits
    groups = ["a"] * len(X)
    found = dec(X, groups, 10, 3, max_epochs=100, autoencoder=plain)
    assert metrics.nmi(labels, found) > metrics.nmi(labels, ae_kmeans(X, groups, 10, 3, autoencoder=plain))
    assert metrics.nmi(labels, found) > metrics.nmi(labels, kmeans(X, groups, 10, 3))


def test_target_is_that_of_the_paper():
    soft = np.random.default_rng(0).dirichlet(np.ones(4), 30)
    sharp = np.array([[q**2 / soft[:, j].sum() for j, q in enumerate(row)] for row in soft])
    found = _deep.target(torch.from_numpy(soft)).numpy()
    assert np.allclose(found, sharp / sharp.sum(axis=1, keepdims=True))
    assert (found.max(axis=1) >= soft.max(axis=1)).mean() > 0.9


def test_gradients_are_those_of_the_paper():
    """Equations 4 and 5 of Xie et al., which autograd knows nothing of."""
    rng = np.random.default_rng(0)
    codes = torch.tensor(rng.normal(size=(40, 3)), requires_grad=True)
    centers = torch.tensor(rng.normal(size=(5, 3)), requires_grad=True)
    soft = _deep.student(codes, centers)
    goal = _deep.target(soft).detach()
    _deep.divergence(goal, soft).backward()
    apart = (codes[:, None] - centers).detach()
    pull = 2 * ((goal - soft) / (1 + apart.square().sum(-1))).detach()[:, :, None] * apart
    # The paper's loss is a sum over cells, ours their mean.
    assert torch.allclose(codes.grad, pull.sum(dim=1) / 40)
    assert torch.allclose(centers.grad, -pull.sum(dim=0) / 40)


def test_dec_is_as_good_as_that_of_clustpy(digits):
    clustpy = pytest.importorskip("clustpy.deep", reason="ClustPy is not installed: no other DEC to compare with")
    X, labels = digits
    theirs = clustpy.DEC(10, pretrain_epochs=50, clustering_epochs=50, random_state=0).fit(X.astype(np.float32))
    ours = dec(X, ["a"] * len(X), 10, pretrain_epochs=50, max_epochs=50)
    assert abs(metrics.nmi(labels, ours) - metrics.nmi(labels, theirs.dec_labels_)) < 0.1


def test_dac_learns_from_pairs(digits):
    X, labels = digits
    untrained = _deep.build(lambda: _dac._network(X.shape[1], 10), 3)
    x = _deep.to_tensor(X - X.mean(axis=0))
    first = _deep.evaluate(untrained, x)
    # Too many pairs alike at first would end in a single cluster.
    assert (_dac._cosines(first) > 0.9).float().mean() < 0.4
    assert metrics.nmi(labels, first.argmax(dim=1).numpy()) < 0.3
    assert metrics.nmi(labels, dac(X, ["a"] * len(X), 10, 3, max_epochs=40)) > 0.5


def test_perturbed_cells_of_dac():
    batch = _dac._perturbed(torch.full((1000, 50), 3.0), torch.Generator().manual_seed(0))
    dropped = batch.abs() < 1
    assert dropped.float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert batch[~dropped].mean().item() == pytest.approx(3, abs=0.01)
    assert batch[~dropped].std().item() == pytest.approx(0.05, rel=0.02)


@pytest.fixture
def trained_gan(blobs):
    """Cells between -1 and 1, what ClusterGAN makes of them, and the code that this was made of."""
    x = _deep.to_tensor(blobs[0] / np.abs(blobs[0]).max())
    generator, encoder = _clustergan._trained(x, 3, 3, 300)
    with torch.no_grad():
        code, clusters = _clustergan._code(3, 64, torch.Generator().manual_seed(0))
        made = generator(code)
        return x, made, clusters, encoder(made)[:, _clustergan._NOISE_DIMS :]


def test_clustergan_makes_cells_like_the_real_ones_and_finds_their_code(trained_gan, blobs):
    x, made, clusters, logits = trained_gan
    assert (logits.argmax(dim=1) == clusters).all()
    apart = torch.cdist(made, x)
    assert apart.amin(dim=1).mean() < 0.5 * torch.cdist(x, x).mean()
    # Each of the three is made by one code.
    assert metrics.nmi(blobs[1][apart.argmin(dim=1)], clusters.numpy()) > 0.9


def test_loss_of_the_critic_of_clustergan():
    """Loss and gradients are those of the gradient of a gradient."""
    draws = torch.Generator().manual_seed(0)
    real, made = torch.randn(64, 5, generator=draws), torch.randn(64, 5, generator=draws)
    critic = _deep.build(lambda: _deep.mlp((5, 8, 7, 1), leak=0.2), 0)
    state = draws.get_state()
    loss = _clustergan._critic_loss(critic, real, made, draws)
    found = torch.autograd.grad(loss, critic.parameters())

    draws.set_state(state)
    between = made.lerp(real, torch.rand(64, 1, generator=draws)).requires_grad_()
    slope = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0]
    by_hand = (critic(made) - critic(real)).mean() + 10 * (slope.norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(loss, by_hand)
    for one, other in zip(found, torch.autograd.grad(by_hand, critic.parameters()), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_towards_makes_clusters_depend_less_on_groups(inverse_digits, small):
    X, _, groups = inverse_digits
    without, with_fairness = (
        metrics.nmi(groups, towards(X, groups, 10, 3, max_epochs=30, autoencoder=small, fairness=fairness))
        for fairness in (0, 100)
    )
    assert with_fairness < 0.95 * without


@pytest.mark.parametrize(("name", "setting"), [("towards", "fairness"), ("dfdc", "fairness"), ("dfc", "structure")])
def test_negative_weight(name, setting, blobs, of_blobs):
    with pytest.raises(ValueError, match=f"{setting} must be finite and at least 0"):
        METHODS[name](blobs[0], blobs[2], 3, **shortened(name, of_blobs), **{setting: -1})


def test_dfdc_is_fair_by_its_fair_labels(inverse_digits):
    X, _, groups = inverse_digits
    without, with_fairness = (
        metrics.mnce(dfdc(X, groups, 10, 3, max_epochs=30, fairness=fairness), groups) for fairness in (0, 1)
    )
    assert without < 0.3
    assert with_fairness > 0.8


def test_critic_of_dfc_makes_clusters_depend_less_on_groups(inverse_digits):
    X, _, groups = inverse_digits
    # At the default rate fifty steps move little.
    settings = {"max_epochs": 50, "pretrain_epochs": 5, "learning_rate": 1e-3}
    without, with_critic = (
        metrics.nmi(groups, METHODS["dfc"](X, groups, 10, 3, fairness=fairness, **settings)) for fairness in (0, 1000)
    )
    assert with_critic < 0.7 * without


def test_dfc_needs_as_many_cells_of_each_group_as_clusters(blobs):
    with pytest.raises(ValueError, match=r"The smaller group has 2 cells. It needs as many as clusters, n_clusters=3"):
        METHODS["dfc"](blobs[0], np.arange(240) < 2, 3)


def test_perturbation_is_worse_than_one_at_random():
    generator = torch.Generator().manual_seed(0)
    network = _deep.build(lambda: _deep.mlp((20, 50, 4), batch_norm=True), 0)
    x = torch.randn(100, 20, generator=generator)
    before = {name: value.clone() for name, value in network.named_buffers()}
    with torch.no_grad():
        logits = network(x)
    after_inputs = {name: value.clone() for name, value in network.named_buffers()}
    worst = _dfdc._roughness(network, x, logits, torch.full((100, 1), 0.5), generator).item()
    assert all(torch.equal(value, after_inputs[name]) for name, value in network.named_buffers())
    assert any(not torch.equal(value, after_inputs[name]) for name, value in before.items())
    step = torch.nn.functional.normalize(torch.randn(x.shape, generator=generator), dim=1) * 0.5
    with torch.no_grad():
        at_random = _deep.divergence(logits.softmax(1), network(x + step).softmax(1)).item()
    assert worst > 2 * at_random


@pytest.mark.parametrize("n_cells", [2, 256, 257, 258, 600])
def test_batches_hold_every_cell_once_and_never_one_alone(n_cells):
    parts = list(_deep.batches(n_cells, 256, torch.Generator()))
    assert sorted(torch.cat(parts).tolist()) == list(range(n_cells))
    assert min(map(len, parts)) > 1


@pytest.mark.parametrize("name", sorted(SHORT))
def test_what_the_caller_has_told_torch_does_not_matter(name, blobs):
    X, _, groups = blobs
    settings = {"max_epochs": 2} | ({"pretrain_epochs": 2} if name in {"dec", "towards", "dfc"} else {})
    expected = METHODS[name](X, groups, 3, **settings)
    for told in (torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), torch.device("meta")):
        with told:
            np.testing.assert_array_equal(METHODS[name](X, groups, 3, **settings), expected)
    torch.set_default_dtype(torch.float64)
    try:
        np.testing.assert_array_equal(METHODS[name](X, groups, 3, **settings), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_groups_of_a_data_frame_are_matched_by_name(blobs):
    X, _, groups = blobs
    frame, groups = pd.DataFrame(X).rename(str), pd.Series(groups).rename(str)
    expected = dfdc(frame, groups, 3, max_epochs=5)
    np.testing.assert_array_equal(dfdc(frame, groups.sample(frac=1, random_state=0), 3, max_epochs=5), expected)
