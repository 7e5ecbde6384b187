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


@pytest.mark.parametrize("words", [["data", "list"], ["--help"], ["cluster", "--help"], ["--version"]])
@pytest.mark.parametrize(
    "command", [["-m", "scfcmi"], ["-c", "import sys; from scfcmi.cli import main; sys.exit(main())"]]
)
def test_a_reader_that_goes_away_is_no_error_to_speak_of(command, words):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, *command, *words], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    # 0 where Python does not buffer: argparse then meets the broken pipe, and passes over it.
    unbuffered = "PYTHONUNBUFFERED" in os.environ and words != ["data", "list"]
    assert (done.returncode, done.stderr) == (cli.OK if unbuffered else cli.BROKEN_PIPE, b"")


def test_standard_output_that_takes_nothing():
    """Closed, it is as if nobody asked; full, it is an error of one line."""
    words = f"{sys.executable} -m scfcmi data list"
    done = subprocess.run(f"{words} >&-", shell=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (cli.OK, b"")
    done = subprocess.run(f"{words} 2>&-", shell=True, capture_output=True, check=False)
    assert done.returncode == cli.OK
    if Path("/dev/full").exists():
        done = subprocess.run(f"{words} >/dev/full", shell=True, capture_output=True, check=False)
        assert done.returncode == cli.FAILURE
        assert done.stderr.count(b"\n") == 1
        assert b"No space left on device" in done.stderr


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "scfcmi", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("scfcmi ")
    done = subprocess.run([sys.executable, "-m", "scfcmi"], capture_output=True, text=True, check=False)
    assert done.returncode == 2


def test_underscores_as_in_python(capsys):
    assert cli.main(["evaluate", "nothing.h5ad", "--batch_key", "a_b", "--label_key=c_d"]) == cli.WRONG_USE
    assert "no file at 'nothing.h5ad'" in capsys.readouterr().err
