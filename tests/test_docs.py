"""The examples of the documentation run as they stand there, and its tables are those of the result files."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import scanpy as sc
import sklearn

import scfcmi
from scfcmi import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# What "make docs" builds holds copies.
WRITTEN = [path for path in sorted(DOCS.rglob("*.md")) if DOCS / "_build" not in path.parents]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *WRITTEN, *(ROOT / "benchmarks").glob("*.md")]


def blocks(page: str, language: str) -> list[str]:
    """Return blocks of code, those within a list too."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


@pytest.fixture
def cells(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    small.obs["cell_type"] = small.obs["label"]
    small.var_names = [f"gene{i}" for i in range(small.n_vars)]
    small.write_h5ad("mydata.h5ad")
    yield small
    plt.close("all")


@pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")
def test_in_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with sklearn.config_context():
        for block in blocks("in_code.md", "python"):
            exec(block, names)
    assert set(names["model"].groups_) == set(names["batches"])
    assert len(names["clusters"]) == names["adata"].n_obs
    assert len(names["losses"]) == names["adata"].uns["fcmi"]["params"]["n_epochs"]
    assert {"fcmi", "finer", "again"} <= set(names["adata"].obs)


@pytest.mark.filterwarnings("default")
def test_start(cells, capsys):
    names: dict[str, object] = {}
    for block in blocks("start.md", "python"):
        # The cells of the test are log-normalized, and few.
        if "normalize_total" not in block and "highly_variable" not in block:
            exec(block.replace("n_clusters=12", "n_clusters=4"), names)
    assert names["adata"].obs["fcmi"].nunique() == 4
    lines = [line.removeprefix("$ ") for block in blocks("start.md", "console") for line in block.splitlines()]
    for written in ("clustered.h5ad", "report.html"):
        Path(written).unlink()
    for line in lines:
        command, *words = shlex.split(line)
        if command == "scfcmi" and words[0] != "demo":
            assert cli.main(words) == cli.OK, capsys.readouterr().err
    assert Path("umap.png").exists()


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive:UserWarning")
def test_how_many_and_new_cells(cells):
    cells.obs["tech"] = cells.obs["tech"].astype(str).astype("category")
    names = {"sc": sc, "scfcmi": scfcmi, "adata": cells, "new": cells.copy()}
    scfcmi.tl.fair_cluster(cells, "tech", progress=False)
    for page in ("how_many.md", "new_cells.md"):
        for block in blocks(page, "python"):
            exec(block.replace('"10x"', repr(cells.obs["tech"].iloc[0])), names)
    assert cells.uns["fcmi"]["params"]["n_clusters"] > 1
    assert "finer" in cells.obs
    assert "fcmi" in names["new"].obs


def test_tables_are_those_of_the_results(monkeypatch):
    pytest.importorskip("harmonypy")
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    spec = importlib.util.spec_from_file_location("readme", ROOT / "benchmarks" / "readme.py")
    readme = importlib.util.module_from_spec(spec)
    before = set(sys.modules)
    spec.loader.exec_module(readme)
    found = readme.tables()
    for page in PAGES:
        text = page.read_text()
        assert set(re.findall(r"<!-- table: (\w+) -->", text)) <= set(found) | {"name"}, page
        if page in readme.PAGES:
            assert readme.filled(text, found) == text, f"{page}: run python benchmarks/readme.py"
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "benchmarks")):
            del sys.modules[name]


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            folder = DOCS if page.name == "changelog.md" else page.parent
            # Tutorials are copied into the documentation when it is built.
            path = ROOT / target.replace(".png", ".ipynb") if target.startswith("tutorials/") else folder / target
            assert target.startswith("https://") or path.exists(), (page.name, target)
