"""The table of all runs."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scfcmi import _validate
from scfcmi._files import replacing
from scfcmi._shown import shown, without_formulas
from scfcmi.benchmark._methods import ORACLE, REFERENCES, names
from scfcmi.benchmark._paper import paper_table
from scfcmi.benchmark._record import DONE, UNAVAILABLE, Job, split
from scfcmi.metrics._table import METRICS

if TYPE_CHECKING:
    import os

_PAPER = [column for column, _, _ in METRICS[:5]]
# Columns of words; all others are numbers.
_WORDS = {"method", "its origin", "note"}
_TITLES = {"labels": "true labels", ORACLE: "oracle repair of the true labels"}

_INTRODUCTION = """\
Percent, mean ± standard deviation over seeds; **best** and <u>second best</u> mean of a column, the two rows that bound
them left out. Leakage is I(C;G|Y) / H(G|Y), 0 is ideal. Seconds and peak memory are means, loading not timed, the whole
process in memory. The true labels are what a perfect clustering scores; the oracle repair moves as few samples as it can
out of their true class to fair shares. "Paper" is Table 1 of Zeng et al., CVPR 2023, and where its numbers are from."""

_STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 80em; padding: 0 1em; }
div { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #ccc; padding: .25em .6em; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }"""


def write_report(runs: pd.DataFrame, folder: str | os.PathLike[str]) -> Path:
    """Write ``report.md``, ``report.csv`` and ``report.html`` of runs and return the path of the first.

    Parameters
    ----------
    runs
        From :func:`scfcmi.benchmark.read_runs`.
    folder
        Where to write. Existing reports are replaced.

    Raises
    ------
    TypeError, KeyError
        If ``runs`` is no such table, or ``folder`` no path.
    """
    _validate.path("folder", folder)
    _validate.table("runs", runs, (*Job.__dataclass_fields__, "status"))
    folder, table = Path(folder), summarize(runs)
    texts = {
        "report.md": _markdown(table),
        "report.csv": without_formulas(table).to_csv(index=False),
        "report.html": _page(table),
    }
    for name, text in texts.items():
        with replacing(folder / name) as path:
            path.write_text(text)
    return folder / "report.md"


def summarize(runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row a data set, part of it, method and number of epochs: baselines first, repaired forms beside theirs.

    ``seeds`` counts the runs that came to an end; ``note`` says what became of the others. Runs of other data than the last
    run of a data set, such as another variant of it, are left out and noted. Metrics are in percent: the
    mean under the metric's name, the standard deviation under ``..._sd`` (missing for one seed), the paper's under
    ``paper_...``. ``paper_origin`` and ``paper_misprint`` come from :func:`scfcmi.benchmark.paper_table`.
    """
    rows, runs = [], _of_last_data(runs)
    for (dataset, subset, method, epochs), group in runs.groupby(
        ["dataset", "subset", "method", "epochs"], sort=False, dropna=False
    ):
        done = group[group["status"] == DONE]
        row = {"dataset": dataset, "subset": subset, "method": method, "epochs": epochs, "seeds": len(done)}
        row["variant"] = done["variant"].iloc[0] if len(done) else None
        for column, _, _ in METRICS:
            values = 100 * done[column] if len(done) else pd.Series(dtype=float)
            row |= {column: values.mean(), f"{column}_sd": values.std()}
        row |= {column: done[column].mean() if len(done) else None for column in ("seconds", "peak_memory_mb")}
        undone = group.loc[group["status"] != DONE]
        row["note"] = "; ".join(
            dict.fromkeys(f"{s}: {w}" for s, w in zip(undone["status"], undone.get("why", ()), strict=False))
        )
        rows.append(row)
    parts = [_part(row) for row in rows]
    rows.sort(key=lambda row: (parts.index(_part(row)), *_place(row["method"])))
    paper = paper_table().set_index(["dataset", "method"]).add_prefix("paper_")
    return pd.DataFrame(rows).merge(paper, how="left", left_on=["dataset", "method"], right_index=True)


def _of_last_data(runs: pd.DataFrame) -> pd.DataFrame:
    """Return runs with those marked as left out whose data are not those of the last run."""
    if "data_checksum" not in runs:
        return runs
    # Of old runs nobody knows.
    runs, done = runs.copy(), runs[(runs["status"] == DONE) & runs["data_checksum"].notna()]
    for _, same in done.groupby(["dataset", "subset"], dropna=False):
        last = same.loc[same["ended"].idxmax(), "data_checksum"]
        others = same.index[same["data_checksum"] != last]
        # For no rows, pandas would make a column of a type that it cannot read.
        if len(others):
            runs.loc[others, ["status", "why"]] = "left out", "made on other data than the last run"
    return runs


def _part(row: dict[str, object]) -> str:
    # In words, since a missing number of samples does not equal another.
    return f"{row['dataset']} {row['subset']}"


def _place(method: str) -> tuple[int, str]:
    """Return where a method stands in a table: the two that bound the others, then in the order of their list."""
    order = [*REFERENCES, *names()]
    name, end = split(method)
    name = name.partition(":")[0]
    return order.index(name) if name in order else len(order), end


def _markdown(table: pd.DataFrame) -> str:
    parts = ["# Benchmark", _INTRODUCTION]
    for heading, cells in _blocks(table):
        parts.append(f"## {heading}")
        if isinstance(cells, str):
            parts.append(cells)
            continue
        # A bar would end its cell.
        cells = cells.map(lambda text: text.replace("|", "\\|"))
        sides = ["left" if name in _WORDS else "right" for name in cells.columns]
        parts.append(cells.to_markdown(index=False, colalign=sides, disable_numparse=True))
    return "\n\n".join(parts) + "\n"


def _page(table: pd.DataFrame) -> str:
    parts = [f"<h1>Benchmark</h1><p>{_marked(_INTRODUCTION)}</p>"]
    for heading, cells in _blocks(table):
        parts.append(f"<h2>{html.escape(heading)}</h2>")
        if isinstance(cells, str):
            parts.append(f"<p>{html.escape(cells)}</p>")
            continue
        # Escaped by _marked, which lets the marks of the best through.
        rows = cells.map(_marked).to_html(index=False, escape=False, border=0)
        parts.append(f"<div>{rows}</div>")
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>scfcmi benchmark</title>'
    return f"<!doctype html><html lang=en>{head}<style>{_STYLE}</style>\n" + "\n".join(parts) + "</html>\n"


def _marked(text: str) -> str:
    """Return Markdown with bold and underlined numbers as HTML."""
    text = html.escape(text).replace("&lt;u&gt;", "<u>").replace("&lt;/u&gt;", "</u>")
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)


def _blocks(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame | str]]:
    """Return, for each data set or part of one, a heading and a table of texts; or why there is none."""
    blocks = []
    for (dataset, subset), rows in table.groupby(["dataset", "subset"], sort=False, dropna=False):
        variants = [v for v in rows["variant"].dropna().unique() if v not in ("as published", "as in the file")]
        words = [dataset, *([] if pd.isna(subset) else [f"{subset:.0f} samples drawn"]), *variants]
        heading = shown(", ".join(words))
        if len(rows) == 1 and rows["note"].iloc[0].startswith(UNAVAILABLE):
            note = rows["note"].iloc[0]
            # Not capitalize(), which lowers the rest: names of files and addresses must stay.
            blocks.append((heading, shown(note[:1].upper() + note[1:])))
            continue
        has_paper = rows["paper_origin"].notna().any()
        header = ["method", "seeds", *(name for _, name, _ in METRICS), "seconds", "MB"]
        header += ["paper: " + " / ".join(name for _, name, _ in METRICS[:5]), "its origin"] if has_paper else []
        marks = {column: _marks(rows, column, more=more) for column, _, more in METRICS}
        cells = [
            [
                _method(row),
                f"{row['seeds']}",
                *(_value(row, column, marks[column].get(index, "")) for column, _, _ in METRICS),
                "" if pd.isna(row["seconds"]) else f"{row['seconds']:.0f}",
                "" if pd.isna(row["peak_memory_mb"]) else f"{row['peak_memory_mb']:.0f}",
                *(_of_paper(row) if has_paper else ()),
            ]
            for index, row in rows.iterrows()
        ]
        if (rows["note"] != "").any():
            header.append("note")
            for line, note in zip(cells, rows["note"], strict=True):
                line.append(note)
        blocks.append((heading, pd.DataFrame(cells, columns=header).map(lambda text: shown(" ".join(text.split())))))
    return blocks


def _marks(rows: pd.DataFrame, column: str, *, more: bool) -> dict[object, str]:
    """Return the marks of the best and second best means, as the table shows them: equal ones share a mark."""
    values = rows.loc[~rows["method"].isin(REFERENCES), column].dropna().astype(float).round(1)
    best = sorted(values.unique(), reverse=more)[:2]
    return {index: ("**", "u")[best.index(value)] for index, value in values.items() if value in best}


def _method(row: pd.Series) -> str:
    epochs = "" if pd.isna(row["epochs"]) else f" ({row['epochs']:.0f} epochs)"
    return _TITLES.get(row["method"], row["method"]) + epochs


def _value(row: pd.Series, column: str, mark: str) -> str:
    if pd.isna(row[column]):
        return ""
    text = f"{row[column]:.1f}" + ("" if pd.isna(row[f"{column}_sd"]) else f" ± {row[f'{column}_sd']:.1f}")
    return {"": text, "**": f"**{text}**", "u": f"<u>{text}</u>"}[mark]


def _of_paper(row: pd.Series) -> tuple[str, str]:
    if pd.isna(row["paper_origin"]):
        return "", ""
    numbers = ["-" if pd.isna(row[f"paper_{c}"]) else f"{row[f'paper_{c}']:.1f}" for c in _PAPER]
    wrong = row["paper_misprint"]
    column, _, value = wrong.partition("=")
    names = {c: name for c, name, _ in METRICS}
    return " / ".join(numbers), row["paper_origin"] + (f"; {names[column]} misprinted for {value}" if wrong else "")
