"""Write tables from ``results`` between ``<!-- table: name -->`` and ``<!-- end -->``: here, in the README and in the docs.

python benchmarks/readme.py
"""

from __future__ import annotations

import re
from pathlib import Path

import beside
import diagnose
import growth
import paper
import reliability
import run_scenarios
import scale
import scib
import single_cell
import speed
from runs import RESULTS

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "benchmarks" / "NOTES.md", *sorted((ROOT / "docs").glob("*.md")))
SOURCES = (
    ("single_cell", single_cell),
    ("single_cell", beside),
    ("scenarios", run_scenarios),
    ("reliability", reliability),
    ("speed", speed),
    ("growth", growth),
    ("scale", scale),
    ("runs", paper),
    ("diagnose", diagnose),
    ("scib", scib),
)
_TABLE = re.compile(r"(<!-- table: (\w+) -->).*?<!-- end -->", flags=re.DOTALL)


def tables() -> dict[str, str]:
    """Return all tables by name."""
    found = {}
    for name, module in SOURCES:
        path = RESULTS / f"{name}.jsonl"
        if path.exists():
            found |= module.tables(path)
    return found


def filled(text: str, found: dict[str, str]) -> str:
    """Return a page with new tables. A table without results stays as it is."""
    fill = lambda match: f"{match[1]}\n\n{found[match[2]]}\n\n<!-- end -->" if match[2] in found else match[0]
    return _TABLE.sub(fill, text)


def main() -> None:
    found = tables()
    for page in PAGES:
        before = page.read_text()
        after = filled(before, found)
        if after != before:
            page.write_text(after)


if __name__ == "__main__":
    main()
