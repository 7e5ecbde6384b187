"""Write tables from ``results`` between ``<!-- table: name -->`` and ``<!-- end -->``: here, in the README and in the docs.

python benchmarks/readme.py
"""

from __future__ import annotations

import re
from pathlib import Path

import reliability
import run_scenarios
import single_cell
import speed
from runs import RESULTS

ROOT = Path(__file__).parents[1]
PAGES = (
    ROOT / "benchmarks" / "README.md",
    ROOT / "README.md",
    ROOT / "docs" / "results.md",
    ROOT / "docs" / "scaling.md",
)


def main() -> None:
    found = {}
    for module in (single_cell, run_scenarios, reliability, speed):
        path = RESULTS / f"{module.__name__.removeprefix('run_')}.jsonl"
        if path.exists():
            found |= module.tables(path)
    fill = lambda match: f"{match[1]}\n\n{found[match[2]]}\n\n<!-- end -->" if match[2] in found else match[0]
    for page in PAGES:
        page.write_text(re.sub(r"(<!-- table: (\w+) -->).*?<!-- end -->", fill, page.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    main()
