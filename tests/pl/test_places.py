from __future__ import annotations

import numpy as np
import pytest

from scfcmi.pl._places import spread

ROOM = np.array([[0.0, 0.0], [100.0, 100.0]])


def n_overlapping(places, sizes):
    apart = np.abs(places[:, None] - places[None])
    touching = (apart < (sizes[:, None] + sizes[None]) / 2 - 1e-5).all(axis=-1)
    return (touching.sum() - len(places)) // 2


@pytest.mark.parametrize("n", [0, 1, 2, 10, 30])
def test_apart_and_in_the_room(n):
    rng = np.random.default_rng(n)
    sizes = rng.uniform(3, 14, size=(n, 2))
    for places in (rng.uniform(30, 70, size=(n, 2)), np.full((n, 2), 50.0), np.zeros((n, 2))):
        before = places.copy()
        moved = spread(places, sizes, ROOM)
        assert n_overlapping(moved, sizes) == 0
        assert (moved - sizes / 2 >= -1e-9).all()
        assert (moved + sizes / 2 <= 100 + 1e-9).all()
        np.testing.assert_array_equal(places, before)


def test_what_does_not_overlap_stays():
    places, sizes = np.array([[20.0, 20.0], [80.0, 80.0]]), np.full((2, 2), 5.0)
    np.testing.assert_array_equal(spread(places, sizes, ROOM), places)


def test_more_than_there_is_room_for():
    moved = spread(np.full((50, 2), 5.0), np.full((50, 2), 40.0), ROOM)
    assert np.isfinite(moved).all()
    # A text that is wider than the room starts where the room does.
    np.testing.assert_array_equal(spread(np.zeros((1, 2)), np.array([[300.0, 10.0]]), ROOM), [[150.0, 5.0]])
