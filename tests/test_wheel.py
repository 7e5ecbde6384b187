"""The wheel: the package, its manifests and nothing else; the same bytes each time."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_content_and_bytes(tmp_path):
    wheel = pytest.importorskip("hatchling.builders.wheel")
    made = []
    for place in ("one", "two"):
        # In a folder without git: hatchling asks it what to leave out.
        source = tmp_path / place
        for name in ("scfcmi", "data_manifests"):
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source / name)
        (path,) = wheel.WheelBuilder(str(source)).build(directory=str(tmp_path / f"{place}-built"))
        made.append(Path(path))
    assert made[0].name == made[1].name
    assert made[0].read_bytes() == made[1].read_bytes()
    with zipfile.ZipFile(made[0]) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert len(tops) == 2
    assert "scfcmi" in tops
    expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / "scfcmi").rglob("*") if path.is_file()}
    expected |= {f"scfcmi/datasets/manifests/{path.name}" for path in (ROOT / "data_manifests").iterdir()}
    assert {name for name in names if name.startswith("scfcmi/")} == {n for n in expected if "__pycache__" not in n}
