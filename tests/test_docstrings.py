"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import scfcmi

NAMES = [module.name for module in pkgutil.walk_packages(scfcmi.__path__, "scfcmi.")]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", NAMES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name != "scfcmi.__main__":
        assert doctest.testmod(importlib.import_module(name)).failed == 0
