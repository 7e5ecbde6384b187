"""Work side by side in threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

S, T = TypeVar("S"), TypeVar("T")


def side_by_side(function: Callable[[S], T], items: Sequence[S]) -> list[T]:
    """Return what a function returns for each item, each in a thread.

    The first is computed in the calling thread, because memory of the others is kept when they end: some 100 MB each.
    """
    first, *rest = items
    if not rest:
        return [function(first)]
    with ThreadPoolExecutor(len(rest)) as pool:
        try:
            others = pool.map(function, rest)
        except RuntimeError:
            # There is no memory for another thread.
            return [function(item) for item in items]
        return [function(first), *others]
