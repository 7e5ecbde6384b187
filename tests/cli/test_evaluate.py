from __future__ import annotations

import json

import pytest

from scfcmi import cli


@pytest.fixture
def path(clustered, tmp_path):
    clustered.write_h5ad(tmp_path / "cells.h5ad")
    return str(tmp_path / "cells.h5ad")


def test_a_line_a_score(path, capsys):
    assert cli.main(["evaluate", path, "--batch-key", "tech", "--label-key", "label"]) == cli.OK
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines][:3] == ["accuracy", "nmi", "ari"]


def test_json(path, capsys):
    assert cli.main(["evaluate", path, "--batch-key", "tech", "--json"]) == cli.OK
    assert set(json.loads(capsys.readouterr().out)) == {
        "balance",
        "mnce",
        "H_C",
        "H_C_given_X",
        "I_G_C",
        "I_X_C_given_G",
    }


def test_wrong_key(path, capsys):
    assert cli.main(["evaluate", path, "--batch-key", "teck"]) == cli.WRONG_USE
    assert "Did you mean 'tech'?" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:MNCE is undefined")
def test_json_of_one_batch(clustered, tmp_path, capsys):
    clustered.obs["tech"] = "one"
    clustered.write_h5ad(tmp_path / "one.h5ad")
    assert cli.main(["evaluate", str(tmp_path / "one.h5ad"), "--batch-key", "tech", "--json"]) == cli.OK

    def no_nan(name):
        raise AssertionError(name)

    assert json.loads(capsys.readouterr().out, parse_constant=no_nan)["mnce"] is None
