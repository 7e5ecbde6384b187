"""Both estimators on a GPU. Where there is none, these tests skip."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.metrics import adjusted_rand_score

import scfcmi
from scfcmi import FCMI, AtlasFCMI

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning"),
]
GPU = {"device": "cuda", "progress": False}
MODELS = {
    "atlas": AtlasFCMI(3, max_epochs=10, **GPU),
    "atlas without K": AtlasFCMI(max_epochs=10, **GPU),
    "shared decoder": FCMI(3, max_epochs=20, warmup_epochs=5, decoder="shared", **GPU),
    "a decoder a group": FCMI(3, max_epochs=20, warmup_epochs=5, decoder="branches", **GPU),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_fit_on_a_gpu_is_read_without_one(blobs, model, tmp_path):
    X, labels, groups = blobs
    model.fit(X, groups=groups)
    assert adjusted_rand_score(labels, model.labels_) > 0.9
    assert next(model._network.parameters()).is_cuda
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    model.save(tmp_path / "model.fcmi")
    loaded = scfcmi.load_model(tmp_path / "model.fcmi").set_params(device="cpu")
    np.testing.assert_allclose(loaded.transform(X), model.transform(X), atol=1e-4)
    assert np.mean(loaded.predict(X) == model.labels_) > 0.99
    np.testing.assert_allclose(loaded.reconstruct(X, groups), model.reconstruct(X, groups), atol=1e-2)


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_same_cells_from_a_sparse_matrix(blobs, model):
    X, _, groups = blobs
    X = np.where(X > 0.5, X, 0).astype(np.float32)
    dense, sparse = (model.fit(values, groups=groups).labels_ for values in (X, sp.csr_matrix(X)))
    assert adjusted_rand_score(dense, sparse) > 0.99


def test_atlas_mode_finds_what_it_finds_on_the_processor(pbmc):
    batches = pbmc.obs["batch"]
    on_cpu, on_gpu = (
        AtlasFCMI(device=device, progress=False).fit(pbmc.X, groups=batches) for device in ("cpu", "cuda")
    )
    # Products are rounded in another way. Of these cells, that is enough to move a border between two clusters.
    np.testing.assert_allclose(on_gpu.embedding_, on_cpu.embedding_, atol=0.05)
    assert adjusted_rand_score(on_cpu.labels_, on_gpu.labels_) > 0.8


def test_half_precision_is_chosen(blobs):
    X, _, groups = blobs
    model = FCMI(3, max_epochs=2, warmup_epochs=1, **GPU).fit(X, groups=groups)
    assert model.precision_ == ("bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32")


@pytest.mark.parametrize("decoder", ["shared", "branches"])
def test_images(decoder):
    images = np.random.default_rng(0).uniform(-1, 1, (300, 1, 28, 28)).astype(np.float32)
    groups = np.arange(300) % 2
    model = FCMI(3, max_epochs=2, warmup_epochs=1, decoder=decoder, **GPU).fit(images, groups=groups)
    assert np.isfinite(model.embedding_).all()
    assert model.reconstruct(images, groups).shape == images.shape


def test_a_checkpoint_is_taken_up(blobs, tmp_path, monkeypatch):
    X, _, groups = blobs
    monkeypatch.setattr("scfcmi.models.paper.checkpoint._SECONDS", -1)
    settings = {"max_epochs": 20, "warmup_epochs": 5, "precision": "float32", **GPU}
    path, seen = tmp_path / "run.checkpoint", []

    def stop_at_ten(epoch):
        if epoch.number == 10:
            raise KeyboardInterrupt

    whole = FCMI(3, **settings).fit(X, groups=groups)
    with pytest.raises(KeyboardInterrupt):
        FCMI(3, checkpoint=path, callbacks=[stop_at_ten], **settings).fit(X, groups=groups)
    note = lambda epoch: seen.append(epoch.number)
    went_on = FCMI(3, checkpoint=path, callbacks=[note], **settings).fit(X, groups=groups)
    assert seen == list(range(10, 21))
    assert adjusted_rand_score(went_on.labels_, whole.labels_) > 0.99


@pytest.mark.parametrize("mode", ["atlas", "paper"])
def test_the_functions_on_anndata(small, mode):
    settings = {"n_clusters": 3, "mode": mode, "max_epochs": 20, **GPU}
    model = scfcmi.tl.fit_model(small, "tech", **settings)
    scfcmi.tl.assign(small, model, key_added="again")
    scfcmi.tl.fair_cluster(small, "tech", **settings)
    assert adjusted_rand_score(small.obs["again"], small.obs["fcmi"]) > 0.9
    scfcmi.tl.translate(small, model, to="10x")
