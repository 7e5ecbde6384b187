from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_actions_are_pinned_by_commit_and_say_which_version(path):
    for line in path.read_text().splitlines():
        if "uses:" in line:
            assert re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_tokens_may_read_only_unless_a_job_says_why(path):
    text = path.read_text()
    assert "\npermissions:\n  contents: read\n" in text
    assert all("#" in line for line in text.splitlines() if line.rstrip().endswith("write") or ": write" in line)


def test_every_python_of_the_classifiers_is_tested():
    declared = set(re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text()))
    tested = set(
        re.findall(r'python: "(3\.\d+)", versions: stable', (ROOT / ".github/workflows/test.yaml").read_text())
    )
    assert declared == tested


def test_the_hook_runs_the_ruff_that_make_lint_runs():
    pinned = re.search(r"^ruff==.+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE).group()
    hooks = re.findall(r"ruff==[\d.]+", (ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks == [pinned, pinned]


def test_commands_that_contributing_names_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^\$ make ([a-z]+)", text, re.MULTILINE)) <= targets
    for path in re.findall(r"`((?:scfcmi|tests|\.github)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path
