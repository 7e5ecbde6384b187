"""Colors that people of any color vision can tell apart, as far as their number allows."""

from __future__ import annotations

from functools import cache

import numpy as np

# Okabe and Ito (2008) without black, which is the color of text; the yellow is theirs, darker, to be seen on white.
_FIRST = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#e0cf2a")

# Further colors, in OKLab: light enough to be told from black, dark enough for white paper, and not gray.
_LIGHTNESS = (0.35, 0.88)
_LEAST_CHROMA = 0.04
_LEVELS = 18

# Protanopia and deuteranopia, the severe forms of the common deficiencies, and tritanopia, as matrices on linear RGB:
# Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009), Table 1, severity 1.
_DEFICIENCIES = np.array(
    [
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)

# Ottosson (2020): linear RGB to cone responses, and their cube roots to OKLab.
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


@cache
def palette(n: int) -> tuple[str, ...]:
    """Return ``n`` colors as hex codes; fewer are always the first of more.

    Okabe and Ito chose the first seven. Each further color is the one of an even grid that lies farthest from all before
    it. The distance of two colors is the smallest that normal vision or any of three deficiencies sees (OKLab).
    """
    if n <= len(_FIRST):
        return _FIRST[:n]
    import matplotlib as mpl

    levels = np.linspace(0, 1, _LEVELS)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lightness, *chroma = _lab(_linear(grid)).T
    grid = grid[(lightness > _LIGHTNESS[0]) & (lightness < _LIGHTNESS[1]) & (np.hypot(*chroma) > _LEAST_CHROMA)]
    candidates = seen(grid)
    chosen = list(_FIRST)
    nearest = np.full(len(grid), np.inf)
    for color in seen(np.array([mpl.colors.to_rgb(c) for c in _FIRST])).swapaxes(0, 1):
        nearest = np.minimum(nearest, _distance(candidates, color))
    while len(chosen) < n:
        best = int(nearest.argmax())
        chosen.append(mpl.colors.to_hex(grid[best]))
        nearest = np.minimum(nearest, _distance(candidates, candidates[:, best]))
    return tuple(chosen)


def seen(colors: np.ndarray) -> np.ndarray:
    """Return colors, RGB between 0 and 1, shape (n, 3), as four kinds of vision see them: OKLab, shape (4, n, 3)."""
    light = _linear(colors)
    return np.stack([_lab(light), *(_lab(np.clip(light @ matrix.T, 0, 1)) for matrix in _DEFICIENCIES)])


def _linear(colors: np.ndarray) -> np.ndarray:
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def _lab(light: np.ndarray) -> np.ndarray:
    return np.cbrt(light @ _TO_CONES.T) @ _TO_LAB.T


def _distance(candidates: np.ndarray, color: np.ndarray) -> np.ndarray:
    return np.linalg.norm(candidates - color[:, None], axis=-1).min(axis=0)
