"""Work side by side in threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

S, T = TypeVar("S"), TypeVar("T")


def side_by_side(function: Callable[[S], T], items: Sequence[S]) -> list[T]:
    """Return what a function returns for each item, computed in a thread each.

    The first is computed in the calling thread: every other thread keeps some 100 MB that the C library does not
    give back.
    """
    first, *rest = items
    if not rest:
        return [function(first)]
    with ThreadPoolExecutor(len(rest)) as pool:
        others = pool.map(function, rest)
        return [function(first), *others]
