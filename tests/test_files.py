"""What replaces a file or a folder: whole, or nothing, whatever happens to the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import scfcmi
from scfcmi import _files
from scfcmi._files import replacing, replacing_folder, tidy
from scfcmi.models import files

_HALF = """
import os, signal, sys
from scfcmi import _files
for name in sys.argv[2:]:
    context = (_files.replacing_folder if name.endswith(".zarr") else _files.replacing)(name)
    temporary = context.__enter__()
    (temporary / "x" if temporary.is_dir() else temporary).write_text("half")
    globals()[name] = context
print("ready", flush=True)
os.kill(os.getpid(), signal.SIGKILL) if sys.argv[1] == "die" else sys.stdin.read()
"""
NAMES = ["a.h5ad", "model", "v1.2", ".hidden", "s.zarr", "[x]*.csv", "n" * 240 + ".npz", "ü" * 100 + ".png"]


def half(folder, what, *names):
    return subprocess.Popen(
        [sys.executable, "-c", _HALF, what, *names], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def write(folder, name, text):
    if name.endswith(".zarr"):
        with replacing_folder(folder / name) as temporary:
            (temporary / "x").write_text(text)
    else:
        with replacing(folder / name) as temporary:
            temporary.write_text(text)


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path):
    process = half(tmp_path, "die", *NAMES)
    assert process.wait(timeout=60) == -signal.SIGKILL
    process.communicate()
    assert len(list(tmp_path.iterdir())) == len(NAMES)
    for number, name in enumerate(NAMES):
        # Of its own target only.
        write(tmp_path, name, "whole")
        assert len(list(tmp_path.iterdir())) == len(NAMES)
        assert sum((tmp_path / name).exists() for name in NAMES) == number + 1
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES)


def test_of_a_process_that_runs_nothing_is_removed(tmp_path):
    process = half(tmp_path, "wait", "a.h5ad", "s.zarr")
    assert process.stdout.readline() == b"ready\n"
    for name in ("a.h5ad", "s.zarr"):
        write(tmp_path, name, "mine")
    assert len(list(tmp_path.iterdir())) == 4
    process.communicate()
    assert process.returncode == 0


def test_own_files_are_known_from_those_of_an_earlier_process_of_the_same_number(tmp_path):
    with replacing(tmp_path / "a.csv") as first:
        left = first.with_name(first.name.replace(first.stem[-8:], "0" * 8))
        left.write_text("of an earlier run in a container, whose number was 1, too")
        first.write_text("first")
        with replacing(tmp_path / "a.csv") as second:
            second.write_text("second")
        assert not left.exists()
        assert first.exists()
    assert (tmp_path / "a.csv").read_text() == "first"


@pytest.mark.parametrize("name", ["a.csv", "a.zarr"])
def test_any_failure_leaves_what_was_there(tmp_path, name):
    write(tmp_path, name, "old")
    read = lambda: (tmp_path / name / "x" if name == "a.zarr" else tmp_path / name).read_text()
    for error in (KeyboardInterrupt, OSError, SystemExit):
        with pytest.raises(error), (replacing_folder if name == "a.zarr" else replacing)(tmp_path / name):
            raise error
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert read() == "old"
    write(tmp_path, name, "new")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert read() == "new"


def test_a_folder_that_was_moved_away_comes_back(tmp_path, monkeypatch):
    """Killed, or interrupted, between the two renames that replace a folder."""
    write(tmp_path, "a.zarr", "old")
    kill = """
import os
from pathlib import Path
from scfcmi import _files
replace = Path.replace
Path.replace = lambda self, other: (replace(self, other), os.kill(os.getpid(), 9))
with _files.replacing_folder("a.zarr") as temporary:
    (temporary / "x").write_text("new")
"""
    done = subprocess.run([sys.executable, "-c", kill], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "a.zarr").exists()
    tidy(tmp_path / "a.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
    assert (tmp_path / "a.zarr" / "x").read_text() == "old"

    replace = type(tmp_path).replace

    def fail_once(self, other):
        if "-new-" in self.name:
            raise KeyboardInterrupt
        return replace(self, other)

    monkeypatch.setattr(type(tmp_path), "replace", fail_once)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, "a.zarr", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
    assert (tmp_path / "a.zarr" / "x").read_text() == "old"


def test_as_readable_as_any_other_file(tmp_path):
    (tmp_path / "plain").touch()
    write(tmp_path, "a.csv", "text")
    with replacing(tmp_path / "private.csv") as temporary:
        temporary.chmod(0o600)
    for name in ("a.csv", "private.csv"):
        assert (tmp_path / name).stat().st_mode == (tmp_path / "plain").stat().st_mode
    files.write(tmp_path / "model", "test", {}, {})
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(os.name != "posix", reason="rights of files are those of POSIX")
def test_what_is_private_stays_private(tmp_path):
    write(tmp_path, "a.csv", "old")
    (tmp_path / "a.csv").chmod(0o600)
    with replacing(tmp_path / "a.csv") as temporary:
        assert temporary.stat().st_mode & 0o777 == 0o600
        temporary.write_text("new")
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o600
    write(tmp_path, "a.zarr", "old")
    (tmp_path / "a.zarr").chmod(0o700)
    write(tmp_path, "a.zarr", "new")
    assert (tmp_path / "a.zarr").stat().st_mode & 0o777 == 0o700


def test_elsewhere_than_on_posix_nobody_is_asked(monkeypatch):
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("this would end the process"))
    monkeypatch.setattr(os, "name", "nt")
    assert _files._runs(1)


def test_no_test_writes_outside_temporary_folders(written_outside, tmp_path):
    package = Path(scfcmi.__file__).parent
    (tmp_path / "link").symlink_to(package)
    for change in (
        (package / "new").touch,
        (package / "new").mkdir,
        (package / "errors.py").unlink,
        lambda: (tmp_path / "x").rename(package / "new"),
        lambda: (tmp_path / "link" / "new").write_text("x"),
        lambda: (package / "errors.py").chmod(0o777),
    ):
        with pytest.raises(RuntimeError, match="outside temporary folders"):
            change()
    assert len(written_outside) == 6
    written_outside.clear()
