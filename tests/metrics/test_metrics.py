from __future__ import annotations

import warnings

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from scipy.stats import entropy as scipy_entropy

from scfcmi import metrics
from scfcmi.models import objective

PUBLISHED = {
    "har": (88.203, 80.680, 40.678, 99.310, 89.031),
    "office31": (69.989, 71.160, 22.581, 90.643, 79.728),
    "mtfl": (70.150, 19.067, 90.423, 99.817, 32.018),
    "reverse_mnist": (88.392, 86.373, 99.542, 100.000, 92.688),
}
# Label, cluster, group: six cells a cluster in the first, fair; the second holds two groups as 3 : 1.
LABELS = ["a"] * 6 + ["b"] * 4
CLUSTERS = [0] * 6 + [1] * 4
GROUPS = ["x", "y"] * 3 + ["x", "x", "x", "y"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_runs_to_three_decimals(name, data_dir):
    table = pd.read_csv(data_dir / "published_runs" / f"{name}.csv")
    cells = table.loc[table.index.repeat(table["count"])]
    scores = metrics.evaluate(cells["label"], cells["cluster"], cells["group"])
    found = 100 * scores[["accuracy", "nmi", "balance", "mnce", "f_beta"]]
    np.testing.assert_allclose(found, PUBLISHED[name], atol=5.1e-4)


def test_by_hand():
    h = scipy_entropy
    assert metrics.accuracy(LABELS, CLUSTERS) == 1
    assert metrics.nmi(LABELS, CLUSTERS) == metrics.ari(LABELS, CLUSTERS) == pytest.approx(1)
    assert metrics.balance(CLUSTERS, GROUPS) == pytest.approx(1 / 3)
    assert metrics.mnce(CLUSTERS, GROUPS) == pytest.approx(h([3, 1]) / h([6, 4]))
    mnce = metrics.mnce(CLUSTERS, GROUPS)
    assert metrics.f_beta(LABELS, CLUSTERS, GROUPS) == pytest.approx(2 * mnce / (1 + mnce))
    assert metrics.f_beta(LABELS, CLUSTERS, GROUPS, beta=2) == pytest.approx(5 * mnce / (4 + mnce))
    assert metrics.f_beta(LABELS, CLUSTERS, GROUPS, beta=0) == pytest.approx(1)
    assert metrics.f_beta(LABELS, CLUSTERS, GROUPS, beta=1e200) == pytest.approx(mnce)
    assert metrics.batch_leakage(LABELS, CLUSTERS, GROUPS) == pytest.approx(0, abs=1e-12)


def test_batch_leakage_by_hand():
    """One label: leakage is I(C;G) / H(G). Splitting it by batch leaks all there is."""
    assert metrics.batch_leakage(["a"] * 4, [0, 0, 1, 1], [0, 0, 1, 1]) == pytest.approx(1)
    assert metrics.batch_leakage(["a"] * 4, [0, 1, 0, 1], [0, 0, 1, 1]) == pytest.approx(0, abs=1e-12)
    one_third = metrics.batch_leakage(["a"] * 4 + ["b"] * 8, [0, 0, 1, 1] + [2] * 8, [0, 0, 1, 1] + [0, 1] * 4)
    assert one_third == pytest.approx(1 / 3)


def test_different_numbers_of_clusters_and_labels():
    assert metrics.accuracy(["a", "a", "b", "b"], [0, 1, 2, 3]) == 0.5
    assert metrics.accuracy(["a", "b", "c", "d"], [0, 0, 0, 0]) == 0.25
    assert 0 < metrics.nmi(["a", "a", "b", "b"], [0, 1, 2, 3]) < 1


def test_clusters_without_cells_do_not_exist():
    clusters = pd.Categorical(np.array(CLUSTERS).astype(str), categories=["0", "1", "2"])
    groups = pd.Categorical(GROUPS, categories=["z", "y", "x"])
    expected = metrics.evaluate(LABELS, CLUSTERS, GROUPS)
    pd.testing.assert_series_equal(metrics.evaluate(LABELS, clusters, groups), expected)


def test_one_group():
    with pytest.warns(UserWarning, match="MNCE is undefined with one group"):
        scores = metrics.evaluate(LABELS, CLUSTERS, ["x"] * 10)
    assert np.isnan(scores["mnce"])
    assert np.isnan(scores["f_beta"])
    with pytest.warns(UserWarning, match="MNCE is undefined with one group"):
        assert np.isnan(metrics.f_beta([0, 0, 1, 1], [0, 1, 0, 1], ["x"] * 4))
    assert scores["balance"] == 1
    assert scores["batch_leakage"] == 0


def test_label_in_one_group_each_cannot_leak():
    assert metrics.batch_leakage(["a", "a", "b"], [0, 1, 2], ["x", "x", "y"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a", None], [0, 1], ["x", "y"]), "labels is missing for 1 of 2 cells"),
        ((["a", "b"], [0, np.nan], ["x", "y"]), "clusters is missing for 1 of 2 cells"),
        ((["a", "b"], [0, 1], ["x"]), "groups has 1 entries for 2 cells"),
        (([], [], []), "there is nothing to measure"),
        (([["a"], ["b"]], [0, 1], ["x", "y"]), "labels must be one-dimensional"),
    ],
)
def test_wrong_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.evaluate(*arguments)


def test_negative_beta():
    with pytest.raises(ValueError, match="beta must be finite and at least 0, got -1"):
        metrics.f_beta(LABELS, CLUSTERS, GROUPS, beta=-1)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_two_groups_mnce_is_a_function_of_balance(a, b, c, d):
    """MNCE = H2(b / (1 + b)) / H2(p0), b the worst cluster's ratio, p0 the smaller group's share."""
    clusters = np.repeat([0, 0, 1, 1], [a, b, c, d])
    groups = np.repeat([0, 1, 0, 1], [a, b, c, d])
    ratio = metrics.balance(clusters, groups)
    share = min(a + c, b + d) / (a + b + c + d)
    expected = scipy_entropy([ratio, 1]) / scipy_entropy([share, 1 - share])
    assert metrics.mnce(clusters, groups) == pytest.approx(expected)


triples = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=60)


@given(triples)
def test_ranges_and_indifference_to_names_and_order(cells):
    labels, clusters, groups = (np.array(c) for c in zip(*cells, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        scores = metrics.evaluate(labels, clusters, groups)
        order = np.random.default_rng(0).permutation(len(labels))
        renamed = metrics.evaluate(labels[order] * -3, [f"c{c}" for c in clusters[order]], groups[order] == groups[0])
        again = metrics.evaluate(
            labels[order] * -3, [f"c{c}" for c in clusters[order]], [f"g{g}" for g in groups[order]]
        )
    assert scores.drop("ari").dropna().between(-1e-12, 1 + 1e-9).drop("mnce", errors="ignore").all()
    pd.testing.assert_series_equal(scores, again)
    assert renamed["nmi"] == pytest.approx(scores["nmi"])


@given(triples)
def test_reference_labels_do_not_leak(cells):
    labels, _, groups = zip(*cells, strict=True)
    assert metrics.batch_leakage(labels, labels, groups) == pytest.approx(0, abs=1e-9)


def test_leakage_of_many_labels_clusters_and_batches():
    """A table of all combinations would take 200 GB."""
    each = np.arange(3000)
    assert metrics.batch_leakage(each // 2, each, each) == pytest.approx(1)


def test_masked_labels_are_missing():
    with pytest.raises(ValueError, match="labels is missing for 3 of 10 cells"):
        metrics.ari(np.ma.MaskedArray(LABELS, mask=np.arange(10) < 3), CLUSTERS)


def test_tensors():
    tensors = (torch.tensor(pd.factorize(np.array(values))[0]) for values in (LABELS, CLUSTERS, GROUPS))
    pd.testing.assert_series_equal(metrics.evaluate(*tensors), metrics.evaluate(LABELS, CLUSTERS, GROUPS))


def test_series_are_matched_by_name():
    names = [f"cell{i}" for i in range(10)]
    labels, clusters, groups = (pd.Series(values, index=names) for values in (LABELS, CLUSTERS, GROUPS))
    expected = metrics.evaluate(labels, clusters, groups)
    shuffled = metrics.evaluate(labels, clusters.sample(frac=1, random_state=0), groups.sample(frac=1, random_state=1))
    pd.testing.assert_series_equal(shuffled, expected)
    # Without an index, cells are taken in order. Where Series differ in order, in whose?
    for scores in (metrics.evaluate, metrics.f_beta, metrics.batch_leakage):
        with pytest.raises(ValueError, match="Series whose indices differ, and groups has no index"):
            scores(labels, clusters.sample(frac=1, random_state=0), groups.to_numpy())
    pd.testing.assert_series_equal(metrics.evaluate(LABELS, clusters, groups.to_numpy()), expected)
    with pytest.raises(ValueError, match=r"clusters is a Series .* index is not that of labels.*clusters.to_numpy\(\)"):
        metrics.ari(labels, clusters.rename(str.upper))
    twice = ["same", "same", *names[2:]]
    assert metrics.ari(labels.set_axis(twice), clusters.set_axis(twice)) == pytest.approx(1)
    with pytest.raises(ValueError, match="index is not that of"):
        metrics.balance(clusters.set_axis(twice), groups.set_axis(twice)[::-1])


def test_beta_reaches_evaluate():
    for beta in (0, 2):
        expected = metrics.f_beta(LABELS, CLUSTERS, GROUPS, beta=beta)
        assert (
            metrics.evaluate(LABELS, CLUSTERS, GROUPS, beta=beta)["f_beta"]
            == expected
            != pytest.approx(metrics.f_beta(LABELS, CLUSTERS, GROUPS))
        )


def test_rounding_is_no_leakage():
    """Every label in one group, in such numbers that the entropies differ by rounding."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels = rng.integers(9, size=100)
        assert metrics.batch_leakage(labels, rng.integers(4, size=100), labels % 3) == 0


def test_nothing_is_negative():
    rng = np.random.default_rng(0)
    for _ in range(50):
        labels, groups = rng.integers(7, size=40), rng.integers(3, size=40)
        assert metrics.batch_leakage(labels, labels, groups) >= 0
        soft = torch.from_numpy(rng.dirichlet(np.ones(4), 40))
        assert min(objective.information(soft, torch.zeros(40, dtype=torch.int64), 1).values()) >= 0
