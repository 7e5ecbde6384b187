"""Everything in README.md runs as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from scfcmi import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()

pytestmark = pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive:UserWarning")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def cells(small):
    small.obs["cell_type"] = small.obs["label"]
    return small


def test_python(cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    for block in blocks("python"):
        exec(block, {"adata": cells})
    plt.close("all")
    for place, key in re.findall(r'`adata\.(\w+)\["(\w+)"\]`', README):
        assert key in getattr(cells, place), (place, key)
    assert "fcmi_diagnosis" in cells.uns


def test_shell(cells, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cells.write_h5ad("in.h5ad")
    cells.copy().write_h5ad("new.h5ad")
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    lines = [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]
    assert len(lines) > 3
    for line in lines:
        command, *words = shlex.split(line, comments=True)
        if command == "make":
            assert words[0] in targets
        else:
            assert command == "scfcmi"
            assert cli.main(words) == cli.OK, capsys.readouterr().err
    assert "batch_leakage" in capsys.readouterr().out


def test_citation_is_that_of_the_citation_file():
    cff = (ROOT / "CITATION.cff").read_text().partition("preferred-citation:")[2]
    names = re.findall(r"family-names: (\w+), given-names: (\w+)", cff)
    title, year = re.search(r'title: "(.+)"', cff).group(1), re.search(r"year: (\d+)", cff).group(1)
    (bibtex,) = blocks("bibtex")
    for line in (f"author = {{{' and '.join(map(', '.join, names))}}}", f"title = {{{title}}}", f"year = {{{year}}}"):
        assert line in bibtex


def test_it_is_read_in_one_sitting():
    assert len(README.splitlines()) <= 90


def test_files_that_it_names_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
