"""A release is prepared: versions and dates agree, the recipe asks for what the package asks for, links work on the index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import scfcmi

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RECIPE = (ROOT / "conda" / "recipe.yaml").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
# conda-forge calls these otherwise; matplotlib-base is matplotlib without windows.
CONDA_NAMES = {"matplotlib": "matplotlib-base", "torch": "pytorch"}


@pytest.fixture
def metadata(monkeypatch):
    """What the index is told, for a repository or for none."""
    pytest.importorskip("hatchling")
    core = pytest.importorskip("hatchling.metadata.core")
    manager = pytest.importorskip("hatchling.plugin.manager")

    def of(repository):
        if repository is None:
            monkeypatch.delenv("SCFCMI_REPOSITORY", raising=False)
        else:
            monkeypatch.setenv("SCFCMI_REPOSITORY", repository)
        return core.ProjectMetadata(str(ROOT), manager.PluginManager()).core

    return of


def test_versions_and_dates_agree():
    released = re.findall(r"^## \[(\d.*)\] - (\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)
    citation = (ROOT / "CITATION.cff").read_text()
    last = re.search(r"^version: (.+)$", citation, re.MULTILINE)[1]
    assert (last, re.search(r"^date-released: (.+)$", citation, re.MULTILINE)[1]) == released[0]
    assert re.search(r'^  version: "(.+)"$', RECIPE, re.MULTILINE)[1] == last
    version = Version(scfcmi.__version__)
    assert version > Version(last) if version.is_devrelease else str(version) == last


def test_unreleased_stays_on_top_of_the_changelog():
    assert re.findall(r"^## \[(.+?)\]", CHANGELOG, re.MULTILINE)[0] == "Unreleased"


def test_the_conda_recipe_asks_for_what_the_package_asks_for():
    run = RECIPE.split("\n  run:\n")[1].split("\n\n")[0]
    asked = {tuple(line.strip().removeprefix("- ").split(" ", 1)) for line in run.splitlines()}
    wanted = {(CONDA_NAMES.get(r.name, r.name), str(r.specifier)) for r in map(Requirement, PROJECT["dependencies"])}
    assert asked == wanted | {("python", ">=${{ python_min }}")}
    lowest = re.search(r'^  python_min: "(.+)"$', RECIPE, re.MULTILINE)[1]
    assert SpecifierSet(f">={lowest}") == SpecifierSet(PROJECT["requires-python"])
    assert PROJECT["license"] in RECIPE
    assert all(f"- {name} = {target}\n" in RECIPE for name, target in PROJECT["scripts"].items())


def test_the_conda_recipe_renders():
    rattler_build = pytest.importorskip("rattler_build")
    (rendered,) = rattler_build.Stage0Recipe.from_file(ROOT / "conda" / "recipe.yaml").render()
    assert rendered.recipe.package.name == "scfcmi"


@pytest.mark.parametrize("repository", ["https://github.com/me/scfcmi", "https://github.com/me/scfcmi/"])
def test_links_of_readme_work_on_the_index(metadata, repository):
    core = metadata(repository)
    targets = re.findall(r"\]\((.+?)\)", core.readme)
    tag = "main" if "dev" in scfcmi.__version__ else f"v{scfcmi.__version__}"
    before = "https://github.com/me/scfcmi/"
    assert targets
    for target in targets:
        assert target.startswith((f"{before}blob/{tag}/", f"{before}raw/{tag}/"))
        assert (ROOT / target.split(f"/{tag}/")[1]).exists()
        assert ("/raw/" in target) == target.endswith(".png")
    for label, address in core.urls.items():
        path = address.removeprefix(before).partition(f"blob/{tag}/")[2]
        assert (ROOT / path).exists(), label
    without_links = [re.sub(r"\]\(.+?\)", "]", text) for text in (core.readme, (ROOT / "README.md").read_text())]
    assert without_links[0] == without_links[1]


def test_readme_stays_as_it_is_without_a_repository(metadata):
    core = metadata(None)
    assert core.readme == (ROOT / "README.md").read_text()
    assert core.urls == {}


def test_classifiers_exist():
    known = pytest.importorskip("trove_classifiers").classifiers
    assert set(PROJECT["classifiers"]) <= known
    assert PROJECT["classifiers"] == sorted(PROJECT["classifiers"])


def test_releases_say_where_the_repository_is():
    for name in ("release", "build"):
        text = (ROOT / ".github" / "workflows" / f"{name}.yaml").read_text()
        made = text.split("- run: make dist")[1].split("- ")[0]
        assert "SCFCMI_REPOSITORY: ${{ github.server_url }}/${{ github.repository }}" in made, name
