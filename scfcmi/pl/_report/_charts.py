"""Small line charts as SVG, which takes its colors from the page: light, dark or paper."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from scfcmi.pl._places import spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_WIDTH, _HEIGHT = 300, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 26, 34
_SIZE = re.compile(r"size_\d+")
# Terms of a training, in words.
_WORDS = {
    "loss": "Loss: what training lowers",
    "L_rec": "L_rec: error of reconstruction",
    "L_clu": "L_clu: clusters compact and of like size",
    "L_fair": "L_fair: clusters independent of the batch",
    "L_agr": "L_agr: counterparts of other batches agree",
    "L_smooth": "L_smooth: neighbors within a batch move alike",
    "frac_with_counterpart": "Share of cells with a counterpart",
    "changed": "Share of cells that changed cluster",
    "code_shift": "Change of the codes in a fifth of the training",
    "H_C": "H(C), nats",
    "H_C_given_X": "H(C|X), nats",
    "I_G_C": "I(G;C), nats",
    "I_X_C_given_G": "I(X;C|G), nats",
}


def history_charts(history: pd.DataFrame) -> list[Markup]:
    """Return a chart for each term of a training."""
    epochs = pd.to_numeric(history.index).to_numpy(float)
    terms = [str(column) for column in history.columns if not _SIZE.fullmatch(str(column))]
    return [
        line_chart(epochs, {"": history[term].to_numpy(float)}, title=_WORDS.get(term, term), x_label="epoch")
        for term in terms
    ]


def resolution_chart(curve: pd.DataFrame, used: object) -> Markup:
    """Return the chart of :func:`scfcmi.tl.choose_n_clusters`; above it stand numbers of clusters."""
    curve = curve.sort_values("resolution")
    x = curve["resolution"].to_numpy(float)
    return line_chart(
        np.log(x),
        {name: curve[name].to_numpy(float) for name in ("stability", "separation", "modularity") if name in curve},
        title="Number of clusters, by resolution",
        x_label="resolution",
        ticks=list(zip(np.log(x), (f"{value:g}" for value in x), strict=True)),
        above=list(zip(np.log(x), map(str, curve["n_clusters"]), strict=True)),
        mark=None if used is None else float(np.log(float(used))),
        width=520,
    )


def line_chart(
    x: np.ndarray,
    lines: Mapping[str, np.ndarray],
    *,
    title: str,
    x_label: str,
    ticks: Sequence[tuple[float, str]] | None = None,
    above: Sequence[tuple[float, str]] = (),
    mark: float | None = None,
    width: int = _WIDTH,
) -> Markup:
    """Return lines over ``x`` as SVG; values that are no numbers are left out.

    Parameters
    ----------
    x
        Where points stand.
    lines
        Values by name. A name stands at the end of its line.
    title, x_label
        Words above and below.
    ticks
        Places and words along x; ``None`` chooses them.
    above
        Places and words above the lines.
    mark
        Where a dashed line stands.
    width
        Units of the drawing.
    """
    from matplotlib.ticker import MaxNLocator

    finite = np.concatenate([values[np.isfinite(values)] for values in lines.values()])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    right = _RIGHT + (7 * max(map(len, lines)) if len(lines) > 1 else 0)
    levels = [v for v in MaxNLocator(4).tick_values(low, high) if low <= v <= high] or [low]
    if ticks is None:
        ticks = [(v, f"{v:g}") for v in MaxNLocator(5, integer=True).tick_values(x.min(), x.max())]
        ticks = [(v, words) for v, words in ticks if x.min() <= v <= x.max()]
    x_of = _scale(x.min(), x.max(), _LEFT, width - right)
    top = _TOP + 16 * bool(above)
    y_of = _scale(low, high, _HEIGHT - _BOTTOM, top)

    parts = [Markup('<text class="heading" x="2" y="14">{}</text>').format(title)]
    for value in levels:
        y = y_of(value)
        parts.append(Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(_LEFT, width - right, y, y))
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(_LEFT - 6, y + 3.5, f"{value:.4g}")
        )
    for place, words in ticks:
        parts.append(_text(x_of(place), _HEIGHT - _BOTTOM + 14, words))
    for place, words in above:
        parts.append(_text(x_of(place), top - 8, words))
    parts.append(_text((_LEFT + width - right) / 2, _HEIGHT - 4, x_label))
    if mark is not None and x.min() <= mark <= x.max():
        line = '<line class="mark" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>'
        parts.append(Markup(line).format(x_of(mark), top, _HEIGHT - _BOTTOM))
    # Names at the ends of lines stand apart.
    ends = np.array([(0.0, y_of(values[-1]) if np.isfinite(values[-1]) else top) for values in lines.values()])
    ends = spread(ends, np.full((len(ends), 2), (width, 12.0)), np.array([[-width, 0.0], [width, _HEIGHT]]))
    for number, (name, values) in enumerate(lines.items()):
        points = [f"{x_of(a)},{y_of(b)}" for a, b in zip(x, values, strict=True) if np.isfinite(b)]
        if not points:
            continue
        # A line from a point to itself is drawn as a dot.
        points += points[: len(points) == 1]
        parts.append(Markup('<polyline class="line{}" points="{}"/>').format(number, " ".join(points)))
        if len(lines) > 1:
            end = Markup('<text class="line{}" x="{}" y="{}">{}</text>')
            parts.append(end.format(number, width - right + 6, round(float(ends[number, 1]) + 3.5, 1), name))
    head = Markup('<svg class="chart" viewBox="0 0 {} {}" style="max-width:{}px" role="img" aria-label="{}">')
    return head.format(width, _HEIGHT, width, title) + Markup("").join(parts) + Markup("</svg>")


def _text(x: float, y: float, words: str) -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(round(x, 1), y, words)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    wide = (high - low) or 1.0
    return lambda value: round(start + (end - start) * (float(value) - low) / wide, 1)
