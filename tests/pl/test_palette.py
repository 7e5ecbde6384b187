from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from scanpy.plotting import palettes

from scfcmi.pl._palette import palette, seen


def _closest(colors):
    """Return the smallest distance of two colors, by the worst of four kinds of vision."""
    views = seen(np.array([mpl.colors.to_rgb(c) for c in colors]))
    distances = np.linalg.norm(views[:, :, None] - views[:, None], axis=-1)
    return distances[:, ~np.eye(len(colors), dtype=bool)].min()


def test_fewer_colors_are_the_first_of_more():
    assert palette(5) == palette(40)[:5]
    assert palette(12) == palette(40)[:12]
    assert len(set(palette(300))) == 300


@pytest.mark.parametrize(
    ("n", "others"), [(20, palettes.default_20), (28, palettes.default_28), (60, palettes.default_102)]
)
def test_told_apart_by_any_vision(n, others):
    assert _closest(palette(n)) > 2.5 * _closest(others[:n])


def test_gray_is_kept_for_the_background():
    rgb = np.array([mpl.colors.to_rgb(c) for c in palette(60)])
    assert (np.ptp(rgb, axis=1) > 0.05).all()


def test_simulation():
    # White stays white for all; red and green come together for a deuteranope, and blue stays apart.
    white, red, green, blue = seen(np.array([[1, 1, 1], [0.7, 0.2, 0], [0.25, 0.42, 0], [0, 0, 1.0]])).swapaxes(0, 1)
    np.testing.assert_allclose(white, [[1, 0, 0]] * 4, atol=1e-3)
    distance = np.linalg.norm(red - green, axis=1)
    assert distance[2] < distance[0] / 2
    assert (np.linalg.norm(red - blue, axis=1) > 0.2).all()
