from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import scfcmi


def test_a_panel_a_term(clustered):
    axes = scfcmi.pl.history(clustered, show=False)
    history = clustered.uns["fcmi"]["history"]
    assert len(axes) == 10
    assert [ax.get_title() for ax in axes][6:8] == ["I(G;C), nats", "I(X;C|G), nats"]
    for ax, term in zip(axes, history.columns[:9], strict=False):
        (line,) = ax.lines
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 31))
        np.testing.assert_array_equal(line.get_ydata(), history[term])
        # Warm-up is marked, from before the first epoch to after the sixth.
        (span,) = ax.patches
        np.testing.assert_allclose(span.get_extents().transformed(ax.transData.inverted()).intervalx, (0.5, 6.5))
    assert [mpl.colors.to_hex(line.get_color()) for line in axes[9].lines] == clustered.uns["fcmi_colors"]
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["warm-up"]


def test_other_terms_and_no_phases(clustered):
    frame = pd.DataFrame({"loss": [2.0, 1.0], "L_agr": [1.0, 0.5], "surprise": [0, 1]}, index=["1", "2"])
    clustered.uns["fcmi"] = {"params": {"batch_key": "tech"}, "history": frame}
    axes = scfcmi.pl.history(clustered, show=False)
    assert [ax.get_title() for ax in axes] == ["loss", r"$L_\mathrm{agr}$", "surprise"]
    assert not any(ax.patches or ax.get_legend() for ax in axes)


def test_compare(clustered):
    first = clustered.uns["fcmi"]["history"]
    runs = {"both": first, "neither": first * 2}
    axes = scfcmi.pl.history(runs, ["I_X_C_given_G", "I_G_C"], warmup_epochs=6, show=False)
    assert [len(ax.lines) for ax in axes] == [2, 2]
    assert axes[0].get_legend() is None
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["both", "neither", "warm-up"]
    assert len(scfcmi.pl.history(runs, show=False)) == 9
    (ax,) = scfcmi.pl.history(first, ["sizes"], show=False)
    assert len(ax.lines) == 3


def test_wrong_arguments(clustered):
    with pytest.raises(KeyError, match="Did you mean 'I_G_C'"):
        scfcmi.pl.history(clustered, ["I_GC"])
    with pytest.raises(KeyError, match=r"Run scfcmi\.tl\.fair_cluster"):
        scfcmi.pl.history(clustered, key="other")


def test_n_clusters(clustered):
    curve = pd.DataFrame({"n_clusters": [4, 2, 3], "separation": [0.5, 0.6, 0.9], "separation_sd": [0.1, 0.1, 0.2]})
    curve["modularity"] = [0.7, 0.3, 0.6]
    clustered.uns["fcmi_n_clusters"] = {"curve": curve, "n_clusters": 3, "criterion": "separation"}
    ax = scfcmi.pl.n_clusters(clustered, show=False)
    line, other, mark, point = ax.lines
    np.testing.assert_allclose(line.get_xydata(), [(2, 0.6), (3, 0.9), (4, 0.5)])
    np.testing.assert_allclose(other.get_xydata(), [(2, 0.3), (3, 0.6), (4, 0.7)])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["separation", "modularity"]
    assert list(mark.get_xdata()) == [3, 3]
    np.testing.assert_allclose(point.get_xydata(), [(3, 0.9)])
    assert [text.get_text() for text in ax.texts] == ["3 clusters"]
    low, high = ax.collections[0].get_datalim(ax.transData).intervaly
    np.testing.assert_allclose((low, high), (0.4, 1.1))
    with pytest.raises(KeyError, match=r"choose_n_clusters\(adata, batch_key\)"):
        scfcmi.pl.n_clusters(clustered, key="other")
