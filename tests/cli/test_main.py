from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scfcmi import cli

FOLDER = Path(cli.__file__).parent


def test_a_command_is_a_file_and_a_name(capsys):
    files = {path.stem for path in FOLDER.glob("_*.py") if "def add_command(" in path.read_text()}
    assert {f"_{name}" for name in cli.COMMANDS} == files
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert tuple(re.findall(r"^ {4}(\w+)\s", capsys.readouterr().out, re.MULTILINE)) == cli.COMMANDS


def test_help_is_light():
    code = (
        "import sys, time; start = time.perf_counter()\n"
        "from scfcmi import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: print(time.perf_counter() - start)\n"
        "print([m for m in ('torch', 'scanpy', 'anndata', 'matplotlib', 'sklearn', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    *_, seconds, modules = out.splitlines()
    assert modules == "[]"
    assert float(seconds) < 0.3


def test_a_reader_that_goes_away_is_no_error_to_speak_of():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "scfcmi", "data", "list"], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (cli.FAILURE, b"")


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "scfcmi", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("scfcmi ")
    done = subprocess.run([sys.executable, "-m", "scfcmi"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
