from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import scfcmi
from scfcmi import FCMI, AtlasFCMI, cli, load_model, metrics

pytestmark = pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")


def fit(adata, **options) -> AtlasFCMI:
    return scfcmi.tl.fit_model(adata, "tech", n_clusters=3, max_epochs=15, **options)


@pytest.fixture
def model(small) -> AtlasFCMI:
    return fit(small)


def test_cells_of_the_fit_get_what_the_fit_gave(small, model):
    again = small.copy()
    scfcmi.tl.assign(again, model, key_added="again", batch_key="tech")
    assert set(again.obs) - set(small.obs) == {"again"}
    assert set(again.obsm) - set(small.obsm) == {"X_again", "again_proba"}
    assert set(again.uns["again"]) == {"params", "history", "groups", "information"}
    assert not again.obsp.keys() - {"fcmi_connectivities"}
    assert again.obs["again"].astype(str).tolist() == small.obs["fcmi"].astype(str).tolist()
    np.testing.assert_allclose(again.obsm["X_again"], small.obsm["X_fcmi"], atol=1e-6)
    np.testing.assert_allclose(again.obsm["again_proba"], small.obsm["fcmi_proba"], atol=1e-6)
    assert "unseen_groups" not in again.uns["again"]["params"]


def test_new_batch_genes_in_another_order_and_a_saved_model(small, model, tmp_path):
    path = tmp_path / "model.fcmi"
    model.save(path)
    new = small[::2, ::-1].copy()
    new.var["highly_variable"] = np.arange(new.n_vars) < 5  # another choice of genes than the model's
    new.obs["tech"] = "nova"
    expected = small.obs["fcmi"].astype(str)[::2].tolist()
    scfcmi.tl.assign(new, load_model(path), batch_key="tech")
    assert new.obs["fcmi"].tolist() == expected
    assert new.uns["fcmi"]["params"]["unseen_groups"].tolist() == ["nova"]
    assert metrics.ari(new.obs["label"], new.obs["fcmi"]) > 0.9
    new.write_h5ad(tmp_path / "new.h5ad")
    assert ad.read_h5ad(tmp_path / "new.h5ad").uns["fcmi"]["groups"].tolist() == ["seqwell", "10x"]


def test_few_cells_keep_all_clusters_as_categories(small, model):
    one = scfcmi.tl.assign(small[:1], model, copy=True)
    assert one.obs["fcmi"].cat.categories.tolist() == ["0", "1", "2"]
    assert one.obsm["fcmi_proba"].shape == (1, 3)


def test_model_of_chosen_genes(small):
    mask = np.arange(small.n_vars) % 4 > 0
    model = fit(small, mask_var=mask)
    assert model.var_names_.tolist() == small.var_names[mask].tolist()
    again = scfcmi.tl.assign(small, model, key_added="again", copy=True)
    assert again.obs["again"].astype(str).tolist() == small.obs["fcmi"].astype(str).tolist()


def test_model_of_a_representation(small):
    small.obsm["X_half"] = small.X[:, :10].toarray()
    model = fit(small, use_rep="X_half")
    again = scfcmi.tl.assign(small, model, use_rep="X_half", key_added="again", copy=True)
    assert again.obs["again"].astype(str).tolist() == small.obs["fcmi"].astype(str).tolist()
    with pytest.raises(ValueError, match=r"fitted on adata\.obsm"):
        scfcmi.tl.assign(small, model)


def test_model_fitted_on_an_array(small, blobs):
    X, _, groups = blobs
    small.layers["raw"] = X
    model = FCMI(n_clusters=3, max_epochs=5, warmup_epochs=1).fit(X, groups=groups)
    scfcmi.tl.assign(small, model, layer="raw")
    assert small.obs["fcmi"].astype(int).tolist() == model.labels_.tolist()


def test_model_fitted_on_a_data_frame(small, blobs):
    X, _, groups = blobs
    frame = pd.DataFrame(X, columns=small.var_names)
    model = FCMI(n_clusters=3, max_epochs=5, warmup_epochs=1).fit(frame, groups=groups)
    small.X = X
    again = scfcmi.tl.assign(small[:, ::-1], model, copy=True)
    assert again.obs["fcmi"].astype(int).tolist() == model.labels_.tolist()


def test_wrong_use(small, model):
    part = fit(small, mask_var=np.arange(20) < 12, key_added="part")
    before = set(small.obs), set(small.obsm), set(small.uns)
    with pytest.raises(TypeError, match=r"To read one from a file: scfcmi.load_model"):
        scfcmi.tl.assign(small, "model.fcmi")
    with pytest.raises(NotFittedError):
        scfcmi.tl.assign(small, FCMI())
    with pytest.raises(KeyError, match="Did you mean 'tech'"):
        scfcmi.tl.assign(small, model, batch_key="thech", key_added="new")
    with pytest.raises(ValueError, match=r"2 of the 20 features .* not in adata.var_names: '0', '1'"):
        scfcmi.tl.assign(small[:, 2:], model, key_added="new")
    with pytest.raises(ValueError, match="Drop use_rep"):
        scfcmi.tl.assign(small, model, use_rep="X_fcmi", key_added="new")
    twice = small.copy()
    twice.var_names = [*small.var_names[:-1], "1"]
    with pytest.raises(ValueError, match="'1' more than once"):
        scfcmi.tl.assign(twice, part)
    with pytest.raises(ValueError, match="key_added"):
        scfcmi.tl.assign(small, model, batch_key="tech", key_added="tech")
    assert (set(small.obs), set(small.obsm), set(small.uns)) == before


def test_translate(small, model):
    assert scfcmi.tl.translate(small, model, "10x") is None
    decoded = small.layers["fcmi_10x"]
    assert decoded.shape == small.shape
    assert decoded.dtype == np.float32
    other = small[:, ::-1].copy()
    scfcmi.tl.translate(other, model, "10x", layer_added="there")
    np.testing.assert_allclose(other.layers["there"], decoded[:, ::-1], atol=1e-5)
    own = scfcmi.tl.translate(small, model, "seqwell", copy=True)
    assert "fcmi_seqwell" not in small.layers
    # The batches differ by a shift, the same for every type: the decoder must have learned its direction.
    is_10x = (small.obs["tech"] == "10x").to_numpy()
    X = small.X.toarray()
    true_shift = X[is_10x].mean(axis=0) - X[~is_10x].mean(axis=0)
    shift = (decoded - own.layers["fcmi_seqwell"]).mean(axis=0)
    assert np.corrcoef(shift, true_shift)[0, 1] > 0.5


def test_translate_wrong_use(small, model):
    with pytest.raises(ValueError, match=r"'10y' was not seen in fit. Did you mean '10x'"):
        scfcmi.tl.translate(small, model, "10y")
    with pytest.raises(ValueError, match="layer_added"):
        scfcmi.tl.translate(small, model, "10x", layer_added="")
    part = fit(small, mask_var=np.arange(20) < 12)
    with pytest.raises(ValueError, match="adata has 20 features, the model decodes 12"):
        scfcmi.tl.translate(small, part, "10x")
    assert not small.layers


def test_command(small, model, tmp_path, capsys):
    paths = model_path, source, out = tmp_path / "model.fcmi", tmp_path / "in.h5ad", tmp_path / "out.h5ad"
    model.save(model_path)
    small[:50].copy().write_h5ad(source)
    words = ["assign", str(model_path), str(source), "-o", str(out), "--batch-key", "tech", "--key-added", "again"]
    assert cli.main(words) == cli.OK
    assert ad.read_h5ad(out).obs["again"].astype(str).tolist() == small.obs["fcmi"].astype(str)[:50].tolist()
    assert cli.main(["assign", str(tmp_path / "none"), str(source), "-o", str(out)]) == cli.WRONG_USE
    assert "no file at" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in paths)


def test_assigned_cells_have_no_graph(small, model):
    again = small.copy()
    scfcmi.tl.assign(again, model, key_added="again", batch_key="tech")
    table = scfcmi.tl.diagnose(again, key="again")
    assert table[["own_links", "n_parts"]].isna().all(axis=None)
    with pytest.raises(KeyError, match="Assigned cells have no graph"):
        scfcmi.tl.choose_n_clusters(again, key="again")


def test_a_model_of_a_representation_does_not_take_genes(small, tmp_path):
    """Their number may be the same."""
    small.obsm["X_own"] = small.X.toarray()
    model = fit(small, use_rep="X_own")
    model.save(tmp_path / "model")
    for one in (model, load_model(tmp_path / "model")):
        with pytest.raises(ValueError, match=r"fitted on adata.obsm\['X_own'\].*use_rep='X_own'"):
            scfcmi.tl.assign(small, one)
        with pytest.raises(ValueError, match="knows no genes to decode"):
            scfcmi.tl.translate(small, one, "10x")
        scfcmi.tl.assign(small, one, use_rep="X_own", key_added="again")
        assert (small.obs["again"] == small.obs["fcmi"]).all()


def test_an_interrupted_fit_leaves_no_half_model(small, model, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("scfcmi.models.atlas.estimator.fit_classifier", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(small.X[:200], groups=small.obs["tech"][:200])
    with pytest.raises(NotFittedError):
        model.predict(small.X)


def test_the_layer_of_the_fit_is_asked_for(small, tmp_path):
    small.layers["other"] = small.X * 1.5
    model = fit(small, layer="other")
    model.save(tmp_path / "model.fcmi")
    for known in (model, load_model(tmp_path / "model.fcmi")):
        with pytest.warns(UserWarning, match=r"fitted on adata.layers\['other'\], and is given adata.X"):
            scfcmi.tl.assign(small, known, key_added="again")
        scfcmi.tl.assign(small, known, key_added="again", layer="other")
        assert small.obs["again"].tolist() == small.obs["fcmi"].tolist()
        assert small.uns["again"]["params"]["matrix"] == "the model's 20 features of layers['other']"
    # Where there is no such layer, X may hold the same numbers.
    del small.layers["other"]
    scfcmi.tl.assign(small, known, key_added="again")


def test_expression_of_another_scale_is_told(pbmc):
    model = scfcmi.tl.fit_model(pbmc, "batch", max_epochs=2)
    new = pbmc[pbmc.obs["batch"] == pbmc.obs["batch"].iloc[0]].copy()
    scfcmi.tl.assign(new, model)
    for change in (lambda X: X * 0.5, lambda X: X * 2, lambda X: X.multiply(np.arange(new.n_vars) > 900).tocsr()):
        other = new.copy()
        other.X = change(other.X)
        with pytest.warns(UserWarning, match="times that of the cells the model was fitted on"):
            scfcmi.tl.assign(other, model)


def test_a_data_frame_of_obsm_is_matched_by_its_columns(small, tmp_path):
    X = small.X.toarray() if hasattr(small.X, "toarray") else small.X
    small.obsm["proteins"] = pd.DataFrame(X, index=small.obs_names, columns=[f"p{i}" for i in range(20)])
    model = fit(small, use_rep="proteins")
    model.save(tmp_path / "model.fcmi")
    small.obsm["turned"] = small.obsm["proteins"].iloc[:, ::-1]
    for known in (model, load_model(tmp_path / "model.fcmi")):
        scfcmi.tl.assign(small, known, key_added="again", use_rep="turned")
        assert small.obs["again"].tolist() == small.obs["fcmi"].tolist()
    small.obsm["array"], small.obsm["others"] = X, small.obsm["proteins"].add_suffix("x")
    for name in ("array", "others"):
        with pytest.raises(
            ValueError, match=rf"fitted on a data frame with the columns .*obsm\['{name}'\] must be one"
        ):
            scfcmi.tl.assign(small, model, key_added="again", use_rep=name)
