from __future__ import annotations

import threading

import pytest

from scfcmi._threads import side_by_side


def test_results_are_in_order_and_the_first_is_computed_here():
    here = threading.get_ident()
    found = side_by_side(lambda item: (item, threading.get_ident() == here), range(3))
    assert found == [(0, True), (1, False), (2, False)]


def test_all_are_computed_at_once():
    barrier = threading.Barrier(3, timeout=60)
    assert sorted(side_by_side(lambda _: barrier.wait(), "abc")) == [0, 1, 2]


@pytest.mark.parametrize("fails", [0, 1])
def test_an_error_of_any_item_is_raised(fails):
    def function(item: int) -> int:
        if item == fails:
            raise FloatingPointError(item)
        return item

    with pytest.raises(FloatingPointError, match=str(fails)):
        side_by_side(function, range(2))


def test_without_memory_for_a_thread(monkeypatch):
    def start(_):
        msg = "can't start new thread"
        raise RuntimeError(msg)

    monkeypatch.setattr("threading.Thread.start", start)
    assert side_by_side(lambda number: 2 * number, [1, 2]) == [2, 4]
