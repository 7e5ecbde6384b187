from __future__ import annotations

import runpy
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from scfcmi import benchmark

GRID = pd.DataFrame({"alpha": [0.1, 0.1], "beta": [0.1, 0.2], "accuracy": [0.5, 0.6], "mnce": [0.9, 1.0]})
ROW = {"dataset": "har", "subset": np.nan, "method": "fcmi", "epochs": 10.0, "note": "", "nmi": 60.0, "nmi_sd": 1.0}
PLOTS = {
    "plot_sensitivity": (GRID,),
    "plot_reconstructions": (np.ones((3, 2, 4, 4)),),
    "plot_table": (pd.DataFrame([ROW]), ["nmi"]),
}


def test_every_plot_is_here_and_in_the_gallery():
    gallery = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "gallery.py"), run_name="gallery")
    assert set(PLOTS) == {name for name in benchmark.__all__ if name.startswith("plot_")}
    assert set(PLOTS) < set(gallery["CALLS"])


@pytest.mark.parametrize("name", PLOTS)
def test_as_all_plots(name, check_plot):
    check_plot(getattr(benchmark, name), *PLOTS[name])


def test_sensitivity():
    rows = [(a, b, a + b, 0.5) for a in (0.01, 0.1) for b in (0.05, 0.2, 0.8)]
    table = pd.DataFrame(rows, columns=["alpha", "beta", "accuracy", "mnce"]).sample(frac=1, random_state=0)
    axes = benchmark.plot_sensitivity(table, show=False)
    assert [ax.get_title() for ax in axes] == ["ACC", "MNCE"]
    # Alpha grows upwards, beta to the right.
    np.testing.assert_allclose(axes[0].images[0].get_array(), [[15, 30, 90], [6, 21, 81]])
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["0.1", "0.01"]
    assert [text.get_text() for text in axes[0].get_xticklabels()] == ["0.05", "0.2", "0.8"]
    assert [text.get_text() for text in axes[0].texts] == ["15", "30", "90", "6", "21", "81"]
    assert axes[0].images[0].get_clim() == axes[1].images[0].get_clim() == (0, 100)
    with pytest.raises(KeyError, match="'nmi' not found in table"):
        benchmark.plot_sensitivity(table, ["nmi"])
    with pytest.raises(ValueError, match="Give the mean over seeds"):
        benchmark.plot_sensitivity(pd.concat([table, table]))


def test_reconstructions():
    images = np.arange(3 * 4 * 5 * 6, dtype=float).reshape(3, 4, 5, 6)
    ax = benchmark.plot_reconstructions(images, show=False)
    array = ax.images[0].get_array()
    assert array.shape == (15, 24)
    np.testing.assert_array_equal(array[5:10, 12:18], images[1, 2])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["raw", "own decoder", "switched"]
    with pytest.raises(ValueError, match=r"images must have shape \(3, n_images, height, width\)"):
        benchmark.plot_reconstructions(images[:2])


@pytest.fixture
def report():
    def row(method, accuracy, leakage, note="", **more):
        return {
            **{"dataset": "har", "subset": np.nan, "method": method, "epochs": np.nan, "note": note},
            **{"accuracy": accuracy, "accuracy_sd": 1.0, "batch_leakage": leakage, "batch_leakage_sd": np.nan},
        } | more

    return pd.DataFrame(
        [
            row("kmeans", 60.0, 9.0),
            row("labels", 100.0, 0.0),
            row("fcmi", 84.12, 1.0, epochs=300),
            row("falg", 84.08, 5.0),
            row("scfc", np.nan, np.nan, "cannot: takes two groups"),
            row("kmeans", 50.0, 3.0, dataset="other", subset=500.0),
        ]
    )


def test_table(report, tmp_path):
    report.to_csv(tmp_path / "report.csv", index=False)
    axes = benchmark.plot_table(tmp_path, ["accuracy", "batch_leakage"], show=False)
    assert [ax.get_title(loc="left") for ax in axes] == ["har", "other, 500 samples"]
    ax = axes[0]
    # What bounds the others stands first, is neither marked nor colored.
    names = ["true labels", "kmeans", "fcmi (300 epochs)", "falg", "scfc"]
    assert [text.get_text() for text in ax.get_yticklabels()] == names
    assert [text.get_text() for text in ax.get_xticklabels()] == ["ACC", "leakage"]
    assert (ax.images[0].get_array()[0] == 1).all()
    # Equal as shown is equal; of leakage, less is better.
    bold = [text.get_text() for text in ax.texts if text.get_fontweight() == "bold"]
    assert bold == ["84.1 ± 1.0", "84.1 ± 1.0", "1.0"]
    colors = ax.images[0].get_array()
    assert mpl.colors.to_hex(colors[2, 0]) == mpl.colors.to_hex(colors[3, 0])
    assert colors[2, 1].sum() < colors[3, 1].sum() < colors[1, 1].sum()
    assert "cannot: takes two groups" in [text.get_text() for text in ax.texts]


def test_one_data_set(report, tmp_path):
    (ax,) = benchmark.plot_table(report, ["accuracy"], dataset="other", show=False)
    assert ax.get_title(loc="left") == "other, 500 samples"
    with pytest.raises(KeyError, match=r"'hat' not found in the report\. Did you mean 'har'"):
        benchmark.plot_table(report, dataset="hat")
    with pytest.raises(KeyError, match="'acc' not found in the report"):
        benchmark.plot_table(report, ["acc"])
    with pytest.raises(FileNotFoundError, match="Run: scfcmi benchmark report"):
        benchmark.plot_table(tmp_path)
