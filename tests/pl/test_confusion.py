from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scfcmi


@pytest.fixture
def confused(clustered):
    """Labels a (120 cells), b (80), c (40); clusters: 2 is b, 1 most of a, 0 the rest of a, 3 is c with some of a."""
    label = np.repeat(["a", "b", "c"], [120, 80, 40])
    cluster = np.repeat(["1", "0", "3", "2", "3"], [70, 40, 10, 80, 40])
    clustered.obs["label"], clustered.obs["fcmi"] = pd.Categorical(label), pd.Categorical(cluster)
    return clustered


def test_matched_clusters_are_on_the_diagonal(confused):
    ax = scfcmi.pl.confusion(confused, "label", show=False)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "2", "3", "0"]
    values = ax.images[0].get_array()
    np.testing.assert_allclose(values[0].filled(0), [70 / 1.2, 0, 10 / 1.2, 40 / 1.2])
    np.testing.assert_allclose(values.diagonal(), [70 / 1.2, 100, 100])
    # What is empty has no number.
    assert [text.get_text() for text in ax.texts] == ["58", "8", "33", "100", "100"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("fcmi", "label")


def test_share_of_clusters(confused):
    ax = scfcmi.pl.confusion(confused, "label", normalize="cluster", show=False)
    np.testing.assert_allclose(ax.images[0].get_array().filled(0).sum(axis=0), 100)


def test_missing_labels_are_left_out(confused):
    confused.obs.loc[confused.obs["label"] == "c", "label"] = None
    ax = scfcmi.pl.confusion(confused, "label", show=False)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]
    confused.obs["nothing"] = pd.Categorical([None] * 240, categories=["a"])
    with pytest.raises(ValueError, match="no cell has both"):
        scfcmi.pl.confusion(confused, "nothing")


def test_wrong_arguments(confused):
    with pytest.raises(ValueError, match="normalize must be one of"):
        scfcmi.pl.confusion(confused, "label", normalize="labels")
    with pytest.raises(KeyError, match="Did you mean 'label'"):
        scfcmi.pl.confusion(confused, "labels")


def test_confidence(clustered):
    proba = np.full((240, 3), 0.01)
    proba[np.arange(240), clustered.obs["fcmi"].cat.codes] = np.where(clustered.obs["fcmi"] == "1", 0.45, 0.99)
    clustered.obsm["fcmi_proba"] = proba
    ax = scfcmi.pl.confidence(clustered, show=False)
    shares = {bars.get_label(): [bar.get_height() for bar in bars] for bars in ax.containers}
    ones = (clustered.obs["fcmi"] == "1").mean()
    np.testing.assert_allclose(shares["< 0.5"], [ones, 0, 1, 0])
    np.testing.assert_allclose(shares["≥ 0.99"], [1 - ones, 1, 0, 1])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["all", "0", "1", "2"]
    with pytest.raises(KeyError, match=r"Run scfcmi\.tl\.fair_cluster"):
        scfcmi.pl.confidence(clustered, key="label")
