"""Fits side by side: nothing that a process shares is read or changed."""

from __future__ import annotations

import random
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.exceptions import ConvergenceWarning

from scfcmi import FCMI, AtlasFCMI
from scfcmi._initialization import initialized
from scfcmi._random import Stream, torch_stream
from scfcmi.models.atlas.network import AtlasArchitecture, AtlasNetwork
from scfcmi.models.paper.network import Architecture, AutoEncoder

pytestmark = pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")


@pytest.fixture
def noise():
    """A thread that draws from every global generator, until the test ends."""
    done = threading.Event()

    def draw():
        while not done.is_set():
            torch.manual_seed(random.randrange(2**32))
            torch.rand(3)
            np.random.seed(np.random.randint(2**31))  # noqa: NPY002
            # Otherwise it would hold up the others more than it disturbs them.
            time.sleep(1e-4)

    thread = threading.Thread(target=draw)
    thread.start()
    yield
    done.set()
    thread.join()


def _fit(model, X, groups):
    model.fit(X, groups=groups)
    return np.concatenate([model.embedding_.ravel(), model.predict_proba(X).ravel(), model.labels_])


@pytest.fixture
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_what_the_caller_has_told_torch_does_not_matter(blobs, mode, sparse, double_precision, tmp_path):
    X, _, groups = blobs
    X = sp.csr_matrix(np.maximum(X, 0)) if sparse else X
    for make in (FCMI, AtlasFCMI):
        torch.set_default_dtype(torch.float32)
        expected = make(3, max_epochs=2).fit(X, groups=groups)
        torch.set_default_dtype(torch.float64)
        with mode():
            model = make(3, max_epochs=2).fit(X, groups=groups)
            model.save(tmp_path / "model")
            assert model.reconstruct(X[:3], groups[:3]).dtype == np.float32
        np.testing.assert_array_equal(model.embedding_, expected.embedding_)
        np.testing.assert_array_equal(model.predict(X), expected.labels_)


def test_threads_give_what_one_fit_gives(blobs, noise):
    X, _, groups = blobs
    make = (lambda: FCMI(3, max_epochs=2), lambda: AtlasFCMI(3, max_epochs=2))
    serial = [_fit(new(), X, groups) for new in make]
    with ThreadPoolExecutor(8) as pool:
        beside = list(pool.map(lambda i: _fit(make[i % 2](), X, groups), range(16)))
    for i, found in enumerate(beside):
        np.testing.assert_array_equal(found, serial[i % 2])


@pytest.mark.parametrize(
    "make",
    [
        *(
            lambda c=convolutional, d=decoder: AutoEncoder(Architecture(784, 3, 4, c, d, bounded=True))
            for convolutional in (False, True)
            for decoder in ("branches", "shared")
        ),
        lambda: AtlasNetwork(AtlasArchitecture(20, 10, 3, 2, projected=True)),
    ],
)
def test_first_weights_are_those_of_torch(make):
    """So that a seed gives what it gave when torch's global generator drew them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_stream(5, Stream.WEIGHTS).initial_seed())
        expected = make().state_dict()
    before = torch.get_rng_state()
    found = initialized(make, torch_stream(5, Stream.WEIGHTS)).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("model", [FCMI(3, beta=None, max_epochs=2), AtlasFCMI(3, max_epochs=2)])
def test_generators_filters_and_settings_are_left_alone(blobs, model, monkeypatch):
    X, _, groups = blobs

    def state():
        return (
            *(torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()),  # noqa: NPY002
            *(torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), np.geterr()),
        )

    # What is imported at the first fit silences warnings of its own.
    model.fit(X, groups=groups)
    before, silenced = state(), warnings.simplefilter
    # Only here: plugins of pytest silence warnings of their own when a test ends.
    with monkeypatch.context() as patch:
        patch.setattr(warnings, "simplefilter", lambda action, *a, **k: _only_errors(action, silenced, *a, **k))
        model.fit(X, groups=groups).predict(X)
    assert state() == before


def _only_errors(action, simplefilter, *args, **kwargs):
    # scikit-learn turns warnings of complex numbers into errors while it reads an array; none is silenced.
    assert action == "error"
    simplefilter(action, *args, **kwargs)


def test_the_caller_s_autocast_and_default_device_do_not_matter(blobs):
    X, _, groups = blobs

    def results():
        models = (
            AtlasFCMI(3, max_epochs=3, device="cpu"),
            FCMI(3, max_epochs=4, warmup_epochs=1, precision="float32", device="cpu"),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = [model.fit(X, groups=groups) for model in models]
        return [part for model in fitted for part in (model.predict_proba(X), model.reconstruct(X, groups))]

    expected = results()
    with torch.autocast("cpu", torch.bfloat16):
        found = results()
    # No tensor on this device has values: the caller's may be a GPU.
    with torch.device("meta"):
        elsewhere = results()
    for one, other, third in zip(expected, found, elsewhere, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, third)
