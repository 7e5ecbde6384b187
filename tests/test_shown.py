"""Names of batches and labels that hold commands for terminals, spreadsheets and browsers are shown, not obeyed."""

from __future__ import annotations

import pandas as pd
import pytest

from scfcmi import benchmark, cli, tl
from scfcmi._shown import shown, without_formulas
from scfcmi.benchmark import _report

ANSI = "\x1b[2J\x1b]0;owned\x07"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("donor 1", "donor 1"),
        ("Zürich 東京", "Zürich 東京"),
        (ANSI, r"\x1b[2J\x1b]0;owned\x07"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\x9b31m", r"\x9b31m"),
        ("a\u202eb\u2028c", r"a\u202eb\u2028c"),
        ("\udcff", r"\udcff"),
    ],
)
def test_one_line_and_no_commands(text, expected):
    assert shown(text) == expected


def test_no_formula():
    table = pd.DataFrame(
        {"=name": ["=1+1", "+1", "-x", "@SUM(A1)", "\tx", "a=b", ""], "value": [-1.5, 2, 3, 4, 5, 6, None]}
    )
    before = table.copy()
    lines = without_formulas(table).to_csv(index=False).splitlines()
    assert lines == ["'=name,value", "'=1+1,-1.5", "'+1,2.0", "'-x,3.0", "'@SUM(A1),4.0", "'\tx,5.0", "a=b,6.0", ","]
    pd.testing.assert_frame_equal(table, before)
    named = without_formulas(pd.DataFrame({"n": [1]}, index=["=1+1"]))
    assert named.to_csv().splitlines()[1] == "'=1+1,1"


def test_errors_and_warnings_of_commands(small, tmp_path, capsys):
    small.obs["evil"] = pd.Categorical(
        [ANSI if tech == small.obs["tech"].iloc[0] else "b\nc" for tech in small.obs["tech"]]
    )
    small.obs[ANSI] = "x"
    small.write_h5ad(tmp_path / "in.h5ad")
    words = ["cluster", str(tmp_path / "in.h5ad"), "--max-epochs", "2", "-o", str(tmp_path / "out.h5ad"), "--batch-key"]
    assert cli.main([*words, ANSI]) == cli.WRONG_USE
    with pytest.raises(SystemExit):
        cli.main([*words, "tech", ANSI])
    assert cli.main([*words, "evil", "-v", "--save-model", str(tmp_path / "model")]) == cli.OK
    words = ["assign", str(tmp_path / "model"), str(tmp_path / "in.h5ad"), "-o", str(tmp_path / "new.h5ad")]
    assert cli.main([*words, "--batch-key", ANSI]) == cli.OK
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "[2J" in captured.err
    assert all(line.startswith("scfcmi: ") for line in captured.err.splitlines())


def test_names_that_are_logged(small, blobs, capsys):
    from scfcmi import set_verbosity

    set_verbosity("info")
    model = tl.fit_model(small, "tech", max_epochs=2)
    small.obs["evil"] = ANSI
    tl.assign(small, model, batch_key="evil")
    error = capsys.readouterr().err
    assert "not seen" in error
    assert "\x1b" not in error


def test_report(tmp_path):
    measures = dict.fromkeys([column for column, _, _ in _report.METRICS], 0.5)
    base = {"seed": 0, "epochs": None, "subset": None, "status": "done", "variant": "as published", "why": None}
    base |= {"seconds": 1.0, "peak_memory_mb": 1.0} | measures
    html = "<script>alert(1)</script>"
    runs = [
        base | {"dataset": f"=cmd|{ANSI}{html}", "method": f"@x{html}\n{ANSI}"},
        base | {"dataset": "b", "method": "kmeans", "status": "failed", "why": f"-1 {html} {ANSI}\n## heading"},
        base | {"dataset": "c", "method": "labels", "status": "not run", "why": f"{html} {ANSI}\n## heading"},
    ]
    benchmark.write_report(pd.DataFrame(runs), tmp_path)
    page, text = (tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page + text
    assert "\n## heading" not in text
    table = pd.read_csv(tmp_path / "report.csv")
    assert table["dataset"].iloc[0].startswith("'=cmd")
    assert table["method"].iloc[0].startswith("'@x")
