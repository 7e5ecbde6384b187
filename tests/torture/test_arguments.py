"""Random words for commands and random arrays for metrics: the documented error or a result, never a traceback."""

from __future__ import annotations

import inspect
import math
import random

import numpy as np
import pandas as pd
import pytest

from scfcmi import metrics
from scfcmi.cli import main

COMMANDS = ("cluster", "assign", "evaluate", "plot", "report", "data", "", "cluste", "--version")
WORDS = (
    *(
        "missing.h5ad",
        "",
        ".",
        "..",
        "/",
        "a.zarr",
        "a.h5mu",
        "-",
        "--",
        "\x1b[31m",
        "-o",
        "--output",
        "--batch-key",
        "tech",
    ),
    *(
        "--n-clusters",
        "3",
        "-1",
        "nan",
        "1e999",
        "9" * 40,
        "--resolution",
        "--mode",
        "atlas",
        "paper",
        "--seed",
        "--overwrite",
    ),
    *(
        "--model",
        "--save-model",
        "list",
        "info",
        "verify",
        "path",
        "mouse_atlas",
        "--label-key",
        "-v",
        "--help",
        "é世界",
        "=1+1",
    ),
)


@pytest.mark.attempts(200, 3000, family="Command line: random words as arguments")
def test_a_command_never_ends_in_a_traceback(tally, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    for _ in range(tally.n_attempts):
        words = [rng.choice(COMMANDS), *rng.choices(WORDS, k=rng.randrange(8))]
        try:
            code = main(words)
        except SystemExit as stop:
            code = stop.code
        except BaseException as error:  # noqa: BLE001  # whatever is raised is what is looked for
            tally.broke(f"{words}: {type(error).__name__}: {error}")
            continue
        told = capsys.readouterr().err
        one_line = told.count("\n") == 1 and "Traceback" not in told and "\x1b" not in told
        if code == 0 or (code in (1, 2) and one_line):
            tally.held()
        else:
            tally.broke(f"{words}: code {code}, {told!r}")
    assert not list(tmp_path.iterdir())


LABELS = (
    lambda rng, n: rng.integers(3, size=n),
    lambda rng, n: rng.choice(["a", "b", ""], size=n),
    lambda rng, n: rng.random(n),
    lambda rng, n: np.where(rng.random(n) < 0.1, np.nan, 1.0),
    lambda rng, n: pd.Series(rng.integers(2, size=n), index=rng.permutation(n)),
    lambda rng, n: pd.Categorical.from_codes(rng.integers(-1, 2, size=n), ["x", "y"]),
    lambda rng, n: pd.array(rng.integers(2, size=n), dtype="Int64"),
    lambda rng, n: [None] * n,
    lambda rng, n: np.array([object()] * n),
    lambda rng, n: np.zeros((n, 2)),
    lambda rng, n: pd.date_range("2020", periods=n),
    lambda rng, n: np.array(["1", 1, 1.0, None], dtype=object)[rng.integers(4, size=n)],
    lambda _rng, _n: None,
    lambda _rng, n: n,
    lambda _rng, _n: "labels",
    lambda _rng, _n: {},
)


@pytest.mark.attempts(300, 5000, family="Metrics: labels of every kind, wrong lengths, missing values, two dimensions")
@pytest.mark.filterwarnings("ignore")
def test_a_metric_gives_a_number_or_says_why_not(tally):
    rng = np.random.default_rng(0)
    names = ("accuracy", "nmi", "ari", "balance", "mnce", "f_beta", "batch_leakage", "evaluate")
    for _ in range(tally.n_attempts):
        function = getattr(metrics, names[rng.integers(len(names))])
        n_needed = sum(p.default is p.empty for p in inspect.signature(function).parameters.values())
        n_cells = int(rng.choice([0, 1, 2, 30]))
        arguments = [LABELS[rng.integers(len(LABELS))](rng, n_cells + int(rng.random() < 0.1)) for _ in range(n_needed)]
        try:
            values = np.atleast_1d(np.asarray(function(*arguments), float))
        except (TypeError, ValueError):
            tally.held()
        except Exception as error:  # noqa: BLE001
            tally.broke(f"{function.__name__}{arguments}: {type(error).__name__}: {error}")
        else:
            outside = [value for value in values if not math.isnan(value) and not -1 <= value <= 1.0001]
            tally.broke(f"{function.__name__}{arguments}: {outside}") if outside else tally.held()
