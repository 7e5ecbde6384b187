from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import matplotlib.image as mpimg
import numpy as np
import pandas as pd
import pytest

import scfcmi
from scfcmi import cli
from scfcmi.graph.neighbors import joint_graph


@pytest.fixture
def path(clustered, put_map, tmp_path):
    curve = pd.DataFrame(
        {"resolution": [0.2, 0.4], "n_clusters": [2, 3], "modularity": 0.5, "stability": 0.9, "separation": [0.6, 0.9]}
    )
    clustered.uns["fcmi_n_clusters"] = {"curve": curve}
    put_map(clustered)
    clustered.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def plot(*arguments) -> int:
    return cli.main(["plot", *map(str, arguments)])


@pytest.mark.parametrize(
    "arguments",
    [
        ["umap"],
        ["umap", "--split-by", "tech"],
        ["umap", "--color", "fcmi", "0"],
        ["composition", "--batch-key", "tech_string", "--kind", "clusters"],
        ["confusion", "--label-key", "label", "--normalize", "cluster"],
        ["confidence"],
        ["history", "--terms", "I_G_C", "sizes"],
        ["n-clusters"],
    ],
)
def test_of_cells(path, tmp_path, arguments):
    before = path.read_bytes()
    name, *others = arguments
    assert plot(name, path, *others, "-o", tmp_path / "plot.png", "--dpi", 50) == cli.OK
    assert np.ptp(mpimg.imread(tmp_path / "plot.png")) > 0
    assert path.read_bytes() == before


def test_a_map_is_computed_where_there_is_none(clustered, tmp_path, monkeypatch):
    """Compiling UMAP takes long: the first two dimensions of the embedding will do."""
    clustered.write_h5ad(tmp_path / "cells.h5ad")
    before = (tmp_path / "cells.h5ad").read_bytes()
    reducer = SimpleNamespace(fit_transform=lambda codes: codes[:, :2])
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=lambda **_: reducer))
    assert plot("umap", tmp_path / "cells.h5ad", "-o", tmp_path / "plot.png", "--dpi", 50) == cli.OK
    assert np.ptp(mpimg.imread(tmp_path / "plot.png")) > 0
    assert (tmp_path / "cells.h5ad").read_bytes() == before
    assert plot("umap", tmp_path / "cells.h5ad", "--key", "label", "-o", tmp_path / "plot.png") == cli.WRONG_USE


def test_a_curve_is_computed_where_there_is_none(clustered, tmp_path):
    clustered.obsp["fcmi_connectivities"] = joint_graph([clustered.obsm["X_fcmi"]])
    clustered.write_h5ad(tmp_path / "cells.h5ad")
    assert plot("n-clusters", tmp_path / "cells.h5ad", "-o", tmp_path / "plot.png", "--dpi", 50) == cli.OK
    assert np.ptp(mpimg.imread(tmp_path / "plot.png")) > 0
    assert plot("n-clusters", tmp_path / "cells.h5ad", "--key", "label", "-o", tmp_path / "other.png") == cli.WRONG_USE


def test_of_tables(tmp_path):
    rows = [(a, b, 0.5, 0.9) for a in (0.1, 0.2) for b in (0.1, 0.2)]
    pd.DataFrame(rows, columns=["alpha", "beta", "accuracy", "mnce"]).to_csv(tmp_path / "grid.csv")
    assert plot("sensitivity", tmp_path / "grid.csv", "-o", tmp_path / "grid.svg") == cli.OK
    assert "</svg>" in (tmp_path / "grid.svg").read_text()
    row = {"dataset": "har", "subset": None, "method": "kmeans", "epochs": None, "note": None, "nmi": 1, "nmi_sd": 0}
    pd.DataFrame([row]).to_csv(tmp_path / "report.csv")
    assert plot("benchmark", tmp_path, "--metrics", "nmi", "-o", tmp_path / "table.pdf") == cli.OK
    assert (tmp_path / "table.pdf").read_bytes().startswith(b"%PDF")
    np.save(tmp_path / "images.npy", np.random.default_rng(0).random((3, 2, 4, 4)))
    assert plot("reconstructions", tmp_path / "images.npy", "-o", tmp_path / "images.png") == cli.OK
    assert np.ptp(mpimg.imread(tmp_path / "images.png")) > 0


def test_every_plot_has_a_command(capsys):
    with pytest.raises(SystemExit):
        plot("--help")
    commands = re.findall(r"^ {4}([a-z-]+)\s", capsys.readouterr().out, re.MULTILINE)
    of_benchmarks = {"sensitivity", "reconstructions", "benchmark"}
    assert set(commands) == {name.replace("_", "-") for name in scfcmi.pl.__all__ if name != "report"} | of_benchmarks


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["confusion", "--label-key", "labels", "-o", "a.png"], "Did you mean 'label'?"),
        (["umap", "-o", "umap"], "--output must end in one of ['."),
        (["umap", "-o", "/nowhere/umap.png"], "--output is in a folder that does not exist"),
        (["umap", "-o", "a.png", "--dpi", "0"], "--dpi must be at least 10, got 0."),
    ],
)
def test_wrong_use_is_one_line_and_code_two(path, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    name, *others = arguments
    assert plot(name, path, *others) == cli.WRONG_USE
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["cells.h5ad"]
    assert plot(name, tmp_path / "none.h5ad", *others) == cli.WRONG_USE
