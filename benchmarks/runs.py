"""Files of runs, one JSON line each, and tables in markdown."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable

RESULTS = Path(__file__).parent / "results"


def version() -> str:
    """Return the last commit that changed the package; "-dirty" if it was changed since."""
    folder = Path(__file__).parents[1]

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words, "--", "scfcmi"], cwd=folder, capture_output=True, text=True
        ).stdout.strip()

    return git("log", "-1", "--format=%h") + ("-dirty" if git("status", "--porcelain") else "")


def append(path: Path, record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def latest(path: Path, keys: list[str]) -> pd.DataFrame:
    """Read the runs of a file; of runs that agree in ``keys``, the last. A file that is not there has no runs."""
    lines = path.read_text().splitlines() if path.exists() else []
    runs = pd.DataFrame([json.loads(line) for line in lines])
    return runs.drop_duplicates(keys, keep="last") if len(runs) else pd.DataFrame(columns=[*keys, "version"])


def keep_latest(path: Path, keys: list[str]) -> None:
    """Drop the lines of a file that a later line replaces."""
    lines = {tuple(json.loads(line)[key] for key in keys): line for line in path.read_text().splitlines()}
    path.write_text("".join(line + "\n" for line in lines.values()))


def table(columns: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(columns), ["---"] * len(list(columns)), *rows]
    text = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
    # On a narrow screen a mean and its spread stay on one line.
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def percent(values: pd.Series, *columns: str) -> str:
    """Return "NMI / ARI" and the like in percent, empty where there is nothing."""
    if values[list(columns)].isna().any():
        return ""
    return " / ".join(f"{100 * values[column]:.1f}" for column in columns)
