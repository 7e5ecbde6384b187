from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy

from scfcmi import benchmark, datasets
from scfcmi.benchmark._report import summarize

METRICS = ("accuracy", "nmi", "ari", "balance", "mnce", "f_beta", "batch_leakage")


def run(method, seed, value, dataset="mnist_usps", **more):
    base = {"dataset": dataset, "method": method, "seed": seed, "epochs": None, "subset": None, "status": "done"}
    measured = {"seconds": 2.0, "peak_memory_mb": 300.0, "variant": "as published", "why": None}
    return base | measured | dict.fromkeys(METRICS, value) | more


@pytest.fixture
def runs():
    return pd.DataFrame(
        [
            run("labels", 0, 1.0),
            run("fcmi", 0, 0.8),
            run("fcmi", 1, 0.9),
            run("fcmi", 2, np.nan, status="time limit", why="more than 5 s"),
            run("falg", 0, 0.6),
            run("kmeans", 0, 0.5),
            run("fcmi", 0, 0.7, epochs=10),
            run("labels", 0, np.nan, dataset="mtfl", status="not run", why="mtfl is not in HERE"),
        ]
    )


def test_mean_and_spread(runs):
    table = summarize(runs).set_index(["dataset", "method", "epochs"])
    fcmi = table.loc[("mnist_usps", "fcmi", np.nan)]
    assert fcmi["seeds"] == 2
    assert fcmi["nmi"] == pytest.approx(85)
    assert fcmi["nmi_sd"] == pytest.approx(100 * np.std([0.8, 0.9], ddof=1))
    assert fcmi["note"] == "time limit: more than 5 s"
    assert fcmi["paper_mnce"] == 94.5
    assert fcmi["paper_misprint"] == "mnce=92.3"
    assert np.isnan(table.loc[("mnist_usps", "falg", np.nan), "nmi_sd"])


def test_runs_of_other_data_are_no_part_of_a_mean():
    """A data set of one name may be of another variant, or a file may have changed."""
    told = [("old", "2026-01-01", 0.3), ("new", "2026-01-03", 0.9), ("new", "2026-01-02", 0.7)]
    runs = [run("fcmi", i, value, data_checksum=data, ended=day) for i, (data, day, value) in enumerate(told)]
    [row] = summarize(pd.DataFrame(runs)).to_dict("records")
    assert row["seeds"] == 2
    assert row["nmi"] == pytest.approx(80)
    assert row["note"] == "left out: made on other data than the last run"


def test_runs_of_which_all_are_done_and_of_the_same_data():
    """As a first benchmark leaves them: no run says why it failed."""
    days = ("2026-01-01", "2026-01-02")
    runs = [run("fcmi", seed, 0.8, data_checksum="one", ended=day) for seed, day in enumerate(days)]
    [row] = summarize(pd.DataFrame(runs).drop(columns="why")).to_dict("records")
    assert (row["seeds"], row["note"]) == (2, "")


def test_order(runs):
    more = [run("dec", 0, 0.3, dataset="mtfl2"), run("fcmi+repair", 0, 0.5), run("of_long_ago", 0, 0.5)]
    table = summarize(pd.DataFrame([*runs.to_dict("records"), *more]))
    assert table["dataset"].tolist() == ["mnist_usps"] * 7 + ["mtfl", "mtfl2"]
    words = ["labels", "kmeans", "falg", "fcmi", "fcmi", "fcmi+repair", "of_long_ago"]
    assert table["method"].tolist()[:7] == words


def test_files(runs, tmp_path):
    text = benchmark.write_report(runs, tmp_path).read_text()
    # Cells without the room that lines them up.
    lines = [re.sub(" +", " ", line) for line in text.splitlines() if line.startswith("| ")]
    rows = {line.split(" | ")[0].strip("| "): line for line in lines}
    assert next(iter(rows)) == "method"
    for heading in ("ACC", "NMI", "Bal", "MNCE", "F_beta", "ARI", "leakage", "seconds", "MB", "its origin", "note"):
        assert f" {heading} " in rows["method"]
    assert "**85.0 ± 7.1**" in rows["fcmi"]
    assert "<u>70.0</u>" in rows["fcmi (10 epochs)"]
    # Of leakage the least is best.
    assert "| **50.0** | 2 |" in rows["kmeans"]
    # The bounds take no part.
    assert "**" not in rows["true labels"]
    assert "96.7 / 91.8 / 10.7 / 94.5 / 92.0 | own, one seed; MNCE misprinted for 92.3" in rows["fcmi"]
    assert "58.4 / 53.8 / 9.5 / 85.8 / 66.1 | re-run" in rows["falg"]
    assert rows["fcmi"].endswith("| time limit: more than 5 s |")
    # A run of which there is nothing to say.
    assert rows["kmeans"].rstrip("|").rpartition("|")[2].strip() == ""
    assert "## mtfl\n\nNot run: mtfl is not in HERE" in text
    page = (tmp_path / "report.html").read_text()
    assert "<b>85.0 ± 7.1</b>" in page
    assert "**" not in page
    assert len(pd.read_csv(tmp_path / "report.csv")) == 6


def test_paper_table_is_consistent():
    """With two groups MNCE is a function of Bal, and F_beta one of NMI and MNCE: misprints are those that are marked."""
    smaller = {
        "mnist_usps": 7291 / 67291,
        "reverse_mnist": 0.5,
        "office31": 795 / 3612,
        "mtfl": 0.5,
        "mouse_atlas": 2715 / 6954,
    }
    table = benchmark.paper_table()
    assert len(table) == 64
    for row in table.dropna().itertuples():
        mnce = dict([row.misprint.split("=")]).get("mnce", row.mnce) if row.misprint else row.mnce
        f_beta = 0 if row.mnce == 0 else 2 * row.nmi * float(mnce) / (row.nmi + float(mnce))
        assert row.f_beta == pytest.approx(f_beta, abs=0.35), row
        if row.dataset in smaller and row.balance > 0.5:
            p = smaller[row.dataset]
            implied = [
                100 * entropy([b / (1 + b), 1 / (1 + b)]) / entropy([p, 1 - p])
                for b in (row.balance / 100 - 5.1e-4, row.balance / 100 + 5.1e-4)
            ]
            assert min(implied) - 0.5 < float(mnce) < min(max(implied), 100) + 0.5, row
    assert set(table["dataset"]) <= set(dir(datasets))
