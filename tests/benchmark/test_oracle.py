from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scfcmi import metrics
from scfcmi.baselines import fair_repair
from scfcmi.benchmark._oracle import oracle_repair
from scfcmi.datasets._digits import read_idx


def scores(labels, clusters, groups):
    found = metrics.evaluate(labels, clusters, groups)
    return 100 * found[["accuracy", "nmi", "mnce", "f_beta"]]


def published(data_dir, name):
    table = pd.read_csv(data_dir / "published_runs" / f"{name}.csv")
    return table.loc[table.index.repeat(table["count"]), ["label", "cluster", "group"]].to_numpy().T


def test_bounds_f_beta():
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(["a", "b"], [300, 100]))
    # Composition differs: the second label is rare in group b.
    labels = np.where(rng.random(400) < np.where(groups == "a", 0.5, 0.15), "x", "y")
    repaired = oracle_repair(labels, groups)
    assert metrics.f_beta(labels, repaired, groups) > metrics.f_beta(labels, labels, groups)


def test_fair_labels_stay():
    labels, groups = np.tile(["x", "y", "z"], 20), np.repeat([0, 1], 30)
    assert metrics.ari(labels, oracle_repair(labels, groups)) == 1


# F_beta of the true labels, then ACC, NMI, MNCE and F_beta of their repair, from class and group counts alone.
@pytest.mark.parametrize(
    ("name", "of_labels", "repaired"),
    [("har", 99.8, (100, 100, 99.7, 99.8)), ("mtfl", 100, (100,) * 4), ("office31", 84.0, (97.7, 97.0, 99.0, 98.0))],
)
def test_bounds_of_the_published_data(name, of_labels, repaired, data_dir):
    labels, _, groups = published(data_dir, name)
    assert scores(labels, labels, groups)["f_beta"] == pytest.approx(of_labels, abs=0.05)
    np.testing.assert_allclose(scores(labels, oracle_repair(labels, groups), groups), repaired, atol=0.06)


def test_bounds_of_the_mouse_atlas(data_dir):
    file = "filtered_total_sample_ext_organ_celltype_batch.txt.gz"
    cells = pd.read_csv(data_dir / "mouse_atlas" / file, sep="\t")
    labels, groups = cells["ct"].to_numpy(), cells["batch"].to_numpy()
    assert scores(labels, labels, groups)["f_beta"] == pytest.approx(59.5, abs=0.05)
    found = scores(labels, oracle_repair(labels, groups), groups)
    np.testing.assert_allclose(found, (90.3, 89.0, 92.5, 90.7), atol=0.06)


def test_bounds_of_mnist_usps(data_dir):
    mnist = read_idx(data_dir / "mnist" / "train-labels-idx1-ubyte.gz")
    usps = pd.read_csv(data_dir / "usps" / "zip.train.gz", sep=" ", header=None, usecols=[0])[0].to_numpy().astype(int)
    labels, groups = np.concatenate([mnist, usps]), np.repeat(["mnist", "usps"], [len(mnist), len(usps)])
    assert scores(labels, labels, groups)["f_beta"] == pytest.approx(91.7, abs=0.05)
    np.testing.assert_allclose(
        scores(labels, oracle_repair(labels, groups), groups), (99.0, 97.7, 100, 98.8), atol=0.06
    )


@pytest.mark.parametrize(("name", "before", "after"), [("office31", 79.7, 81.6), ("mtfl", 32.0, 29.5)])
def test_repair_of_published_clusters(name, before, after, data_dir):
    """Members drawn blindly, at no tolerance: it pays where MNCE was low, and costs where it was near one."""
    labels, clusters, groups = published(data_dir, name)
    assert scores(labels, clusters, groups)["f_beta"] == pytest.approx(before, abs=0.05)
    certain = clusters[:, None] == np.unique(clusters)
    blind = certain + 1e-6 * np.random.default_rng(0).random(certain.shape)
    repaired = fair_repair(blind, groups, delta=0, fair_enough=1.1)
    assert scores(labels, repaired, groups)["f_beta"] == pytest.approx(after, abs=0.3)
