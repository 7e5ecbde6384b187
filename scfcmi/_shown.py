"""Text that came with the data, as it is shown: names of batches and labels may hold anything, commands included."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

# Control and format characters (ANSI escapes, right-to-left overrides), lone surrogates, separators of lines.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# What a spreadsheet takes for the start of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def shown(text: str) -> str:
    """Return text in one line, with escapes in place of what would move the cursor or hide other text."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _HIDDEN else char for char in text
    )


def listed(names: Sequence[object], most: int) -> str:
    """Return names separated by commas; of more than ``most``, the first and how many more there are."""
    more = len(names) - most
    return ", ".join(map(str, names[:most])) + (f" and {more} more" if more > 0 else "")


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts and headings start no formula: an apostrophe goes before those that would."""
    # Columns of numbers are left alone: taken value by value they would lose their precision.
    quoted = table.apply(lambda column: column if column.dtype.kind in "biufc" else column.map(_quoted))
    return quoted.rename(columns=_quoted, index=_quoted)


def _quoted(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
