from __future__ import annotations

import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import scfcmi
from scfcmi.pl._colors import categories

CURVE = pd.DataFrame(
    {"resolution": [0.2, 0.4], "n_clusters": [2, 3], "modularity": 0.5, "stability": 0.9, "separation": [0.6, 0.9]}
)
# What each plot is given beside the cells.
PLOTS = {
    "umap": (),
    "composition": (),
    "confusion": ("label",),
    "confidence": (),
    "history": (["loss", "L_rec"],),
    "n_clusters": (),
}


def test_every_plot_is_here_and_in_the_gallery():
    gallery = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "gallery.py"), run_name="gallery")
    # The report is a page of HTML, with tests of its own.
    assert set(PLOTS) == set(scfcmi.pl.__all__) - {"report"}
    assert set(PLOTS) < set(gallery["CALLS"])


def test_an_error_leaves_no_figure_behind(clustered, put_map):
    put_map(clustered)
    mine = plt.figure()
    with pytest.raises(ValueError, match="nonsense"):
        scfcmi.pl.umap(clustered, clustered.var_names[0], cmap="nonsense")
    assert plt.get_fignums() == [mine.number]
    plt.close(mine)


def test_hundreds_of_clusters_have_no_names_on_the_map(clustered, put_map):
    put_map(clustered)
    clustered.obs["fcmi"] = pd.Categorical([str(i // 2) for i in range(clustered.n_obs)])
    [panel] = scfcmi.pl.umap(clustered, "fcmi", show=False)
    assert not panel.texts
    plt.close(panel.figure)


def test_batches_of_numbers_are_named_as_everywhere(clustered):
    clustered.obs["run"] = np.where(np.arange(clustered.n_obs) % 3, 2.0, 10.0)
    clustered.obs.loc[clustered.obs_names[:3], "run"] = np.nan
    assert list(categories(clustered, "run").categories) == ["2", "10"]
    assert categories(clustered, "run").codes[:4].tolist() == [-1, -1, -1, 1]


@pytest.mark.parametrize("name", PLOTS)
def test_as_all_plots(name, clustered, put_map, check_plot):
    put_map(clustered)
    clustered.uns["fcmi_n_clusters"] = {"curve": CURVE}
    check_plot(getattr(scfcmi.pl, name), clustered, *PLOTS[name])
