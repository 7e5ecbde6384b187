from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest

import scfcmi

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


@pytest.mark.parametrize("name", PLOTS)
def test_as_all_plots(name, clustered, put_map, check_plot):
    put_map(clustered)
    clustered.uns["fcmi_n_clusters"] = {"curve": CURVE}
    check_plot(getattr(scfcmi.pl, name), clustered, *PLOTS[name])
