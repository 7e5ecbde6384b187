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
    clustered.uns["fcmi"] = {"params": {"batch_key": "tech", "version": "0", "matrix": "X"}, "history": frame}
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
    curve = pd.DataFrame(
        {
            "resolution": [1.0, 0.2, 0.4],
            "n_clusters": [6, 2, 3],
            "modularity": [0.6, 0.3, 0.7],
            "stability": [0.8, 0.9, 1.0],
            "separation": [0.5, 0.8, 0.9],
        }
    )
    clustered.uns["fcmi_n_clusters"] = {"curve": curve}
    clustered.uns["fcmi"]["params"]["resolution"] = 0.4
    ax = scfcmi.pl.n_clusters(clustered, show=False)
    stability, separation, modularity, used = ax.lines
    np.testing.assert_allclose(stability.get_xydata(), [(0.2, 0.9), (0.4, 1.0), (1.0, 0.8)])
    np.testing.assert_allclose(separation.get_xydata(), [(0.2, 0.8), (0.4, 0.9), (1.0, 0.5)])
    np.testing.assert_allclose(modularity.get_xydata(), [(0.2, 0.3), (0.4, 0.7), (1.0, 0.6)])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "stability",
        "separation",
        "modularity",
        "in use",
    ]
    assert list(used.get_xdata()) == [0.4, 0.4]
    assert [text.get_text() for text in ax.texts] == ["2", "3", "6"]
    with pytest.raises(KeyError, match=r"Run scfcmi\.tl\.choose_n_clusters\(adata, key='other'\) first"):
        scfcmi.pl.n_clusters(clustered, key="other")


def test_information_is_a_panel_where_the_history_lacks_it(clustered):
    """Atlas mode knows these four terms at the end of training only."""
    clustered.uns["fcmi"]["information"] = {"H_C": 1.1, "H_C_given_X": 0.1, "I_G_C": 0.02, "I_X_C_given_G": 0.98}
    history = clustered.uns["fcmi"]["history"]
    assert "information at the end" not in [ax.get_title() for ax in scfcmi.pl.history(clustered, show=False)]
    clustered.uns["fcmi"]["history"] = history[["loss", "L_rec"]]
    panels = scfcmi.pl.history(clustered, show=False)
    assert panels[-1].get_title() == "information at the end"
    widths = [bar.get_width() for bar in panels[-1].patches]
    np.testing.assert_allclose(widths, [0.98, 0.02, 0.1, 1.1])
