from __future__ import annotations

import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp

import scfcmi
from scfcmi import metrics
from scfcmi.models.paper.composition import THRESHOLD, composition_imbalance
from scfcmi.rows import rows_of
from scfcmi.tl._matrix import Matrix, warn_of_unmeasured

QUICK = {"n_clusters": 3, "max_epochs": 15}
pytestmark = pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")


def snapshot(adata: ad.AnnData) -> ad.AnnData:
    return adata.copy()


def assert_same(a: ad.AnnData, b: ad.AnnData) -> None:
    pd.testing.assert_frame_equal(a.obs, b.obs)
    pd.testing.assert_frame_equal(a.var, b.var)
    assert set(a.obsm) == set(b.obsm)
    assert set(a.uns) == set(b.uns)
    assert set(a.layers) == set(b.layers)
    assert (a.X != b.X).sum() == 0


def test_writes_what_is_documented_and_nothing_else(small):
    before = snapshot(small)
    assert scfcmi.tl.fair_cluster(small, "tech", **QUICK) is None
    assert set(small.obs) - set(before.obs) == {"fcmi"}
    assert set(small.obsm) == {"X_fcmi", "fcmi_proba"}
    assert set(small.uns) == {"fcmi"}
    clusters = small.obs["fcmi"]
    assert clusters.dtype == "category"
    assert clusters.cat.categories.tolist() == ["0", "1", "2"]
    # Two views, of as many components as there are genes, no more.
    assert small.obsm["X_fcmi"].shape == (240, 40)
    assert set(small.obsp) == {"fcmi_connectivities"}
    assert small.obsm["fcmi_proba"].shape == (240, 3)
    assert small.obsm["X_fcmi"].dtype == small.obsm["fcmi_proba"].dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(small.obsm["X_fcmi"], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(small.obsm["fcmi_proba"].sum(axis=1), 1, atol=1e-6)
    result = small.uns["fcmi"]
    assert set(result) == {"params", "history", "groups", "information", "connectivities_key", "distances_key"}
    assert len(result["history"]) == result["params"]["n_epochs"] <= 15
    assert result["groups"].tolist() == ["seqwell", "10x"]
    assert result["params"]["version"] == scfcmi.__version__
    assert metrics.ari(small.obs["label"], clusters) > 0.9


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.filterwarnings("ignore:Writing zarr v2:UserWarning")
def test_survives_writing_and_reading(small, tmp_path, suffix):
    scfcmi.tl.fair_cluster(small, "tech", **QUICK)
    path = tmp_path / f"a.{suffix}"
    getattr(small, f"write_{suffix}")(path)
    again = getattr(ad, f"read_{suffix}")(path)
    pd.testing.assert_series_equal(again.obs["fcmi"], small.obs["fcmi"])
    np.testing.assert_array_equal(again.obsm["X_fcmi"], small.obsm["X_fcmi"])
    for name, value in small.uns["fcmi"]["params"].items():
        assert again.uns["fcmi"]["params"][name] == value
    pd.testing.assert_frame_equal(
        again.uns["fcmi"]["history"], small.uns["fcmi"]["history"], check_names=False, check_index_type=False
    )
    assert again.uns["fcmi"]["groups"].tolist() == small.uns["fcmi"]["groups"].tolist()


@pytest.mark.parametrize("key", ["tech", "tech_string", "tech_integer", "tech_boolean"])
def test_batch_keys_of_every_kind_give_the_same(small, key):
    scfcmi.tl.fair_cluster(small, "tech_string", **QUICK)
    scfcmi.tl.fair_cluster(small, key, key_added="again", **QUICK)
    assert metrics.ari(small.obs["fcmi"], small.obs["again"]) > 0.95
    assert len(small.uns["again"]["groups"]) == 2


def test_copy_and_model(small):
    before = snapshot(small)
    out = scfcmi.tl.fair_cluster(small, "tech", copy=True, **QUICK)
    assert_same(small, before)
    assert "fcmi" in out.obs
    model = scfcmi.tl.fit_model(small, "tech", **QUICK)
    assert isinstance(model, scfcmi.AtlasFCMI)
    assert [str(c) for c in model.predict(small.X)] == small.obs["fcmi"].tolist() == out.obs["fcmi"].tolist()
    assert model.groups_.tolist() == small.uns["fcmi"]["groups"].tolist()


def test_view_and_duplicated_names(small):
    names = small.obs_names.to_list()
    small.obs_names = ["same"] * 10 + names[10:]
    view = small[np.arange(239, 39, -1)]
    with pytest.warns(UserWarning, match="Received a view of an AnnData"):
        scfcmi.tl.fair_cluster(view, "tech", **QUICK)
    assert not view.is_view
    assert "fcmi" not in small.obs
    assert metrics.ari(view.obs["label"], view.obs["fcmi"]) > 0.9
    small.X = sp.vstack([sp.csr_matrix((1, 20), dtype=np.float32), small.X[1:]]).tocsr()  # a cell without any counts
    with pytest.warns(UserWarning, match=r"^1 cell\(s\) have no expression"):
        scfcmi.tl.fair_cluster(small, "tech", **QUICK)
    assert metrics.ari(small.obs["label"], small.obs["fcmi"]) > 0.9


def test_constant_and_zero_genes(small):
    X = small.X.toarray()
    X[:, 0], X[:, 1] = 0, 1.5
    small.X = sp.csr_matrix(X)
    scfcmi.tl.fair_cluster(small, "tech", **QUICK)
    assert np.isfinite(small.obsm["X_fcmi"]).all()


def test_matrix_choice(small):
    params = lambda **kw: scfcmi.tl.fair_cluster(small, "tech", copy=True, **QUICK, **kw).uns["fcmi"]["params"][
        "matrix"
    ]
    assert params() == "20 features of X"
    small.layers["raw"] = small.X.copy()
    assert params(layer="raw") == "20 features of layers['raw']"
    small.obsm["X_pca"] = small.X[:, :5].toarray().astype(np.float64)
    assert params(use_rep="X_pca") == "5 dimensions of obsm['X_pca']"
    small.var["mine"] = [True] * 8 + [False] * 12
    assert params(mask_var="mine") == "8 features marked 'mine' of X"
    small.var["highly_variable"] = [True] * 6 + [False] * 14
    assert params() == "6 highly variable genes of X"
    assert params(use_rep="X") == "20 features of X"
    assert params(mask_var=np.ones(20, dtype=bool)) == "20 masked features of X"
    small.obsm["frame"] = pd.DataFrame(small.obsm["X_pca"], index=small.obs_names, columns=list("abcde"))
    assert params(use_rep="frame") == "5 dimensions of obsm['frame']"


@pytest.mark.parametrize(
    "convert", [sp.csc_matrix, sp.coo_matrix, sp.csr_array, lambda X: X.toarray().astype("float64")]
)
def test_matrices_of_every_kind_give_the_same(small, convert):
    scfcmi.tl.fair_cluster(small, "tech", **QUICK)
    small.layers["other"] = convert(small.X) if convert is not sp.coo_matrix else small.X.tocsc()
    scfcmi.tl.fair_cluster(small, "tech", layer="other", key_added="other", **QUICK)
    np.testing.assert_allclose(small.obsm["X_other"], small.obsm["X_fcmi"], atol=1e-5)


def test_backed(small, tmp_path):
    small.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    scfcmi.tl.fair_cluster(small, "tech", **QUICK)
    scfcmi.tl.fair_cluster(backed, "tech", **QUICK)
    assert backed.obs["fcmi"].tolist() == small.obs["fcmi"].tolist()
    backed.file.close()


def test_images_take_the_convolutional_network(small):
    images = np.random.default_rng(0).uniform(-1, 1, (40, 784)).astype(np.float32)
    adata = ad.AnnData(images, obs=pd.DataFrame({"group": ["a", "b"] * 20}, index=map(str, range(40))))
    adata.uns["image_shape"] = np.array([28, 28])
    scfcmi.tl.fair_cluster(adata, "group", n_clusters=2, max_epochs=2, mode="paper")
    assert adata.uns["fcmi"]["params"]["matrix"] == "28 x 28 images of X"


def test_counts_and_huge_values_warn(small):
    small.layers["counts"] = sp.csr_matrix(np.rint(small.X.toarray() * 20))
    with pytest.warns(
        UserWarning, match=r"layers\['counts'\] looks like raw counts.*sc.pp.normalize_total.*sc.pp.log1p"
    ):
        scfcmi.tl.fair_cluster(small, "tech", layer="counts", **QUICK)
    small.layers["huge"] = small.X * 1000.5
    with pytest.warns(UserWarning, match=r"holds values up to .*sc.pp.log1p\(adata\)"):
        scfcmi.tl.fair_cluster(small, "tech", layer="huge", **QUICK)


def test_two_lines_say_what_was_taken(small, caplog):
    with caplog.at_level("INFO", logger="scfcmi"):
        scfcmi.tl.fair_cluster(small, "tech", **QUICK)
    before, after = (record.getMessage() for record in caplog.records)
    assert before == "fair_cluster: 240 cells, 20 features of X, 2 batches of obs['tech']; mode 'atlas'"
    assert after.startswith("fair_cluster: 3 clusters; {'alpha': 0.0, 'beta': 0.0, 'agreement'")


def test_beta_follows_the_composition(small):
    paper = QUICK | {"mode": "paper", "copy": True, "max_epochs": 2}
    even = scfcmi.tl.fair_cluster(small, "tech", **paper).uns["fcmi"]["params"]
    assert (even["beta"], even["balance"], even["beta_rule"]) == (0.20, 0.04, "composition")
    assert even["composition_imbalance"] <= THRESHOLD
    keep = ~((small.obs["label"] == "0") & (small.obs["tech"] == "10x"))
    uneven = scfcmi.tl.fair_cluster(small[keep], "tech", **paper).uns["fcmi"]["params"]
    assert (uneven["beta"], uneven["balance"]) == (0.0, 0.0)
    assert uneven["composition_imbalance"] > THRESHOLD
    # What is given is obeyed.
    given = scfcmi.tl.fair_cluster(small[keep], "tech", beta=0.3, **paper).uns["fcmi"]["params"]
    assert (given["beta"], given["balance"], given["beta_rule"]) == (0.3, 0.04, "given")
    assert "composition_imbalance" not in given
    given = scfcmi.tl.fair_cluster(small[keep], "tech", balance=0.01, **paper).uns["fcmi"]["params"]
    assert (given["beta"], given["balance"]) == (0.0, 0.01)


def test_composition_imbalance_of_real_cells(data_dir):
    """Against the same quantity of the reference labels: .333, .022."""
    dc = ad.read_h5ad(data_dir / "singlecell" / "human_dc.h5ad")
    pbmc = ad.read_h5ad(data_dir / "singlecell" / "pbmc_3tech.h5ad")
    codes = lambda a: a.obs["batch"].astype("category").cat.codes.to_numpy()
    assert composition_imbalance(rows_of(dc.X), codes(dc), 4) > 0.05
    assert THRESHOLD < composition_imbalance(rows_of(pbmc.X), codes(pbmc), 9) < 0.05
    # Batches drawn by chance have one composition.
    chance = np.random.default_rng(1).integers(3, size=pbmc.n_obs)
    assert composition_imbalance(rows_of(pbmc.X), chance, 9) < THRESHOLD
    assert composition_imbalance(rows_of(pbmc.X), chance, 9) == composition_imbalance(rows_of(pbmc.X), chance, 9)


def test_fresh_process_gives_the_same_labels(small, tmp_path):
    scfcmi.tl.fair_cluster(small, "tech", random_state=3, **QUICK)
    small.write_h5ad(tmp_path / "a.h5ad")
    code = (
        "import anndata, scfcmi, sys; a = anndata.read_h5ad(sys.argv[1]);"
        "scfcmi.tl.fair_cluster(a, 'tech', key_added='b', random_state=3, n_clusters=3, max_epochs=15);"
        "sys.exit(not (a.obsm['X_fcmi'] == a.obsm['X_b']).all())"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "a.h5ad")], check=True)


def test_scanpy_works_on_the_graph(small):
    scfcmi.tl.fair_cluster(small, "tech", n_clusters=6, max_epochs=15)
    sc.tl.leiden(small, neighbors_key="fcmi", flavor="igraph", n_iterations=2, directed=False, resolution=0.1)
    assert metrics.ari(small.obs["label"], small.obs["leiden"]) > 0.9
    sc.tl.paga(small, groups="fcmi", neighbors_key="fcmi")
    assert small.uns["paga"]["connectivities"].shape == (6, 6)
    sc.tl.umap(small, neighbors_key="fcmi")
    assert small.obsm["X_umap"].shape == (240, 2)


def test_a_new_result_removes_what_no_longer_holds(small):
    scfcmi.tl.fair_cluster(small, "tech", max_epochs=15)
    scfcmi.tl.choose_n_clusters(small)
    scfcmi.tl.diagnose(small)
    small.obsm["X_fcmi_umap"], small.uns["fcmi_umap"] = np.zeros((240, 2)), {"random_state": 0}
    scfcmi.tl.fair_cluster(small, "tech", n_clusters=2, mode="paper", max_epochs=3)
    assert set(small.uns) == {"fcmi"}
    assert set(small.obsm) == {"X_fcmi", "fcmi_proba"}
    assert not small.obsp
    assert "connectivities_key" not in small.uns["fcmi"]


def test_empty_clusters_are_categories_here_as_in_assign(small):
    """Paper mode may end with a cluster that holds no cell; its column of the assignment stays."""
    model = scfcmi.tl.fit_model(small, "tech", n_clusters=12, mode="paper", max_epochs=2)
    categories = small.obs["fcmi"].cat.categories
    assert len(categories) == small.obsm["fcmi_proba"].shape[1] == model.n_clusters_ == 12
    again = scfcmi.tl.assign(small, model, key_added="again", copy=True)
    assert again.obs["again"].cat.categories.tolist() == categories.tolist()


def test_settings_of_the_default_can_be_reached(small):
    scfcmi.tl.fair_cluster(small, "tech", agreement=2.0, n_neighbors=10, n_components=5, resolution=0.5, max_epochs=3)
    params = small.uns["fcmi"]["params"]
    assert (params["agreement"], params["n_neighbors"], params["resolution"]) == (2.0, 10, 0.5)
    assert small.obsm["X_fcmi"].shape == (240, 10)
    epochs = []
    scfcmi.tl.fit_model(small, "tech", max_epochs=3, callbacks=[epochs.append])
    assert len(epochs) == 3


@pytest.mark.parametrize("argument", [{"precision": "float32"}, {"beta": 0.2}, {"alpha": 0.1}])
def test_no_argument_changes_the_algorithm(small, argument):
    (name,) = argument
    with pytest.raises(TypeError, match=f"mode='atlas' does not take {name}. Drop it, or use mode='paper'"):
        scfcmi.tl.fair_cluster(small, "tech", **argument)
    with pytest.raises(TypeError, match=r"mode='paper' does not take resolution. Drop it, or use mode='atlas'"):
        scfcmi.tl.fair_cluster(small, "tech", mode="paper", n_clusters=3, resolution=0.5)


def test_rng_is_random_state(small):
    scfcmi.tl.fair_cluster(small, "tech", random_state=7, **QUICK)
    embedding = small.obsm["X_fcmi"]
    scfcmi.tl.fair_cluster(small, "tech", rng=7, **QUICK)
    np.testing.assert_array_equal(small.obsm["X_fcmi"], embedding)
    scfcmi.tl.fair_cluster(small, "tech", rng=np.random.default_rng(0), **QUICK)
    with pytest.raises(TypeError, match="two names of one argument"):
        scfcmi.tl.fair_cluster(small, "tech", rng=1, random_state=2, **QUICK)


def test_a_batch_for_every_cell_is_warned_of(small):
    small.obs["cell"] = small.obs_names
    with pytest.warns(UserWarning, match="240 batches for 240 cells"):
        scfcmi.tl.fair_cluster(small, "cell", **QUICK)
    assert metrics.ari(small.obs["label"], small.obs["fcmi"]) > 0.9


def test_interrupt_leaves_adata_untouched(small, monkeypatch):
    before = snapshot(small)

    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("scfcmi.models.atlas.training.find_counterparts", interrupt)
    with pytest.raises(KeyboardInterrupt):
        scfcmi.tl.fair_cluster(small, "tech", **QUICK)
    assert_same(small, before)


def test_real_cells_end_to_end(pbmc):
    """Three chemistries: the default must not let the technology into the clusters as PCA and k-means does (40 %)."""
    scfcmi.tl.fair_cluster(pbmc, "batch", n_clusters=9, max_epochs=40)
    scores = metrics.evaluate_adata(pbmc, "fcmi", "batch", "label")
    assert scores["nmi"] > 0.5
    assert scores["batch_leakage"] < 0.3


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_consensus_of_several_runs(small, tmp_path):
    paper = QUICK | {"mode": "paper", "max_epochs": 4}
    runs = [scfcmi.tl.fit_model(small.copy(), "tech", random_state=s, **paper) for s in (4, 5, 6)]
    soft = scfcmi.consensus([run.assignment_of(run.embedding_) for run in runs])
    model = scfcmi.tl.fit_model(small, "tech", random_state=4, n_runs=3, **paper)
    labels = small.obs["fcmi"].astype(int).to_numpy()
    assert metrics.ari(labels, soft.argmax(axis=1)) == 1
    np.testing.assert_allclose(np.sort(small.obsm["fcmi_proba"], axis=1), np.sort(soft, axis=1), atol=1e-6)
    # The model numbers clusters in the same way. It is the run with which the consensus agrees most.
    assert np.mean(labels == model.labels_) == max(metrics.accuracy(labels, run.labels_) for run in runs)
    sizes = model.history_.filter(regex="^size_").iloc[-1].to_numpy()
    np.testing.assert_array_equal(sizes.argsort(), np.bincount(model.labels_, minlength=3).argsort())
    agreed = small.obs["fcmi_agreement"]
    assert agreed.dtype == np.float32
    assert set((agreed * 3).round().astype(int)) <= {0, 1, 2, 3}
    assert any(np.array_equal(model.embedding_, run.embedding_) for run in runs)
    assert small.uns["fcmi"]["params"]["n_runs"] == 3
    assert 0 <= small.uns["fcmi"]["information"]["I_G_C"] < 1
    # Another result under the same key has no agreement.
    scfcmi.tl.fair_cluster(small, "tech", **QUICK)
    assert "fcmi_agreement" not in small.obs


def test_runs_that_cannot_be(small):
    with pytest.raises(TypeError, match=r"mode='atlas' does not take n_runs. Drop it, or use mode='paper'"):
        scfcmi.tl.fair_cluster(small, "tech", n_runs=3)
    with pytest.raises(ValueError, match=r"checkpoint keeps the state of one run, and n_runs=3. Drop one of them"):
        scfcmi.tl.fair_cluster(small, "tech", mode="paper", n_clusters=3, n_runs=3, checkpoint="state")
    small.obs["fcmi_agreement"] = 1.0
    with pytest.raises(ValueError, match=r"would overwrite adata.obs\['fcmi_agreement'\]"):
        scfcmi.tl.fair_cluster(small, "tech", mode="paper", n_clusters=3, n_runs=3)


def test_after_one_run_the_column_of_agreement_is_the_user_s(small):
    scfcmi.tl.fair_cluster(small, "tech", n_runs=1, mode="paper", **QUICK)
    small.obs["fcmi_agreement"] = "mine"
    with pytest.raises(ValueError, match=r"would overwrite adata.obs\['fcmi_agreement'\]"):
        scfcmi.tl.fair_cluster(small, "tech", **QUICK)
    assert set(small.obs["fcmi_agreement"]) == {"mine"}


@pytest.mark.parametrize("sparse", [True, False])
def test_cells_without_expression_are_told(small, sparse):
    X = np.maximum(small.X.toarray() if sp.issparse(small.X) else small.X, 0)
    if sparse:
        # One of them has a zero that is stored.
        X[:7], X[0, 0] = 0, 1
        small.X = sp.csr_matrix(X)
        small.X.data[0] = 0
    else:
        X[:7] = 0
        small.X = X
    with pytest.warns(UserWarning, match=r"^7 cell\(s\) have no expression in the genes of adata.X that are used"):
        model = scfcmi.tl.fit_model(small, "tech", max_epochs=2)
    with pytest.warns(UserWarning, match=r"^7 cell\(s\) have no expression"):
        scfcmi.tl.assign(small, model)


def test_genes_that_one_batch_has_not(small):
    """``ad.concat(join="outer")`` fills in zeros, and cells are then told apart by what was measured."""
    X = np.maximum(small.X.toarray() if sp.issparse(small.X) else small.X, 0) + 0.1
    one = np.flatnonzero(small.obs["tech"] == small.obs["tech"].iloc[0])
    X[np.ix_(one, [3, 5])] = 0
    for matrix in (X, sp.csr_matrix(X)):
        small.X = matrix
        with pytest.warns(
            UserWarning, match=r"At least 2 of \d+ genes are zero in every cell of batch .* but not in other batches"
        ):
            scfcmi.tl.fair_cluster(small, "tech", max_epochs=1)


@pytest.mark.parametrize("mode", ["atlas", "paper"])
def test_seeds_of_any_size(small, mode):
    scfcmi.tl.fair_cluster(small, "tech", n_clusters=3, mode=mode, max_epochs=1, random_state=2**63)
    scfcmi.tl.umap(small, random_state=2**33 + 1)
    assert small.uns["fcmi_umap"]["random_state"] == 2**33 + 1


@pytest.mark.parametrize("tool", [scfcmi.tl.fair_cluster, scfcmi.tl.umap])
def test_a_seed_that_no_file_holds_is_refused(small, tool):
    if tool is scfcmi.tl.umap:
        small.obsm["X_fcmi"] = np.zeros((small.n_obs, 2), np.float32)
    with pytest.raises(ValueError, match=r"random_state must be a non-negative integer below 2\*\*64"):
        tool(small, "tech" if tool is scfcmi.tl.fair_cluster else "fcmi", random_state=2**64)


def test_fit_model_takes_no_copy(small):
    with pytest.raises(TypeError, match=r"fit_model takes no copy.*give adata.copy\(\)"):
        scfcmi.tl.fit_model(small, "tech", copy=True)


def test_callbacks_are_no_part_of_the_call(small):
    scfcmi.tl.fit_model(small, "tech", n_clusters=3, max_epochs=1, callbacks=[print])
    assert "callbacks" not in small.uns["fcmi"]["params"]["call"]


def test_a_gene_is_expected_at_the_rate_of_the_other_batches():
    """Half of the forty other cells have it, so that a hundred of these two hundred would."""
    X = np.ones((240, 10), np.float32)
    X[:200, 0], X[200::2, 0] = 0, 0
    batches = pd.Categorical(["a"] * 200 + ["b"] * 40)
    with pytest.warns(UserWarning, match="At least 1 of 10 genes are zero in every cell of batch 'a'"):
        warn_of_unmeasured(Matrix(X, "X"), batches)
