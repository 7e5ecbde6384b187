"""What docs/with_other_tools.md shows works, with the tools themselves where they are installed.

``make ecosystem`` installs them, and runs this file.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scfcmi import cli

ROOT = Path(__file__).parents[1]
WORKFLOWS = ROOT / "docs" / "workflows"


def installed(command: str) -> str:
    """Return the path of a command, or skip the test."""
    found = shutil.which(command)
    if found is None:
        pytest.skip(f"{command} is not installed")
    return found


def run(*words: object) -> str:
    """Run a command that finds this package's own command first; return what it prints."""
    environment = dict(os.environ)
    folders = (os.path.dirname(sys.executable), environment["PATH"])  # noqa: PTH120
    environment["PATH"] = os.pathsep.join(folders)
    done = subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def samples(small, tmp_path, monkeypatch):
    """A folder with two files of cells, one with a space in its name."""
    monkeypatch.chdir(tmp_path)
    Path("samples").mkdir()
    small.write_h5ad("samples/first.h5ad")
    small.write_h5ad("samples/the second.h5ad")


def test_snakemake(samples):
    snakemake = installed("snakemake")
    words = (snakemake, "--cores", 1, "--snakefile", WORKFLOWS / "Snakefile", "--config", "batch_key=tech")
    run(*words)
    for name in ("first", "the second"):
        assert {path.suffix for path in Path("results").glob(f"{name}.*")} == {".h5ad", ".fcmi", ".html", ".log"}
    assert "Nothing to be done" in run(*words)


def test_nextflow(samples):
    nextflow = installed("nextflow")
    Path("samples/the second.h5ad").rename("samples/second.h5ad")
    run(nextflow, "run", WORKFLOWS / "main.nf", "--batch_key", "tech")
    for name in ("first", "second"):
        assert {path.name.removeprefix(name) for path in Path("results").glob(f"{name}.*")} == {
            ".clustered.h5ad",
            ".clustered.html",
            ".fcmi",
        }


def test_commands_in_the_nextflow_file(samples, capsys):
    """Each process, with the values that Nextflow would put in, writes the files that it promises."""
    text = (WORKFLOWS / "main.nf").read_text()
    values = {
        "cells": "samples/first.h5ad",
        "cells.baseName": "first",
        "clustered": "first.clustered.h5ad",
        "clustered.baseName": "first.clustered",
        "batch_key": "tech",
        "task.cpus": "2",
        "task.memory.toMega()": "4096",
    }
    processes = re.findall(r"^process \w+ \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    assert len(processes) == 2
    for process in processes:
        filled = re.sub(r"\$\{(.+?)\}", lambda found: values[found[1]], process)
        script = re.search(r'"""\n(.*?)"""', filled, re.DOTALL)[1].replace("\\\\\n", "")
        for line in script.splitlines():
            command, *words = shlex.split(line) or [""]
            assert command in ("scfcmi", "export", "")
            if command == "scfcmi":
                assert cli.main(words) == cli.OK, capsys.readouterr().err
        promised = re.findall(r'^ +path "(.+?)"', filled, re.MULTILINE)
        assert promised
        assert all(Path(name).exists() for name in promised)
