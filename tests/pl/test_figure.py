from __future__ import annotations

import inspect
import runpy
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from matplotlib.text import Text

import scfcmi
from scfcmi.pl._umap import _source

GRID = pd.DataFrame({"alpha": [0.1, 0.1], "beta": [0.1, 0.2], "accuracy": [0.5, 0.6], "mnce": [0.9, 1.0]})
ROW = {"dataset": "har", "subset": np.nan, "method": "fcmi", "epochs": 10.0, "note": "", "nmi": 60.0, "nmi_sd": 1.0}
CURVE = pd.DataFrame({"n_clusters": [2, 3], "separation": [0.6, 0.9], "separation_sd": 0.1, "modularity": 0.5})
PLOTS = {
    "umap": lambda adata, **how: scfcmi.pl.umap(adata, **how),
    "composition": lambda adata, **how: scfcmi.pl.composition(adata, **how),
    "confusion": lambda adata, **how: scfcmi.pl.confusion(adata, "label", **how),
    "confidence": lambda adata, **how: scfcmi.pl.confidence(adata, **how),
    "history": lambda adata, **how: scfcmi.pl.history(adata, ["loss", "L_rec"], **how),
    "n_clusters": lambda adata, **how: scfcmi.pl.n_clusters(adata, **how),
    "sensitivity": lambda _, **how: scfcmi.pl.sensitivity(GRID, **how),
    "reconstructions": lambda _, **how: scfcmi.pl.reconstructions(np.ones((3, 2, 4, 4)), **how),
    "benchmark": lambda _, **how: scfcmi.pl.benchmark(pd.DataFrame([ROW]), ["nmi"], **how),
}


def test_every_plot_is_here_and_in_the_gallery():
    gallery = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "gallery.py"), run_name="gallery")
    assert set(PLOTS) == set(gallery["CALLS"]) == set(scfcmi.pl.__all__)


@pytest.mark.parametrize("name", PLOTS)
def test_arguments_are_those_of_scanpy(name):
    arguments = inspect.signature(getattr(scfcmi.pl, name)).parameters
    for argument, default in (("ax", None), ("show", None), ("return_fig", False)):
        assert arguments[argument].kind is inspect.Parameter.KEYWORD_ONLY
        assert arguments[argument].default is default
    assert "save" not in arguments


@pytest.fixture
def drawable(clustered):
    clustered.obsm["X_fcmi_umap"] = clustered.obsm["X_fcmi"][:, :2].copy()
    clustered.uns["fcmi_umap"] = _source(clustered, "fcmi", 0)
    clustered.uns["fcmi_n_clusters"] = {"curve": CURVE, "n_clusters": 3}
    return clustered


@pytest.mark.parametrize("name", PLOTS)
def test_sizes_are_those_of_print_whatever_the_session_set(name, drawable):
    """scanpy's figure parameters make text half as large again, and draw a grid."""
    with mpl.rc_context():
        sc.set_figure_params(fontsize=18)
        before = dict(mpl.rcParams)
        figure = PLOTS[name](drawable, return_fig=True)
        assert dict(mpl.rcParams) == before
        figure.draw_without_rendering()
        texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
        assert texts
        assert max(text.get_fontsize() for text in texts) <= 12
        lines = [line for ax in figure.axes for line in (*ax.get_xgridlines(), *ax.get_ygridlines())]
        assert not any(line.get_visible() for line in lines)


@pytest.mark.parametrize("name", PLOTS)
def test_draws_where_it_is_told(name, drawable, monkeypatch):
    shown = []
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: shown.append(1))
    drawn = PLOTS[name](drawable, show=False)
    axes = drawn if isinstance(drawn, list) else [drawn]
    own = mpl.figure.Figure().subplots(len(axes), squeeze=False).ravel().tolist()
    again = PLOTS[name](drawable, ax=own if isinstance(drawn, list) else own[0])
    assert (again if isinstance(again, list) else [again]) == own
    assert isinstance(PLOTS[name](drawable, return_fig=True), mpl.figure.Figure)
    assert not shown
    assert PLOTS[name](drawable, show=True) is None
    assert shown
