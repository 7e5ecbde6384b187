"""Fairlet decomposition of two groups by a quadtree (Backurs et al., 2019): points in, small fair sets out."""

from __future__ import annotations

import numpy as np

# Halvings after which a cell's side is 1e-4 of the spread.
_DEPTH = 15


def fairlets(points: np.ndarray, red: np.ndarray, p: int, q: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Cut points into sets of at most p + q. In each set, one group has at least p / q times the cells of the other.

    Parameters
    ----------
    points
        Shape (n_cells, n_dims). Their order decides who is lifted and paired with whom.
    red
        Whether each point belongs to the first group, bool, shape (n_cells,).
    p, q
        Coprime, 1 <= p <= q; all points together must be as even as p / q.
    rng
        Draws the shift of the tree.

    Returns
    -------
    Indices of each set, red ones first.
    """
    low, high = points.min(), points.max()
    spread = (high - low) or 1.0
    shift = rng.uniform(0, spread, points.shape[1]).astype(points.dtype)
    place = (points - low + shift) / (2 * spread)
    found: list[np.ndarray] = []
    stack = [(np.arange(len(points)), 1)]
    while stack:
        members, depth = stack.pop()
        is_red = red[members]
        if depth > _DEPTH or len(members) <= 2:
            found += _cut(members[is_red], members[~is_red], p, q)
            continue
        children = _children(place[members], depth)
        n_children = children.max() + 1
        counts = np.stack(
            [np.bincount(children[is_red], minlength=n_children), np.bincount(children[~is_red], minlength=n_children)]
        )
        kept = _kept(counts, p, q)
        # Of each child's list the last ones are lifted.
        lifted = _rank(children, is_red, counts) >= np.where(is_red, kept[0][children], kept[1][children])
        found += _cut(members[lifted & is_red], members[lifted & ~is_red], p, q)
        stay = np.flatnonzero(~lifted)
        stay = stay[np.argsort(children[stay], kind="stable")]
        sizes = kept.sum(axis=0)
        stack += [(part, depth + 1) for part in np.split(members[stay], np.cumsum(sizes)[:-1]) if len(part)]
    return found


def _children(place: np.ndarray, depth: int) -> np.ndarray:
    """Number the children of a node, of up to 2^d, in order of first appearance.

    In many dimensions nearly every point is a child of its own, and that order is the order of the file.
    """
    halves = np.packbits((place * 2**depth).astype(np.int64) & 1 == 1, axis=1)
    cells = np.ascontiguousarray(halves).view(np.dtype((np.void, halves.shape[1]))).ravel()
    _, first, cell = np.unique(cells, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[cell]


def _rank(children: np.ndarray, is_red: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the place of each point among those of its child and group."""
    key = children * 2 + is_red
    order = np.argsort(key, kind="stable")
    sizes = counts[::-1].T.ravel()
    rank = np.empty(len(key), dtype=np.int64)
    rank[order] = np.arange(len(key)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return rank


def _is_fair(a: int, b: int, p: int, q: int) -> bool:
    return a * p <= b * q and b * p <= a * q


def _kept(counts: np.ndarray, p: int, q: int) -> np.ndarray:
    """Return how many of each group every child keeps, (2, n_children): both these and the rest are fair.

    Three rounds of lifting, each only if the one before leaves the lifted unfair: what makes a child unfair; what a
    child can spare of the group that the lifted lack; what does not fill whole sets of p and q.
    """
    kept = np.minimum(counts, counts[::-1] * q // p)
    total = counts.sum(axis=1)
    lifted = total - kept.sum(axis=1)
    rare = int(lifted[0] >= lifted[1])
    missing = max(0, -(-lifted[1 - rare] * p // q) - lifted[rare])
    if missing:
        spare = np.maximum(kept[rare] + (-kept[1 - rare] * p // q), 0)
        taken = np.minimum(spare, np.maximum(missing - (np.cumsum(spare) - spare), 0))
        kept[rare] -= taken
        lifted[rare] += taken.sum()
    for child in np.flatnonzero(kept.sum(axis=0)):
        if _is_fair(*lifted, p, q):
            break
        major = int(kept[0, child] < kept[1, child])
        n_sets = kept[major, child] // q
        before = kept[:, child].copy()
        kept[major, child], kept[1 - major, child] = n_sets * q, n_sets * p
        lifted += before - kept[:, child]
    return kept


def _cut(red: np.ndarray, blue: np.ndarray, p: int, q: int) -> list[np.ndarray]:
    """Cut a fair set into fair sets of at most p + q: whole ones of q and p, one that evens out, then pairs."""
    swap = len(red) < len(blue)
    major, minor = (blue, red) if swap else (red, blue)
    sizes = []
    a, b = len(major), len(minor)
    while a - b >= q - p and a >= q and b >= p:
        sizes.append((q, p))
        a, b = a - q, b - p
    if 0 < a + b <= p + q:
        sizes.append((a, b))
        a = b = 0
    elif a != b:
        sizes.append((a - b + p, p))
        a = b = b - p
    sizes += [(1, 1)] * a
    if not sizes:
        return []
    ends = np.cumsum(sizes, axis=0)[:-1].T
    pairs = zip(np.split(major, ends[0]), np.split(minor, ends[1]), strict=True)
    return [np.concatenate([y, x] if swap else [x, y]) for x, y in pairs]
