from __future__ import annotations

import sys
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from scfcmi.benchmark import _figures, _runner
from scfcmi.benchmark._figures import ALPHAS, BETAS, VARIANTS, Setting

pytestmark = pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")


@pytest.fixture
def digits(tmp_path):
    """200 digits, every other one inverted."""
    X, labels = load_digits(return_X_y=True)
    X, groups = X[:200] / 16, np.arange(200) % 2
    X = np.where(groups[:, None] == 1, 1 - X, X).astype(np.float32)
    obs = pd.DataFrame({"group": groups.astype(str), "label": labels[:200].astype(str)})
    obs.index = obs.index.astype(str)
    ad.AnnData(X, obs=obs).write_h5ad(tmp_path / "digits.h5ad")
    return str(tmp_path / "digits.h5ad")


@pytest.fixture
def made(monkeypatch):
    """Runs that are not made: metrics that tell their method, and a history."""
    jobs = []

    def record(job, folder, *_):
        jobs.append(job.method)
        history = pd.DataFrame({"I_X_C_given_G": [0.1, 0.2], "I_G_C": [0.0, 0.1]}, index=pd.Index([1, 2], name="epoch"))
        history.to_csv(folder / "histories" / f"{job.name}.csv")
        names = ("accuracy", "nmi", "balance", "mnce", "f_beta", "batch_leakage")
        return {"status": "done", **dict.fromkeys(names, len(jobs) / 100)}

    monkeypatch.setattr(_runner, "_record", record)
    return jobs


def quiet(_):
    """Say nothing."""


def test_ablation_and_information(digits, made, tmp_path):
    setting = Setting(tmp_path, digits, epochs=2)
    table = _figures.ablation(setting, quiet)
    assert list(table.index) == list(VARIANTS)
    assert (table.loc["L_fair"] == 100 * (1 + made.index(VARIANTS["L_fair"])) / 100).all()
    n_made = len(made)
    lines = _figures.information(setting, quiet)
    assert len(made) == n_made
    assert lines.groupby("variant").size().eq(2).all()
    figure = _figures.draw_information(lines)
    assert [ax.get_title() for ax in figure.axes] == ["I(X;C|G), nats", "I(G;C), nats"]
    assert [line.get_label() for line in figure.axes[0].lines] == list(VARIANTS)


def test_sensitivity(digits, made, tmp_path):
    path = _figures.make(5, Setting(tmp_path, digits, epochs=2), quiet)
    table = pd.read_csv(path.with_suffix(".csv"))
    assert len(table) == len(ALPHAS) * len(BETAS) == len(made) - 2
    assert path.stat().st_size > 1000


def test_a_failed_run_is_named(digits, monkeypatch, tmp_path):
    monkeypatch.setattr(_runner, "_record", lambda *_: {"status": "failed", "why": "boom"})
    with pytest.raises(RuntimeError, match=r"no result of \['fcmi:alpha=0.04,beta=0.2', .*logs"):
        _figures.ablation(Setting(tmp_path, digits), quiet)


def test_maps(digits, tmp_path, monkeypatch):
    # Compiling UMAP takes longer than all else here; the first two dimensions of the codes will do.
    reducer = SimpleNamespace(fit_transform=lambda codes: codes[:, :2])
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=lambda **_: reducer))
    table = _figures.maps(Setting(tmp_path, digits, epochs=10))
    assert list(table["epoch"].unique()) == [1, 2, 10]
    assert len(table) == 600
    figure = _figures.draw_maps(table)
    assert len(figure.axes) == 6
    assert figure.axes[5].get_title() == "epoch 10, by group"


def test_reconstructions(digits, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="shows images of two or more groups"):
        _figures.reconstructions(Setting(tmp_path, digits))

    rng = np.random.default_rng(0)
    groups = np.repeat(["a", "b"], 40)
    X = np.where(groups[:, None] == "a", -0.9, 0.9) + rng.normal(size=(80, 784)) * 0.05
    obs = pd.DataFrame({"group": groups, "label": rng.integers(2, size=80).astype(str)})
    adata = ad.AnnData(X.clip(-1, 1).astype(np.float32), obs=obs.set_index(obs.index.astype(str)))
    adata.uns["image_shape"] = np.array([28, 28])
    monkeypatch.setattr("scfcmi.datasets.mnist_usps", lambda **_: adata, raising=False)
    images = _figures.reconstructions(Setting(tmp_path, "mnist_usps", epochs=15))
    assert images.shape == (3, 10, 28, 28)
    # Samples of the groups take turns; as the other group they take its color.
    means = images.mean(axis=(2, 3))
    assert (np.sign(means[0]) == np.tile([-1, 1], 5)).all()
    assert ((means[2] - means[1]) * means[0] < 0).all()
    assert _figures.draw_reconstructions(images).axes[0].images[0].get_array().shape == (84, 280)
    monkeypatch.setattr(_figures, "reconstructions", lambda _: images)
    picture = _figures.make(4, Setting(tmp_path, "mnist_usps"), quiet)
    np.testing.assert_array_equal(np.load(picture.with_suffix(".npy")), images)
