"""Bars that say which stage a fit is in, and how much of it is left."""

from __future__ import annotations

import warnings
from functools import partial

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # A notebook without ipywidgets has no bar. That is no reason to warn.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm


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

    def stage(self, name: str, total: int | None = None, unit: str = "block") -> tqdm:
        """Draw a bar for a stage of so many steps, until its ``with`` ends; of an unknown number, its name only."""
        return self._bar(total=total, desc=f"FCMI: {name}", unit=unit)

    def tracked(self, name: str, total: int | None = None) -> partial[tqdm]:
        """Return a function that draws a bar as an iterator over so many blocks goes on; a list knows its own length."""
        return partial(self._bar, total=total, desc=f"FCMI: {name}", unit="block")
