from __future__ import annotations

import numpy as np
import pytest

from scfcmi import FCMI, AtlasFCMI
from scfcmi.errors import ModelFormatError
from scfcmi.rows import CSRRows, DenseRows

QUICK = {"max_epochs": 3, "progress": False, "n_components": 10}


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    types = np.arange(300) % 3
    X = np.maximum(rng.normal(size=(300, 30)) + 4 * np.eye(3, 30)[types], 0).astype(np.float32)
    return X, np.arange(300) // 3 % 2


def test_a_killed_run_goes_on_without_reading_expression(cells, tmp_path, monkeypatch):
    X, groups = cells
    whole = AtlasFCMI(3, **QUICK).fit(X, groups=groups)
    path = tmp_path / "state"

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        AtlasFCMI(3, checkpoint=path, callbacks=[stop], **QUICK).fit(X, groups=groups)
    for source in (DenseRows, CSRRows):
        monkeypatch.setattr(source, "map", lambda *_: pytest.fail("expression was read again"))
    monkeypatch.setattr("scfcmi.models.atlas.estimator.embed_in_place", _embed)
    taken_up = AtlasFCMI(3, checkpoint=path, **QUICK).fit(X, groups=groups)
    np.testing.assert_allclose(taken_up.embedding_, whole.embedding_, atol=1e-6)
    np.testing.assert_array_equal(taken_up.labels_, whole.labels_)
    # Only components are kept: the number of clusters may change.
    assert AtlasFCMI(2, checkpoint=path, **QUICK).fit(X, groups=groups).n_clusters_ == 2


def _embed(network, components):
    return network.embed(network.encode_views(components)).detach()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda X, model: (X + 1, model), r"\['data'\] differ"),
        (lambda X, model: (X[:200], model), r"\['data', 'groups', 'shape'\] differ"),
        (lambda X, model: (X, model.set_params(random_state=1)), r"\['random_state'\] differ"),
        (lambda X, model: (X, model.set_params(n_components=9)), r"\['n_components'\] differ"),
    ],
)
def test_a_checkpoint_of_another_run(cells, tmp_path, change, words):
    X, groups = cells
    path = tmp_path / "state"
    model = AtlasFCMI(3, checkpoint=path, **QUICK).fit(X, groups=groups)
    X, model = change(X, model)
    with pytest.raises(ValueError, match=f"checkpoint .* is of another run: {words}. Delete it, or name another file"):
        model.fit(X, groups=groups[: len(X)])


def test_a_checkpoint_of_other_batches(cells, tmp_path):
    """Batches decide the weights of genes, and so the components."""
    X, groups = cells
    model = AtlasFCMI(3, checkpoint=tmp_path / "state", **QUICK).fit(X, groups=groups)
    with pytest.raises(ValueError, match=r"\['groups'\] differ"):
        model.fit(X, groups=np.roll(groups, 1))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_is_no_checkpoint(cells, tmp_path):
    X, groups = cells
    (tmp_path / "state").write_bytes(b"nothing")
    with pytest.raises(ModelFormatError, match="truncated or no scfcmi checkpoint"):
        AtlasFCMI(3, checkpoint=tmp_path / "state", **QUICK).fit(X, groups=groups)
    AtlasFCMI(3, **QUICK).fit(X, groups=groups).save(tmp_path / "model")
    with pytest.raises(ModelFormatError, match="is no scfcmi checkpoint but a model"):
        AtlasFCMI(3, checkpoint=tmp_path / "model", **QUICK).fit(X, groups=groups)
    FCMI(3, max_epochs=1, checkpoint=tmp_path / "paper").fit(X, groups=groups)
    with pytest.raises(ValueError, match="is of another run"):
        AtlasFCMI(3, checkpoint=tmp_path / "paper", **QUICK).fit(X, groups=groups)


@pytest.mark.parametrize("estimator", [FCMI, AtlasFCMI])
def test_a_place_where_none_can_be_written(cells, tmp_path, monkeypatch, estimator):
    X, groups = cells
    for source in (DenseRows, CSRRows):
        monkeypatch.setattr(source, "blocks", lambda *_: pytest.fail("expression was read first"))
    with pytest.raises(FileNotFoundError, match="checkpoint is in a folder that does not exist"):
        estimator(3, checkpoint=tmp_path / "nowhere" / "state").fit(X, groups=groups)
    with pytest.raises(IsADirectoryError, match=r"checkpoint .* is a folder\. Name a file in it"):
        estimator(3, checkpoint=tmp_path).fit(X, groups=groups)
