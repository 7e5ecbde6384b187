"""Counterparts: cells of different groups that are each other's neighbors.

Counterparts are mutual nearest neighbors (Haghverdi et al., 2018) of length-normalized codes. A cell type found in only one
group still has mutual nearest neighbors: cells of the most similar type elsewhere. Two filters remove these false pairs.
The first keeps a pair if its cells are as near as neighbors of one group are, once the shift between the groups is taken off.
The second keeps a pair if its cells were, before training, no farther apart than two cells of one group usually are. Without
it, training would pull different types together, and would then find them even nearer.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from sklearn.preprocessing import normalize
from sklearn.utils import gen_batches

from scfcmi.models.products import product

if TYPE_CHECKING:
    from collections.abc import Iterable

# Neighbors searched in each other group, unless the user gives a number.
N_NEIGHBORS = 40
# Each group is matched with all others, or with this many that are drawn in each round.
_MAX_PARTNERS = 8
# Neighbors are at most this part of a group: one in six cells. Otherwise all cells of a small group are neighbors.
_SHARE = 6
# Fewest pairs of two groups from which a shift between them is estimated, and about the most.
_MIN_PAIRS, _MAX_PAIRS = 3, 1000
# Distances are compared with that to a cell's tenth neighbor in its own group. Groups of fewer than 200 cells use a nearer
# neighbor, the one at a twentieth of the group: the tenth may belong to another type.
_OWN, _OWN_SHARE = 10, 20
# Copies of a cell are this far from each other, squared, by rounding alone.
_ROUNDING = 1e-6
# Cells whose cosines are partitioned at a time.
_BLOCK = 512


def find_counterparts(
    codes: np.ndarray,
    groups: np.ndarray,
    n_neighbors: int,
    rng: np.random.Generator,
    origin: np.ndarray | None = None,
    *,
    near_for: Literal["both", "one"] = "both",
) -> tuple[np.ndarray, np.ndarray]:
    """Pair cells across groups: return one and the other cell of each pair, both directions of a pair listed.

    Two cells are paired if three things hold:

    1. They are mutual neighbors: each is among the ``n_neighbors`` nearest of the other in its group, by cosine. At most a
       sixth of a group counts as near.
    2. They are near now. From the difference of their codes, the median difference of all mutual neighbors of the two groups
       is subtracted. What is left is at most as long as the distance from either cell to the tenth neighbor in its own group;
       in a group of fewer than 200 cells, to a nearer neighbor. Groups differ in noise, so both distances are taken in units
       of the median of the group, and then multiplied by the mean of both medians. All of this is of squared distances.
    3. They were near at the start. Their origins, the codes before training, are no farther apart than two cells of one group
       usually are: the median distance in each group, averaged over the two. Without ``origin``, the codes are taken.

    With ``near_for="one"``, the larger of both cells' distances counts in 2: more pairs, more of them of different types.

    Each group is matched with at most 8 others, which ``rng`` draws.
    """
    origin = normalize(codes if origin is None else origin)
    codes = normalize(codes)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    own = np.zeros(len(codes), codes.dtype)
    apart, usual = [], []
    for cells in members:
        # A group of one cell says nothing of its own.
        shuffled = rng.permutation(cells if len(cells) > 1 else len(codes))
        apart.append(np.median(np.linalg.norm(origin[shuffled] - origin[np.roll(shuffled, 1)], axis=1)))
        n_own = min(_OWN, max(1, len(cells) // _OWN_SHARE), len(cells) - 1)
        if n_own:
            # The nearest is the cell itself.
            parts = (_cosines(codes[cells[rows]], codes[cells]) for rows in gen_batches(len(cells), _BLOCK))
            own[cells] = _squared_distance(_kth_largest(parts, n_own + 1))
        own[cells] = np.maximum(own[cells], _ROUNDING)
        usual.append(np.median(own[cells]))
        own[cells] /= usual[-1]

    first, second = [], []
    for a, b in _partners(len(members), rng):
        if len(members[a]) == len(members[b]) == 1:
            # Neither has a neighbor of its own to measure the other by.
            continue
        in_a, in_b = members[a], members[b]
        cosines = _cosines(codes[in_a], codes[in_b])
        i, j = _mutual(cosines, n_neighbors, rng)
        shift = np.zeros(codes.shape[1], codes.dtype)
        # Two pairs show no shift: of one, any difference would pass for it.
        if len(i) >= _MIN_PAIRS:
            some = slice(None, None, max(1, len(i) // _MAX_PAIRS))
            shift = np.median(np.ascontiguousarray((codes[in_a[i[some]]] - codes[in_b[j[some]]]).T), axis=1)
        # The squared length of the difference less the shift: from products, since there are many more pairs than cells.
        along_a, along_b = (np.einsum("ij,j->i", codes[cells], shift) for cells in (in_a, in_b))
        residual = _squared_distance(cosines[i, j]) - 2 * (along_a[i] - along_b[j]) + np.square(shift).sum()
        at_start = _squared_distance(_cosines(origin[in_a], origin[in_b])[i, j])
        near_at_start = at_start <= max(((apart[a] + apart[b]) / 2) ** 2, _ROUNDING)
        i, j = in_a[i], in_b[j]
        limit = np.minimum(own[i], own[j]) if near_for == "both" else np.maximum(own[i], own[j])
        near = (residual <= limit * (usual[a] + usual[b]) / 2) & near_at_start
        first += [i[near], j[near]]
        second += [j[near], i[near]]
    return tuple(np.concatenate([*parts, np.zeros(0, np.int64)]).astype(np.int64) for parts in (first, second))


def _partners(n_groups: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    if n_groups <= _MAX_PARTNERS + 1:
        return list(combinations(range(n_groups), 2))
    # Neighbors on a random ring: every group has exactly so many partners.
    ring = rng.permutation(n_groups)
    return [
        tuple(sorted((ring[k], ring[(k + step) % n_groups])))
        for step in range(1, _MAX_PARTNERS // 2 + 1)
        for k in range(n_groups)
    ]


def _mutual(cosines: np.ndarray, n_neighbors: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of cells of two groups, rows and columns, of which each is among the other's nearest."""
    n_a, n_b = cosines.shape
    k_a, k_b = (max(1, min(n_neighbors, n_cells // _SHARE)) for n_cells in (n_a, n_b))
    # In parts, so that copies are small.
    least_b = _kth_largest((cosines[rows].copy() for rows in gen_batches(n_a, _BLOCK)), k_b)
    least_a = _kth_largest((cosines[:, columns].T.copy() for columns in gen_batches(n_b, _BLOCK)), k_a)
    pairs = np.flatnonzero((cosines >= least_b[:, None]) & (cosines >= least_a))
    most = min(n_a * k_b, n_b * k_a)
    if len(pairs) > most:
        # Copies of one cell are all equally near.
        pairs = np.sort(rng.choice(pairs, most, replace=False))
    return np.divmod(pairs, n_b)


def _kth_largest(parts: Iterable[np.ndarray], k: int) -> np.ndarray:
    """Return the k-th largest value of every row. Rows come in parts, which are overwritten."""
    found = []
    for part in parts:
        part.partition(-k, axis=1)
        found.append(part[:, -k].copy())
    return np.concatenate(found)


def _cosines(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the cosines of codes of unit length: shape (len(codes), len(others))."""
    # By torch: numpy's product rounds differently with another number of threads.
    return product(torch.from_numpy(codes), torch.from_numpy(others).T).numpy()


def _squared_distance(cosines: np.ndarray) -> np.ndarray:
    """Return the squared distance of codes of unit length with these cosines."""
    return 2 - 2 * cosines


class Counterparts:
    """The pairs of one round, from :func:`find_counterparts`, and how cells are drawn from them."""

    def __init__(self, first: np.ndarray, second: np.ndarray, n_looked_at: int, groups: np.ndarray) -> None:
        order = np.lexsort((groups[second], first))
        first, self._second = first[order], second[order]
        # A run holds the pairs of one cell with the cells of one group.
        new_cell = np.diff(first, prepend=-1) != 0
        self._starts = np.flatnonzero(new_cell | (np.diff(groups[self._second], prepend=-1) != 0))
        self._counts = np.diff(self._starts, append=len(first))
        self._cells, self._first_run, self._n_runs = np.unique(
            first[self._starts], return_index=True, return_counts=True
        )
        self.share = len(self._cells) / n_looked_at
        """Share of the cells looked at that have a counterpart."""

    def draw(self, n_pairs: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw cells that have counterparts, and one counterpart for each; both of shape (n_pairs,).

        The group of the counterpart is drawn first, every group with the same chance. So groups that are near and have
        many counterparts do not hide those that are far and have few. Without any pairs, cells are paired with
        themselves.
        """
        if not len(self._cells):
            return np.zeros(n_pairs, np.int64), np.zeros(n_pairs, np.int64)
        cells = rng.integers(len(self._cells), size=n_pairs)
        run, place = np.divmod(rng.random(n_pairs) * self._n_runs[cells], 1)
        runs = self._first_run[cells] + run.astype(np.int64)
        chosen = self._starts[runs] + (place * self._counts[runs]).astype(np.int64)
        return self._cells[cells], self._second[chosen]
