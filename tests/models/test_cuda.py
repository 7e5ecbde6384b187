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
MODELS = {
    "atlas": AtlasFCMI(3, max_epochs=10, progress=False),
    "atlas without K": AtlasFCMI(max_epochs=10, progress=False),
    "shared decoder": FCMI(3, max_epochs=20, warmup_epochs=5, decoder="shared", progress=False),
    "a decoder a group": FCMI(3, max_epochs=20, warmup_epochs=5, decoder="branches", progress=False),
}


def on(device, model):
    return type(model)(**model.get_params() | {"device": device})


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_fit_on_a_gpu_is_read_without_one(blobs, model, tmp_path):
    X, labels, groups = blobs
    fitted = on("cuda", model).fit(X, groups=groups)
    assert adjusted_rand_score(labels, fitted.labels_) > 0.9
    assert next(fitted._network.parameters()).is_cuda
    np.testing.assert_array_equal(fitted.predict(X), fitted.labels_)
    fitted.save(tmp_path / "model.fcmi")
    loaded = type(model).load(tmp_path / "model.fcmi").set_params(device="cpu")
    np.testing.assert_allclose(loaded.transform(X), fitted.transform(X), atol=1e-4)
    assert np.mean(loaded.predict(X) == fitted.labels_) > 0.99
    np.testing.assert_allclose(loaded.reconstruct(X, groups), fitted.reconstruct(X, groups), atol=1e-2)


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_same_cells_from_a_sparse_matrix(blobs, model):
    X, _, groups = blobs
    X = np.where(X > 0.5, X, 0).astype(np.float32)
    dense, sparse = (on("cuda", model).fit(values, groups=groups).labels_ for values in (X, sp.csr_matrix(X)))
    assert adjusted_rand_score(dense, sparse) > 0.99


def test_atlas_mode_finds_what_it_finds_on_the_processor(pbmc):
    found = [
        AtlasFCMI(device=device, progress=False).fit(pbmc.X, groups=pbmc.obs["batch"]) for device in ("cpu", "cuda")
    ]
    assert adjusted_rand_score(*(model.labels_ for model in found)) > 0.9


def test_half_precision_is_chosen(blobs):
    X, _, groups = blobs
    model = FCMI(3, max_epochs=2, warmup_epochs=1, device="cuda", progress=False).fit(X, groups=groups)
    assert model.precision_ == ("bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32")


@pytest.mark.parametrize("decoder", ["shared", "branches"])
def test_images(decoder):
    rng = np.random.default_rng(0)
    images, groups = rng.uniform(-1, 1, (300, 1, 28, 28)).astype(np.float32), np.arange(300) % 2
    model = FCMI(3, max_epochs=2, warmup_epochs=1, decoder=decoder, device="cuda", progress=False).fit(
        images, groups=groups
    )
    assert np.isfinite(model.embedding_).all()
    assert model.reconstruct(images, groups).shape == images.shape


def test_a_checkpoint_is_taken_up(blobs, tmp_path):
    X, _, groups = blobs
    settings = {"warmup_epochs": 5, "device": "cuda", "precision": "float32", "progress": False}
    path = tmp_path / "run.checkpoint"
    whole = FCMI(3, max_epochs=20, **settings).fit(X, groups=groups)
    stop_at_ten = [lambda epoch: (_ for _ in ()).throw(KeyboardInterrupt) if epoch.number == 10 else None]
    with pytest.raises(KeyboardInterrupt):
        FCMI(3, max_epochs=20, checkpoint=path, callbacks=stop_at_ten, **settings).fit(X, groups=groups)
    went_on = FCMI(3, max_epochs=20, checkpoint=path, **settings).fit(X, groups=groups)
    assert adjusted_rand_score(went_on.labels_, whole.labels_) > 0.99


@pytest.mark.parametrize("mode", ["atlas", "paper"])
def test_the_functions_on_anndata(small, mode):
    settings = {"n_clusters": 3, "mode": mode, "device": "cuda", "max_epochs": 20, "progress": False}
    model = scfcmi.tl.fit_model(small, "tech", **settings)
    scfcmi.tl.assign(small, model, key_added="again")
    scfcmi.tl.fair_cluster(small, "tech", **settings)
    assert adjusted_rand_score(small.obs["again"], small.obs["fcmi"]) > 0.9
    scfcmi.tl.translate(small, model, to="10x")
