"""Bars that say which stage a fit is in, and how much of it is left."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # A notebook without ipywidgets has no bar. That is no reason to warn.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stages:
    """One bar a stage, which goes when the stage is done.

    Parameters
    ----------
    shown
        Whether to draw; ``None`` draws on a terminal or in a notebook only.
    """

    def __init__(self, shown: bool | None) -> None:  # noqa: FBT001  # passed on as the user gave it
        # tqdm reads None so: on a terminal only.
        self._bar = partial(tqdm, disable=None if shown is None else not shown, leave=False)

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "block") -> Iterator[tqdm]:
        """Draw a bar for a stage of so many steps; of an unknown number, its name only."""
        with self._bar(total=total, desc=f"FCMI: {name}", unit=unit) as bar:
            yield bar

    def tracked(self, name: str, total: int | None = None) -> partial[tqdm]:
        """Return a function that draws a bar as an iterator over so many blocks goes on; a list knows its own length."""
        return partial(self._bar, total=total, desc=f"FCMI: {name}", unit="block")
