"""Where texts stand on a map, so that all can be read."""

from __future__ import annotations

import numpy as np

# Most rounds in which boxes move apart, and pairs of boxes looked at in all of them: hundreds of names do not fit anyway.
_ROUNDS, _PAIRS = 1000, 10_000_000
# Share of a map, across, that half a name takes.
_SMALL = 0.04


def middle(cells: np.ndarray, wide: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the middle cell of a cluster, and whether a name on it would hide the cluster.

    ``cells`` are its places, shape (n, 2), and ``wide`` the width and height of the whole map.
    """
    place = cells[np.linalg.norm(cells - np.median(cells, axis=0), axis=1).argmin()]
    return place, bool((np.quantile(np.abs(cells - place), 0.3, axis=0) < _SMALL * wide).all())


def spread(places: np.ndarray, sizes: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Move boxes apart until none lies on another, and all lie in the room, as far as there is room.

    Two boxes that overlap move along the axis on which they overlap less, half each.

    Parameters
    ----------
    places
        Centers of the boxes, shape (n, 2).
    sizes
        Their widths and heights, shape (n, 2).
    room
        The lower left and the upper right corner of the room.

    Returns
    -------
    The new centers.
    """
    places = np.array(places, float)
    low, high = room[0] + sizes / 2, np.maximum(room[0] + sizes / 2, room[1] - sizes / 2)
    # Of two boxes at one place, the first moves up.
    order = np.sign(np.arange(len(places))[None] - np.arange(len(places))[:, None])
    for _ in range(min(_ROUNDS, _PAIRS // max(1, len(places)) ** 2)):
        places = places.clip(low, high)
        apart = places[:, None] - places[None]
        overlap = (sizes[:, None] + sizes[None]) / 2 - np.abs(apart)
        touching = (overlap > 1e-6).all(axis=-1)
        np.fill_diagonal(touching, val=False)
        if not touching.any():
            break
        axis = overlap.argmin(axis=-1)[..., None]
        along = np.take_along_axis(apart, axis, -1)[..., 0]
        way = np.where(along == 0, order, np.sign(along))
        # A little more than half, so that rounding leaves no rest.
        step = np.where(touching, 0.51 * overlap.min(axis=-1) * way, 0.0)
        for d in range(2):
            places[:, d] += np.where(axis[..., 0] == d, step, 0.0).sum(axis=1)
    return places.clip(low, high)
