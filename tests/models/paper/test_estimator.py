from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from scfcmi import FCMI, metrics
from scfcmi.models.paper import training
from scfcmi.models.paper.composition import composition_imbalance
from scfcmi.models.paper.training import _mini_batches, has_ended
from scfcmi.rows import rows_of

QUICK = {"max_epochs": 8, "warmup_epochs": 2}
unsettled = pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")


def exempted(estimator):
    """Checks that cannot pass, each for a reason; what they are for is tested by test_sparse_equals_dense."""
    reason = "takes whatever has predict_proba for a classifier and reads classifier_tags, which a clusterer has not"
    return {"check_estimator_sparse_array": reason, "check_estimator_sparse_matrix": reason}


@unsettled
@pytest.mark.filterwarnings("ignore:FCMI ignores y:UserWarning")
@parametrize_with_checks(
    [FCMI(n_clusters=3, max_epochs=2, warmup_epochs=1, batch_size=64)], expected_failed_checks=exempted
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_finds_types_and_not_groups(blobs, fitted):
    X, labels, groups = blobs
    assert adjusted_rand_score(labels, fitted.labels_) > 0.95
    assert metrics.batch_leakage(labels, fitted.labels_, groups) < 0.02
    assert fitted.labels_.shape == (240,)
    np.testing.assert_array_equal(fitted.predict(X), fitted.labels_)
    np.testing.assert_array_equal(fitted.transform(X), fitted.embedding_)
    np.testing.assert_allclose(np.linalg.norm(fitted.embedding_, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(fitted.cluster_centers_, axis=1), 1, atol=1e-6)
    proba = fitted.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(proba.argmax(axis=1), fitted.labels_)
    assert proba.dtype == fitted.embedding_.dtype == np.float32


def test_a_cell_does_not_depend_on_its_company(blobs, fitted):
    X = blobs[0]
    whole = fitted.transform(X)
    np.testing.assert_array_equal(np.vstack([fitted.transform(X[i : i + 1]) for i in range(20)]), whole[:20])
    np.testing.assert_array_equal(fitted.transform(X[::-1]), whole[::-1])


def test_sparse_equals_dense(blobs):
    X, _, groups = blobs
    X = np.where(np.abs(X) < 1, 0, X)
    settings = QUICK | {"precision": "float32"}
    dense = FCMI(3, **settings).fit(X, groups=groups)
    for kind in (sp.csr_matrix, sp.csr_array, sp.csc_matrix):
        np.testing.assert_allclose(
            FCMI(3, **settings).fit(kind(X), groups=groups).embedding_, dense.embedding_, atol=1e-6
        )


def test_history(blobs, fitted):
    history = fitted.history_
    assert history.index.tolist() == list(range(1, 31))
    assert fitted.n_iter_ == 30
    sizes = history.filter(like="size_")
    assert (sizes.sum(axis=1) == 240).all()
    assert sizes.iloc[-1].tolist() == np.bincount(fitted.labels_).tolist()
    assert history["changed"].between(0, 1).all()
    np.testing.assert_allclose(
        history["I_X_C_given_G"], history["H_C"] - history["H_C_given_X"] - history["I_G_C"], atol=1e-5
    )
    np.testing.assert_allclose(history["loss"][:10], history["L_rec"][:10])  # warm-up
    after = history[10:]
    np.testing.assert_allclose(after["loss"], after["L_rec"] + 0.04 * after["L_clu"] + 0.2 * after["L_fair"], atol=1e-5)


def test_patience_ends_settled_training(blobs):
    X, labels, groups = blobs
    model = FCMI(3, max_epochs=200, warmup_epochs=5, patience=4).fit(X, groups=groups)
    assert 9 <= model.n_iter_ < 200
    assert (model.history_["changed"].iloc[-4:] <= 0.001).all()
    assert adjusted_rand_score(labels, model.labels_) > 0.95
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_few_epochs_cluster_too(blobs):
    """With a warm-up of twenty, training would end before it."""
    X, _, groups = blobs
    model = FCMI(3, max_epochs=15).fit(X, groups=groups)
    assert model.settings_["warmup_epochs"] == 3
    assert (model.history_["loss"][3:] != model.history_["L_rec"][3:]).all()


def test_composition_of_fewer_cells_than_components():
    rng = np.random.default_rng(0)
    rows = rows_of(rng.normal(size=(24, 5001)).astype(np.float32))
    assert 0 <= composition_imbalance(rows, np.arange(24) % 2, 3) <= 1


@unsettled
def test_without_chance_correction_the_loss_is_the_paper_s(blobs):
    X, _, groups = blobs
    corrected, paper = (
        FCMI(3, chance_correction=c, **QUICK).fit(X, groups=groups).history_.iloc[-1] for c in (True, False)
    )
    np.testing.assert_allclose(paper["loss"], paper["L_rec"] + 0.04 * paper["L_clu"] + 0.2 * paper["L_fair"], atol=1e-6)
    assert corrected["L_fair"] < paper["L_fair"]


@unsettled
def test_every_weight_reaches_its_term(blobs):
    X, _, groups = blobs
    row = FCMI(3, alpha=0.3, beta=0.5, balance=0.0, **QUICK).fit(X, groups=groups).history_.iloc[-1]
    h_c_given_x = (row["loss"] - row["L_rec"] - 0.5 * row["L_fair"]) / 0.3
    assert h_c_given_x > 0  # an entropy; with balance it would be L_clu, below zero here
    assert row["L_clu"] < 0


@unsettled
@pytest.mark.parametrize("groups", [None, "constant"])
def test_one_group_is_plain_clustering(blobs, groups):
    X, labels, _ = blobs
    model = FCMI(3, max_epochs=30, warmup_epochs=10).fit(X, groups=None if groups is None else ["a"] * 240)
    assert adjusted_rand_score(labels, model.labels_) > 0.9
    assert len(model.groups_) == 1
    np.testing.assert_allclose(model.history_["I_G_C"], 0, atol=1e-5)


@unsettled
@pytest.mark.parametrize("decoder", ["branches", "shared"])
def test_absent_and_tiny_groups_and_a_rest_of_one_cell(blobs, decoder):
    X = blobs[0][:129]
    groups = np.array(["big"] * 100 + ["one"] + ["few"] * 28)
    model = FCMI(3, decoder=decoder, batch_size=16, **QUICK).fit(X, groups=groups)
    assert np.isfinite(model.embedding_).all()
    assert model.decoder_ == decoder
    assert FCMI(2, batch_size=2, **QUICK).fit(X[:3], groups=[0, 1, 1]).labels_.shape == (3,)


def test_decoder_is_chosen_by_number_and_size_of_groups(blobs):
    X = np.repeat(blobs[0], 3, axis=0)
    few = np.repeat([0, 1], 360)
    many = np.arange(720) % 20
    one_epoch = {"max_epochs": 1, "warmup_epochs": 1}
    with pytest.warns(ConvergenceWarning):
        assert FCMI(3, **one_epoch).fit(X, groups=few).decoder_ == "branches"
    with pytest.warns(ConvergenceWarning):
        assert FCMI(3, **one_epoch).fit(X, groups=many).decoder_ == "shared"


@unsettled
def test_same_seed_same_labels_and_nothing_global(blobs):
    X, _, groups = blobs
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    threads = torch.get_num_threads()
    a, b = (FCMI(3, random_state=5, **QUICK).fit(X, groups=groups) for _ in range(2))
    np.testing.assert_array_equal(a.embedding_, b.embedding_)
    c = FCMI(3, random_state=6, **QUICK).fit(X, groups=groups)
    assert not np.array_equal(a.embedding_, c.embedding_)
    assert torch.equal(torch_state, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_state[1], np.random.get_state()[1])  # noqa: NPY002
    assert torch.get_num_threads() == threads
    assert torch.get_default_dtype() == torch.float32


@unsettled
def test_random_states_of_every_kind(blobs):
    X, _, groups = blobs
    for state in (np.random.default_rng(0), np.random.RandomState(0), None, np.int64(3)):
        FCMI(3, random_state=state, **QUICK).fit(X, groups=groups)


@unsettled
def test_images_choose_the_convolutional_network():
    rng = np.random.default_rng(0)
    images = np.full((60, 1, 28, 28), -1, dtype=np.float32)
    labels = np.arange(60) % 2
    images[labels == 0, :, :14] = 1
    images[labels == 1, :, :, :14] = 1
    images += rng.normal(size=images.shape).astype(np.float32) * 0.05
    images = images.clip(-1, 1)
    groups = np.arange(60) // 30
    images[groups == 1] *= -1
    model = FCMI(2, max_epochs=12, warmup_epochs=6, batch_size=16).fit(images, groups=groups)
    assert model.n_features_in_ == 784
    assert model.transform(images).shape == (60, 2)
    assert model.reconstruct(images, 1 - groups).shape == images.shape
    assert np.abs(model.reconstruct(images, groups)).max() <= 1
    with pytest.raises(ValueError, match=r"fitted on images of shape \(n_cells, 1, 28, 28\)"):
        model.predict(images.reshape(60, -1))
    with pytest.raises(ValueError, match="Images must be of shape"):
        FCMI(2).fit(np.zeros((5, 28, 28)))


def test_reconstruct_follows_the_group(blobs, fitted):
    X, _, groups = blobs
    own, other = fitted.reconstruct(X, groups), fitted.reconstruct(X, 1 - groups)
    assert own.shape == X.shape
    assert ((own - X) ** 2).mean() < ((other - X) ** 2).mean()


@unsettled
def test_groups_given_as_y_warn(blobs):
    X, _, groups = blobs
    with pytest.warns(UserWarning, match="FCMI ignores y"):
        model = FCMI(3, **QUICK).fit(X, groups)
    assert len(model.groups_) == 1


def test_a_failed_fit_is_no_fit(blobs, monkeypatch):
    X, _, groups = blobs

    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_describe", interrupt)
    model = FCMI(3, **QUICK)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, groups=groups)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_unsettled_training_warns(blobs):
    X = np.random.default_rng(0).normal(size=(200, 10))
    with pytest.warns(ConvergenceWarning, match="Raise max_epochs"):
        FCMI(8, max_epochs=1, warmup_epochs=1).fit(X)


def test_divergence_is_an_error(blobs):
    X, _, groups = blobs
    with pytest.raises(FloatingPointError, match="Lower learning_rate"):
        FCMI(3, learning_rate=1e18, precision="float32", max_epochs=5, warmup_epochs=1).fit(X * 1e13, groups=groups)


@unsettled
def test_progress_bar_only_where_wanted(blobs, capsys):
    X, _, groups = blobs
    FCMI(3, **QUICK).fit(X, groups=groups)  # pytest's standard error is no terminal
    assert capsys.readouterr() == ("", "")
    FCMI(3, progress=False, **QUICK).fit(X, groups=groups)
    assert capsys.readouterr() == ("", "")
    FCMI(3, progress=True, **QUICK).fit(X, groups=groups)
    assert "loss=" in capsys.readouterr().err


@unsettled
def test_bfloat16_keeps_outputs_in_float32(blobs):
    X, labels, groups = blobs
    # Few epochs: an epoch takes five seconds on processors without such numbers.
    model = FCMI(3, precision="bfloat16", max_epochs=3, warmup_epochs=1).fit(X, groups=groups)
    assert model.precision_ == "bfloat16"
    assert model.embedding_.dtype == np.float32
    assert adjusted_rand_score(labels, model.labels_) > 0.9


@unsettled
def test_callbacks_are_told_of_every_epoch(blobs):
    X, _, groups = blobs
    seen = []
    model = FCMI(3, callbacks=[seen.append], **QUICK).fit(X, groups=groups)
    assert [epoch.number for epoch in seen] == list(range(1, 9))
    np.testing.assert_array_equal(seen[-1].labels, model.labels_)
    np.testing.assert_array_equal(seen[-1].codes(), model.embedding_)
    assert seen[0].history["loss"] == model.history_["loss"].iloc[0]


def test_mini_batches_are_even_and_drawn_anew():
    of = lambda seed, epoch, n_cells=10, size=4: [
        index.tolist() for index in _mini_batches(n_cells, SimpleNamespace(seed=seed, batch_size=size), epoch)
    ]
    assert [len(index) for index in of(0, 0)] == [4, 3, 3]
    assert sorted(np.concatenate(of(0, 0))) == list(range(10))
    assert of(0, 0) == of(0, 0)
    assert of(0, 0) != of(0, 1)
    assert of(0, 0) != of(1, 0)
    # None is of one cell.
    assert [len(index) for index in of(0, 0, 3, 2)] == [3]


@pytest.mark.parametrize(
    ("epoch", "changed", "ended"),
    [(20, [1, 1], True), (8, [0, 0], False), (9, [0, 0.0011, 0, 0, 0], False), (9, [1, 0.001, 0, 0, 0], True)],
)
def test_training_ends_after_settled_epochs(epoch, changed, ended):
    """Four in a row, after five of warm-up."""
    settings = SimpleNamespace(max_epochs=20, warmup_epochs=5, patience=4)
    progress = SimpleNamespace(epoch=epoch, history=[{"changed": share} for share in changed])
    assert has_ended(progress, settings) is ended
    assert has_ended(progress, SimpleNamespace(max_epochs=20, warmup_epochs=5, patience=None)) is (epoch == 20)


@pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")
def test_what_half_precision_hands_out_is_exact(blobs):
    X, _, groups = blobs
    model = FCMI(3, precision="bfloat16", max_epochs=1, warmup_epochs=0).fit(X[:60], groups=groups[:60])
    np.testing.assert_array_equal(model.transform(X[:60]), model.embedding_)
    np.testing.assert_array_equal(model.predict(X[:60]), model.labels_)
