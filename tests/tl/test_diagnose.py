from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from sklearn.cluster import KMeans

import scfcmi
from scfcmi.models.atlas import presence


@pytest.fixture
def shifted() -> ad.AnnData:
    """Four types in two batches: one in the first only, one that clusters follow the batch in."""
    rng = np.random.default_rng(0)
    types = np.repeat([0, 1, 2, 3], [200, 200, 200, 100])
    batches = np.where(types == 3, 0, np.arange(700) % 2)
    centers = rng.normal(size=(4, 10)) * 5
    X = centers[types] + rng.normal(size=(700, 10)) + batches[:, None] * rng.normal(size=10)
    clusters = np.where((types == 2) & (batches == 1), 4, types)
    obs = pd.DataFrame({"batch": np.array(["a", "b"])[batches], "mine": pd.Categorical(clusters.astype(str))})
    adata = ad.AnnData(X.astype(np.float32), obs=obs.set_index(obs.index.astype(str)))
    adata.obsm["rep"] = adata.X / np.linalg.norm(adata.X, axis=1, keepdims=True)
    return adata


def test_what_another_tool_stored_is_not_ours(shifted):
    """scanpy keeps its own params under the name of its clusters."""
    shifted.uns["mine"] = {"params": {"resolution": 1.0, "random_state": 0, "n_iterations": 2}}
    table = scfcmi.tl.diagnose(shifted, "mine", batch_key="batch", use_rep="rep")
    assert len(table) == 5
    assert "training" not in shifted.uns["mine_diagnosis"]
    scores = scfcmi.tl.evaluate(shifted, "mine", "batch")
    assert list(scores.index) == ["balance", "mnce"]


def test_biology_is_told_from_batch(shifted, capsys):
    returned = scfcmi.tl.diagnose(shifted, "mine", batch_key="batch", use_rep="rep")
    found = shifted.uns["mine_diagnosis"]
    table = found["clusters"]
    assert "training" not in found
    assert table.loc[["0", "1"], "verdict"].tolist() == ["ok", "ok"]
    assert table["verdict"]["2"] == "only in a; such cells elsewhere are in cluster 4: likely the batch"
    assert table["verdict"]["4"] == "only in b; such cells elsewhere are in cluster 2: likely the batch"
    assert table["verdict"]["3"] == "only in a; no such cells elsewhere: likely biology"
    assert table["n_cells"].tolist() == [200, 200, 100, 100, 100]
    assert table["confidence"].isna().all()
    for column in ("n_expected_elsewhere", "frac_matched_elsewhere", "distance_elsewhere"):
        assert table[column].notna().tolist() == [False, False, True, True, True]
    assert table["counterparts"].tolist() == ["", "", "4", "", "2"]
    assert table[["own_links", "n_parts"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(returned, table)
    assert capsys.readouterr() == ("", "")


def test_all_samples_of_one_laboratory(shifted):
    """Seven of a, three of b: type 2 is a cluster of each laboratory, and what a alone has stays biology."""
    rng = np.random.default_rng(0)
    laboratory = shifted.obs["batch"].to_numpy()
    shifted.obs["sample"] = [f"{name}{rng.integers(7 if name == 'a' else 3)}" for name in laboratory]
    scfcmi.tl.diagnose(shifted, "mine", batch_key="sample", use_rep="rep")
    verdicts = shifted.uns["mine_diagnosis"]["clusters"]["verdict"]
    assert verdicts[["0", "1"]].tolist() == ["ok", "ok"]
    assert verdicts["2"] == "not in b0, b1, b2; such cells there are in cluster 4: likely the batch"
    assert verdicts["4"] == "only in b0, b1, b2; such cells elsewhere are in cluster 2: likely the batch"
    assert verdicts["3"] == "not in b0, b1, b2; no such cells there: likely biology"


def test_thin_evidence_says_nothing(shifted):
    """Twenty cells of a type that b lacks: few would be expected there, so that their absence may be chance."""
    few = shifted[np.r_[:600, 600:620]].copy()
    verdicts = scfcmi.tl.diagnose(few, "mine", batch_key="batch", use_rep="rep")["verdict"]
    assert verdicts["3"] == "only in a; too few cells to judge elsewhere: cannot tell"
    # Without a cluster of both batches, nothing says whether 2 is a type of its own or shifted.
    alone = shifted[
        shifted.obs["mine"].isin(["2", "3"]) | ((shifted.obs["mine"] == "0") & (shifted.obs["batch"] == "b"))
    ]
    verdicts = scfcmi.tl.diagnose(alone.copy(), "mine", batch_key="batch", use_rep="rep")["verdict"]
    assert verdicts["3"] == "only in a; no cluster shows how far batches lie apart: cannot tell"


def test_types_in_one_cluster_and_cells_at_random(small):
    """What the graph holds apart is not "ok" in one cluster, nor are clusters that it does not know."""
    scfcmi.tl.fair_cluster(small, "tech", n_clusters=3, random_state=1)
    found = small.obs["fcmi"].astype(str)
    table = scfcmi.tl.diagnose(small)
    assert table["verdict"].tolist() == ["ok"] * 3
    assert (table["own_links"] > 0.9).all()
    assert (table["n_parts"] == 1).all()
    small.obs["fcmi"] = found.replace("1", "0").astype("category")
    table = scfcmi.tl.diagnose(small)
    assert table["n_parts"].to_dict() == {"0": 2, "2": 1}
    assert table["verdict"]["0"].startswith("could be split into 2")
    small.obs["fcmi"] = pd.Categorical(np.random.default_rng(0).integers(3, size=small.n_obs).astype(str))
    table = scfcmi.tl.diagnose(small)
    assert (table["own_links"] < 0.5).all()
    assert table["verdict"].str.contains("most of its links lead to other clusters").all()


def test_small_batches_lack_clusters_by_chance(shifted):
    shifted.obs["sample"] = np.arange(700) % 150
    scfcmi.tl.diagnose(shifted, "mine", batch_key="sample", use_rep="rep")
    assert set(shifted.uns["mine_diagnosis"]["clusters"]["verdict"]) == {"ok"}


def test_of_a_fit(small, tmp_path):
    scfcmi.tl.fair_cluster(small, "tech", n_clusters=3, random_state=1)
    scfcmi.tl.diagnose(small)
    found = small.uns["fcmi_diagnosis"]
    assert found["training"] == "Training had settled."
    assert found["clusters"]["verdict"].tolist() == ["ok"] * 3
    assert found["clusters"]["confidence"].between(0.9, 1).all()
    assert found["clusters"]["n_cells"].sum() == 240
    assert found["information"] == small.uns["fcmi"]["information"]
    small.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad").uns["fcmi_diagnosis"]["clusters"]
    pd.testing.assert_frame_equal(again, found["clusters"], check_names=False, check_dtype=False)
    scfcmi.tl.fair_cluster(small, "tech", n_clusters=3, max_epochs=4)
    scfcmi.tl.diagnose(small)
    assert small.uns["fcmi_diagnosis"]["training"] == "Training had not settled after 4 epochs. Raise max_epochs."


@pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")
def test_of_paper_mode_and_of_small_clusters(small):
    scfcmi.tl.fair_cluster(small, "tech", n_clusters=3, mode="paper", max_epochs=3)
    scfcmi.tl.diagnose(small)
    words = small.uns["fcmi_diagnosis"]["training"]
    changed = small.uns["fcmi"]["history"]["changed"].iloc[-1]
    assert words.startswith("Training had not settled" if changed > 0.01 else "Training had settled")
    small.obs["mine"] = ["few"] * 5 + ["many"] * 235
    scfcmi.tl.diagnose(small, "mine", batch_key="tech", use_rep="X_fcmi")
    assert small.uns["mine_diagnosis"]["clusters"]["verdict"].tolist() == ["tiny", "ok"]


def test_wrong_keys(small):
    with pytest.raises(KeyError, match=r"Run scfcmi\.tl\.fair_cluster"):
        scfcmi.tl.diagnose(small)
    small.obs["mine"] = small.obs["label"]
    with pytest.raises(ValueError, match=r"Give batch_key, the column of adata.obs with the batches"):
        scfcmi.tl.diagnose(small, "mine")
    with pytest.raises(KeyError, match=r"X_mine' not found in adata\.obsm"):
        scfcmi.tl.diagnose(small, "mine", batch_key="tech")


def test_k_means_of_blood_follows_the_chemistry(pbmc):
    """B and T cells of one chemistry are clusters of their own to PCA and k-means, in truth they are no other type."""
    sc.pp.pca(pbmc, n_comps=30)
    pbmc.obs["km"] = pd.Categorical(KMeans(9, n_init=5, random_state=0).fit_predict(pbmc.obsm["X_pca"]).astype(str))
    scfcmi.tl.diagnose(pbmc, "km", batch_key="batch", use_rep="X_pca")
    table = pbmc.uns["km_diagnosis"]["clusters"]
    wrong = table[table["verdict"].str.contains("likely the batch")]
    assert len(wrong) >= 2
    top = pd.crosstab(pbmc.obs["km"], pbmc.obs["label"]).idxmax(axis=1)
    assert (top[wrong["counterparts"]].to_numpy() == top[wrong.index].to_numpy()).all()


def test_after_assign_training_is_judged_as_after_the_fit(small):
    """Fewer cells than the fit had mini-batches for: what is told is the model's training."""
    model = scfcmi.tl.fit_model(small, "tech")
    scfcmi.tl.diagnose(small)
    few = small[::4].copy()
    scfcmi.tl.assign(few, model, batch_key="tech")
    scfcmi.tl.diagnose(few)
    assert few.uns["fcmi_diagnosis"]["training"] == small.uns["fcmi_diagnosis"]["training"] == "Training had settled."
    # The information is that of these cells.
    found = few.uns["fcmi_diagnosis"]["information"]
    assert found == scfcmi.tl.evaluate(few, "fcmi", "tech")[list(found)].to_dict()
    assert list(found) == list(model.information_)
    assert found != model.information_
    one = few[few.obs["fcmi"] == "0"].copy()
    scores = scfcmi.tl.evaluate(one, "fcmi", "tech")
    assert max(scores["H_C"], scores["I_G_C"]) < 0.01
    # Joined clusters are not those of the probabilities; renamed ones are.
    few.obs["fcmi"] = few.obs["fcmi"].cat.rename_categories({"0": "T", "1": "B"})
    assert scfcmi.tl.evaluate(few, "fcmi", "tech")["H_C"] == found["H_C"]
    few.obs["fcmi"] = few.obs["fcmi"].astype(str).replace("B", "T")
    assert "H_C" not in scfcmi.tl.evaluate(few, "fcmi", "tech")
    assert scfcmi.tl.diagnose(few)["confidence"].isna().all()


def test_a_few_cells_elsewhere_are_not_none(shifted):
    """Type 3 of a, with two cells of b."""
    for n_few, words in ((0, "only in a; "), (2, "mostly in a; ")):
        batches = shifted.obs["batch"].to_numpy().copy()
        batches[np.flatnonzero((shifted.obs["mine"] == "3").to_numpy())[:n_few]] = "b"
        shifted.obs["some"] = batches
        scfcmi.tl.diagnose(shifted, "mine", batch_key="some", use_rep="rep")
        assert shifted.uns["mine_diagnosis"]["clusters"]["verdict"]["3"].startswith(words)


@pytest.mark.parametrize("lacking", [["c"], ["c", "e"]])
def test_a_batch_without_such_cells_is_not_named_as_one_that_has_them(lacking):
    """Batch d has 8 cells, none of cluster 0: too few to lack it, and no batch that holds it."""
    rng = np.random.default_rng(0)
    sizes = {("1", "a"): 900, ("1", "b"): 900, ("1", "d"): 8, ("0", "a"): 100, ("0", "b"): 100}
    sizes |= {("1", name): 1000 for name in lacking}
    obs = pd.DataFrame([name for name, size in sizes.items() for _ in range(size)], columns=["mine", "batch"])
    means = {name: rng.normal(size=10) * 4 for name in "01"}
    X = np.stack([means[name] for name in obs["mine"]]) + 0.3 * rng.normal(size=(len(obs), 10))
    adata = ad.AnnData(obs=obs.astype("category").set_index(obs.index.astype(str)), obsm={"rep": X})
    table = scfcmi.tl.diagnose(adata, "mine", batch_key="batch", use_rep="rep")
    assert table["verdict"]["0"] == f"not in {', '.join(lacking)}; no such cells there: likely biology"


def test_unsure_clusters_are_told(clustered):
    clustered.uns["fcmi"]["params"] |= {"settled": True, "n_epochs": 30}
    proba = clustered.obsm["fcmi_proba"]
    labels = proba.argmax(axis=1)
    assert not scfcmi.tl.diagnose(clustered, batch_key="tech")["verdict"].str.contains("unsure").any()
    first = labels == 0
    proba[first] = np.float32([0.6, 0.2, 0.2])
    table = scfcmi.tl.diagnose(clustered, batch_key="tech")
    assert table["verdict"].str.contains("unsure of its cells").tolist() == [True, False, False]
    assert table["confidence"].iloc[0] == pytest.approx(0.6)


def test_shares_are_of_batches_of_one_size(clustered):
    """Ninety cells of a large batch and thirty of one a quarter its size: the small one has the larger share."""
    clustered.uns["fcmi"]["params"] |= {"settled": True, "n_epochs": 30}
    clustered.obs["tech"] = ["large"] * 192 + ["small"] * 48
    clustered.obs["mine"] = ["0"] * 90 + ["1"] * 102 + ["0"] * 30 + ["1"] * 18
    table = scfcmi.tl.diagnose(clustered, "mine", batch_key="tech", use_rep="X_fcmi")
    assert table["batch"].tolist() == ["small", "large"]
    small, large = (30 / 48, 90 / 192), (102 / 192, 18 / 48)
    np.testing.assert_allclose(table["batch_share"], [rates[0] / sum(rates) for rates in (small, large)])


def test_clusters_of_ones_own_are_looked_up_in_the_graph(small):
    scfcmi.tl.fair_cluster(small, "tech", max_epochs=2)
    small.obs["random"] = np.random.default_rng(0).integers(3, size=small.n_obs).astype(str)
    table = scfcmi.tl.diagnose(small, "random", batch_key="tech", use_rep="X_fcmi")
    assert table["verdict"].str.contains("most of its links lead to other clusters").all()
    small.obs["named"] = small.obs["fcmi"].astype(str).map("type {}".format)
    named, found = (scfcmi.tl.diagnose(small, key, batch_key="tech", use_rep="X_fcmi") for key in ("named", "fcmi"))
    assert named["own_links"].tolist() == found["own_links"].tolist()
    # Without the graph nothing is said.
    del small.obsp["fcmi_connectivities"], small.uns["fcmi"]
    assert scfcmi.tl.diagnose(small, "random", batch_key="tech", use_rep="X_fcmi")["own_links"].isna().all()


def test_a_diagnosis_can_be_repeated(clustered, monkeypatch):
    monkeypatch.setattr(presence, "_MAX_CELLS", 150)
    monkeypatch.setattr(presence, "_MAX_MATCHED", 100)
    clustered.uns["fcmi"]["params"] |= {"settled": True, "n_epochs": 30}
    clustered.obs["tech"] = np.where((np.arange(240) % 2 == 0) & (clustered.obs["fcmi"] != "0"), "b", "a")
    tables = [scfcmi.tl.diagnose(clustered, batch_key="tech") for _ in range(2)]
    assert tables[0]["distance_elsewhere"].notna().any()
    pd.testing.assert_frame_equal(*tables)
