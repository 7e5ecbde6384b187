"""Write the tables of README.md from ``results``, between ``<!-- table: name -->`` and ``<!-- end -->``.

python benchmarks/readme.py
"""

from __future__ import annotations

import re
from pathlib import Path

import reliability
import run_scenarios
import single_cell
from runs import RESULTS

README = Path(__file__).parent / "README.md"


def main() -> None:
    found = {}
    for module in (single_cell, run_scenarios, reliability):
        path = RESULTS / f"{module.__name__.removeprefix('run_')}.jsonl"
        if path.exists():
            found |= module.tables(path)
    fill = lambda match: f"{match[1]}\n\n{found[match[2]]}\n\n<!-- end -->" if match[2] in found else match[0]
    text = re.sub(r"(<!-- table: (\w+) -->).*?<!-- end -->", fill, README.read_text(), flags=re.DOTALL)
    README.write_text(text)


if __name__ == "__main__":
    main()
