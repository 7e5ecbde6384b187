"""A command that is told to stop says one line, and leaves no temporary file."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from scfcmi import cli

# Stops with a temporary file open, where a signal does most harm.
_WRITES_SLOWLY = """
import os, signal, sys, time
from scfcmi import cli
from scfcmi.cli import _written
def write(*_):
    print("writing", flush=True)
    time.sleep(60)
_written._put = write
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        pytest.param(signal.SIGINT, 130, "scfcmi: interrupted; no file is half written\n", marks=pytest.mark.slow),
        (signal.SIGTERM, 143, "scfcmi: terminated; no file is half written\n"),
    ],
)
def test_told_to_stop(small, tmp_path, number, code, line):
    small.write_h5ad(tmp_path / "in.h5ad")
    words = ["cluster", "in.h5ad", "--batch-key", "tech", "--max-epochs", "2", "-o", "out.h5ad"]
    command = [sys.executable, "-W", "ignore", "-c", _WRITES_SLOWLY, *words]
    # Where the tests run in the background of a shell, processes are started deaf to SIGINT.
    hearing = {"preexec_fn": lambda: signal.signal(number, signal.SIG_DFL)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=tmp_path, text=True, **pipes, **hearing)
    assert process.stdout.readline() == "writing\n"
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == code
    assert [words for words in error.splitlines(keepends=True) if "warning" not in words] == [line]
    assert [path.name for path in tmp_path.iterdir()] == ["in.h5ad"]


@pytest.mark.slow
def test_killed(small, tmp_path):
    """The input stays, there is no output, and the next run leaves no litter."""
    small.write_h5ad(tmp_path / "in.h5ad")
    before = (tmp_path / "in.h5ad").read_bytes()
    words = ["cluster", "in.h5ad", "--batch-key", "tech", "--max-epochs", "2", "-o", "out.h5ad", "--save-model", "m"]
    for end in (["--overwrite"], []):
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _WRITES_SLOWLY, *words, *end],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout.readline() == b"writing\n"
        process.kill()
        process.communicate()
        # The second run has removed what the first left, and was killed itself.
        assert len(list(tmp_path.iterdir())) == 2
        assert not (tmp_path / "out.h5ad").exists()
    command = [sys.executable, "-W", "ignore", "-m", "scfcmi", *words]
    assert subprocess.run(command, cwd=tmp_path, stderr=subprocess.DEVNULL, check=False).returncode == cli.OK
    assert {path.name for path in tmp_path.iterdir()} == {"in.h5ad", "out.h5ad", "m"}
    assert (tmp_path / "in.h5ad").read_bytes() == before


def test_handlers_are_as_before(monkeypatch):
    monkeypatch.setattr("scfcmi.cli._data._list", lambda _: None)
    mine = lambda *_: None
    for handler in (signal.SIG_DFL, mine, signal.SIG_IGN):
        before = signal.signal(signal.SIGTERM, handler)
        try:
            assert cli.main(["data", "list"]) == cli.OK
            assert signal.getsignal(signal.SIGTERM) is handler
        finally:
            signal.signal(signal.SIGTERM, before)
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_another_thread(capsys):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(cli.main(["data", "list"])))
    thread.start()
    thread.join()
    assert codes == [cli.OK]
    assert "Data folder" in capsys.readouterr().out
