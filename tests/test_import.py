from __future__ import annotations

import subprocess
import sys

import pytest

import scfcmi


def test_import_is_light():
    code = (
        "import sys, time; start = time.perf_counter(); import scfcmi; print(time.perf_counter() - start);"
        "print([m for m in ('torch', 'scanpy', 'anndata', 'matplotlib', 'sklearn', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")
    assert out[1] == "[]"
    assert float(out[0]) < 0.3


def test_public_names():
    for name in scfcmi.__all__:
        assert getattr(scfcmi, name) is not None
    assert {*dir(scfcmi), "__version__"} == set(scfcmi.__all__)
    with pytest.raises(AttributeError, match="scfcmi attribute nothing"):
        _ = scfcmi.nothing


@pytest.mark.parametrize("room", ["benchmark", "datasets", "pl"])
def test_public_names_of_rooms_that_load_on_first_use(room):
    room = getattr(scfcmi, room)
    for name in room.__all__:
        assert getattr(room, name).__name__ == name
    assert set(room.__all__) == set(dir(room))


def test_verbosity(capsys):
    with pytest.raises(ValueError, match="level must be one of"):
        scfcmi.set_verbosity("loud")
    scfcmi.set_verbosity("info")
    scfcmi.set_verbosity("info")
    scfcmi._logging.logger.info("once")
    assert capsys.readouterr().err == "scfcmi: once\n"
    scfcmi.set_verbosity("warning")
    scfcmi._logging.logger.info("never")
    assert capsys.readouterr().err == ""
