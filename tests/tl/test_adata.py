"""What is no AnnData that can be read and written to is refused before any work."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import scfcmi

QUICK = {"n_clusters": 3, "max_epochs": 2}
TOOLS = {
    "fair_cluster": lambda a, _, **k: scfcmi.tl.fair_cluster(a, "tech", key_added="new", **QUICK, **k),
    "assign": lambda a, model, **k: scfcmi.tl.assign(a, model, key_added="new", **k),
    "translate": lambda a, model, **k: scfcmi.tl.translate(a, model, "10x", layer_added="new", **k),
    "umap": lambda a, _, **k: scfcmi.tl.umap(a, **k),
    "diagnose": lambda a, _: scfcmi.tl.diagnose(a),
    "choose_n_clusters": lambda a, _: scfcmi.tl.choose_n_clusters(a),
    "pl.umap": lambda a, _: scfcmi.pl.umap(a, show=False),
    "pl.composition": lambda a, _: scfcmi.pl.composition(a, show=False),
}


@pytest.fixture
def stored(small, tmp_path, put_map):
    """A file with a result, and the model that it is of."""
    model = scfcmi.tl.fit_model(small, "tech", **QUICK)
    put_map(small)
    small.write_h5ad(tmp_path / "a.h5ad")
    return tmp_path / "a.h5ad", model


@pytest.fixture
def no_work(monkeypatch):
    for work in (
        *(
            "models.paper.training.train",
            "models.atlas.estimator.train_agreement",
            "tl._choose_n_clusters.resolution_curve",
        ),
        *("models.base.GroupedClusterer.transform", "models.base.GroupedClusterer.reconstruct"),
        *("tl._diagnose.presence_elsewhere", "pl._umap.panels", "pl._composition.panels"),
    ):
        monkeypatch.setattr(f"scfcmi.{work}", lambda *_, **__: pytest.fail("work started"))


@pytest.mark.parametrize("tool", TOOLS)
def test_view_of_a_backed_one(stored, tool, no_work):
    path, model = stored
    backed = ad.read_h5ad(path, backed="r")
    with pytest.raises(ValueError, match=r"view of a file-backed AnnData.*adata = adata.to_memory\(\)"):
        TOOLS[tool](backed[:100], model)
    backed.file.close()


@pytest.mark.parametrize("tool", ["fair_cluster", "assign", "translate"])
def test_copy_of_a_backed_one_is_in_memory(stored, tool):
    path, model = stored
    backed = ad.read_h5ad(path, backed="r")
    for given in (backed, backed[:100]):
        out = TOOLS[tool](given, model, copy=True)
        assert not out.isbacked
        assert out.shape == given.shape
    assert "new" not in backed.obs
    assert "new" not in backed.layers
    backed.file.close()


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_no_annotated_data(small, tool, no_work):
    with pytest.raises(TypeError, match=r"got the path 'a.h5ad'. Read it first: anndata.read_h5ad\(path\)"):
        TOOLS[tool]("a.h5ad", None)
    several = SimpleNamespace(mod={"rna": small, "prot": small}, obs=small.obs, n_obs=240)
    with pytest.raises(
        TypeError, match=r"with the modalities \['rna', 'prot'\]. Give one of them, such as mdata\['rna'\]"
    ):
        TOOLS[tool](several, None)
    with pytest.raises(TypeError, match="adata must be an AnnData, got csr_matrix"):
        TOOLS[tool](small.X, None)


def test_columns_named_by_numbers(small, no_work):
    small.obs[3] = small.obs["tech"]
    for key in (3, "3"):
        with pytest.raises(
            TypeError, match=r"adata.obs has '3' as a name of type int.*adata.obs.columns.astype\(str\)"
        ):
            scfcmi.tl.fair_cluster(small, key, **QUICK)


@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (np.ones((240, 20)), ValueError, "All 20 features of X have the same value in all 240 cells"),
        (sp.csr_matrix((240, 20)), ValueError, "All 20 features of X have the same value in all 240 cells"),
        (np.full((240, 20), 1e39), ValueError, r"adata.X has 4800 entries beyond the range of float32"),
        (
            np.eye(240, 20) * 1.5e30 - 0.5,
            ValueError,
            "X holds values as large as 1.5e.30, whose squares do not fit into float32",
        ),
        (np.full((240, 20), 1j), ValueError, "must hold numbers, got dtype complex128"),
    ],
)
@pytest.mark.parametrize("mode", ["atlas", "paper"])
@pytest.mark.filterwarnings("ignore:.*Log-normalized values are expected:UserWarning")
def test_matrices_that_cannot_be_clustered(small, no_work, X, error, words, mode):
    small.X = X
    with pytest.raises(error, match=words):
        scfcmi.tl.fair_cluster(small, "tech", mode=mode, **QUICK)


def test_arrays_of_other_kinds(small, no_work):
    small.obsm["none"], small.obsm["words"] = np.zeros((240, 0)), np.full((240, 2), 1.5, dtype=object)
    small.layers["masked"] = small.X.toarray()
    small.layers._data["masked"] = np.ma.masked_greater(small.X.toarray(), 7)
    for arguments, error, words in (
        ({"use_rep": "none"}, ValueError, r"adata.obsm\['none'\] has shape \(240, 0\): there are no features"),
        ({"use_rep": "words"}, ValueError, r"got dtype object. If all entries are numbers: .*.astype\('float32'\)"),
        ({"layer": "masked"}, TypeError, r"adata.layers\['masked'\] is a masked array.*\.filled\(0\)"),
    ):
        with pytest.raises(error, match=words):
            scfcmi.tl.fair_cluster(small, "tech", **arguments, **QUICK)


def test_masks_of_every_kind(small):
    mask = np.arange(20) < 12
    expected = scfcmi.tl.fair_cluster(small, "tech", mask_var=mask, copy=True, **QUICK).obsm["X_fcmi"]
    nullable = pd.array([True] * 12 + [False] * 7 + [None], dtype="boolean")
    for marks in (mask.astype(object), mask.astype(float), mask.astype(int), np.array([*mask[:-1], None]), nullable):
        small.var["highly_variable"] = marks
        if small.var["highly_variable"].isna().any():
            with pytest.warns(UserWarning, match="is missing for 1 of 20 genes. These genes are left out"):
                out = scfcmi.tl.fair_cluster(small, "tech", copy=True, **QUICK)
        else:
            out = scfcmi.tl.fair_cluster(small, "tech", copy=True, **QUICK)
        np.testing.assert_array_equal(out.obsm["X_fcmi"], expected)


def test_masks_that_mark_nothing(small, no_work):
    for marks, words in (
        (False, r"adata.var\['highly_variable'\] leaves no genes.*sc.pp.highly_variable_genes.*use_rep='X'"),
        ("True", r"boolean with one entry a gene \(20\), or hold zeros and ones; got 'True'"),
        (2.0, "or hold zeros and ones; got 2.0"),
    ):
        small.var["highly_variable"] = marks
        with pytest.raises(ValueError, match=words):
            scfcmi.tl.fair_cluster(small, "tech", **QUICK)


def test_a_mask_with_names_is_matched_by_name(small):
    mask = pd.Series(np.arange(20) < 12, index=small.var_names)
    shuffled = mask.sample(frac=1, random_state=0)
    for given in (mask, shuffled):
        model = scfcmi.tl.fit_model(small, "tech", mask_var=given, **QUICK)
        assert model.var_names_.tolist() == small.var_names[:12].tolist()
    with pytest.raises(ValueError, match=r"index is not that of adata.var_names.*mask_var.to_numpy\(\)"):
        scfcmi.tl.fair_cluster(small, "tech", mask_var=mask.set_axis([f"other{i}" for i in range(20)]), **QUICK)


@pytest.mark.filterwarnings("ignore:Variable names are not unique:UserWarning")
def test_repeated_names(small):
    small.var_names = ["CD3E", "CD3E", *small.var_names[2:]]
    model = scfcmi.tl.fit_model(small, "tech", **QUICK)
    assert model.var_names_.tolist() == small.var_names.tolist()
    expected = small.obs["fcmi"].tolist()
    scfcmi.tl.assign(small, model)
    assert small.obs["fcmi"].tolist() == expected
    scfcmi.tl.translate(small, model, "10x")
    assert small.layers["fcmi_10x"].shape == small.shape
    with pytest.raises(ValueError, match=r"'CD3E' more than once.*adata.var_names_make_unique\(\)"):
        scfcmi.tl.assign(small[:, ::-1].copy(), model)
    unique = small[:, [0, *range(2, 20)]].copy()
    with pytest.raises(ValueError, match="'CD3E' is one more than once, so that they cannot be matched"):
        scfcmi.tl.assign(unique, model)


def test_few_cells_and_genes_without_expression(small, put_map):
    clustered = small[:3].copy()
    clustered.obsm["X_fcmi"] = np.eye(3)
    with pytest.raises(ValueError, match="UMAP lays out at least 4 cells, adata has 3"):
        scfcmi.tl.umap(clustered)
    put_map(small)
    small.obsm["X_fcmi"], small.obs["fcmi"] = small.obsm["X_fcmi_umap"], pd.Categorical(["0"] * 240)
    scfcmi.pl.umap(small[:2].copy(), "tech", show=False)
    without = ad.AnnData(obs=small.obs, var=small.var, obsm=dict(small.obsm))
    with pytest.raises(ValueError, match="color='0' is a gene, but"):
        scfcmi.pl.umap(without, "0", show=False)


def test_room_behind_the_entries_of_a_matrix(small):
    """scipy would write beyond its memory."""
    plain = small.copy()
    small.X.data = np.append(small.X.data, np.full(200_000, np.nan, small.X.data.dtype))
    small.X.indices = np.append(small.X.indices, np.zeros(200_000, small.X.indices.dtype))
    for cells in (plain, small):
        scfcmi.tl.fair_cluster(cells, "tech", mask_var=np.arange(small.n_vars) > 0, max_epochs=3)
        scfcmi.tl.fair_cluster(cells, "tech", key_added="all", max_epochs=3)
    assert (plain.obs[["fcmi", "all"]] == small.obs[["fcmi", "all"]]).all(axis=None)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_sparse_images(small):
    images = ad.AnnData(sp.random(60, 28 * 28, 0.2, format="csr", dtype=np.float32, random_state=0))
    images.obs["group"], images.uns["image_shape"] = ["a", "b"] * 30, (28, 28)
    scfcmi.tl.fair_cluster(images, "group", n_clusters=3, mode="paper", max_epochs=1)
    images.uns["image_shape"] = (16, 7, 7)
    scfcmi.tl.fair_cluster(images, "group", n_clusters=3, mode="paper", max_epochs=1)
    assert "784 features" in images.uns["fcmi"]["params"]["matrix"]


def test_warnings_point_to_the_caller(small):
    """However deep a warning is raised: the line of the user, not one of the package."""
    calls = [
        lambda: scfcmi.tl.fair_cluster(small[:200], "tech", n_clusters=3, max_epochs=2),
        lambda: scfcmi.tl.fit_model(small[:200], "tech", n_clusters=3, max_epochs=2),
        lambda: scfcmi.tl.fair_cluster(small, "tech", n_clusters=3, max_epochs=2, mode="paper"),
        lambda: scfcmi.FCMI(3, max_epochs=2, warmup_epochs=1).fit(small.X, groups=small.obs["tech"]),
    ]
    for call in calls:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            call()
        # anndata's own are not ours.
        ours = [
            one for one in told if any(words in str(one.message) for words in ("Received a view", "changed cluster"))
        ]
        assert {Path(one.filename).name for one in ours} == {"test_adata.py"}
