"""Which batches a cluster lacks, and whether such cells exist there: from codes, without labels.

A cluster that lacks batches may be a type that these batches do not hold, or the part of a shared type that stayed apart.
Such cells exist in the lacked batches if another cluster and this one are each other's counterparts. They do not exist if the
nearest cells there are clearly too far: farther than the cluster's own cells are from each other, and farther than batches lie
apart in clusters that they share. Otherwise nothing is said: near cells may be of a related type.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from scfcmi._random import some_cells
from scfcmi.graph.neighbors import distinct
from scfcmi.models.atlas.counterparts import N_NEIGHBORS, find_counterparts

# A cluster lacks batches if the others supply this share of it, as if all batches had equal size.
_DOMINATED = 0.9
# Where a batch of the same composition would have no cell of some cluster more often than this, by chance, it is not judged.
_BY_CHANCE = 0.05
# The next four were set on the eight sets, with their labels: benchmarks/diagnose.py shows what the sets would choose with
# one of them left out, and what that costs. Two clusters match if this share of the cells of one
# has counterparts, and this share of the cells of the other is nearest to the first.
MOST = 0.5
# Such cells do not exist if they are farther than this: in units of the distance between a cluster's own cells, and in units
# of the distance across batches in clusters that both kinds of batches share.
FAR, FAR_AS_SHARED = 1.3, 1.25
# Fewest cells expected in the lacked batches for a verdict.
ENOUGH = 30
# Distances are to this neighbor.
_NEIGHBOR = 5
# Most cells looked at, in all and of a cluster.
_MAX_CELLS, _MAX_QUERIES = 20_000, 300
# A cluster is shared if it has so many cells of the batches that are there, and so many of the lacked ones.
_SHARED = (10, 5)
# Of these cells, so many are matched.
_MAX_MATCHED = 10_000


@dataclass(frozen=True)
class Presence:
    """What codes say of a cluster's cells in the batches that it lacks."""

    n_expected: float
    """Cells the lacked batches would have in the cluster at the rate of the others."""
    distance: float = np.nan
    """Median distance from its cells to cells of the lacked batches, in units of the distance to its own cells."""
    shared: float = np.nan
    """The median such distance in clusters that both kinds of batches share; NaN if there are none."""
    frac_matched: float = np.nan
    """Share of the cluster's cells that have counterparts in the lacked batches."""
    counterpart: int = -1
    """The other cluster that holds most of the nearest cells of the lacked batches; -1 if the cluster itself does."""
    returned: float = 0.0
    """Share of that cluster's cells in lacked batches that are nearest to this cluster; 0 if there is none."""

    @property
    def enough(self) -> bool:
        """Whether enough cells are expected and at hand for a verdict."""
        return self.n_expected >= ENOUGH and not np.isnan(self.distance)

    @property
    def far(self) -> float:
        """Above this distance, such cells do not exist. Infinite if no cluster shows how far a batch moves cells."""
        return np.inf if np.isnan(self.shared) else max(FAR, FAR_AS_SHARED * self.shared)

    @property
    def cause(self) -> str:
        """``"biology"``, ``"batch"`` or ``"unknown"``."""
        if not self.enough:
            return "unknown"
        if min(self.frac_matched, self.returned) >= MOST:
            return "batch"
        return "biology" if self.distance > self.far else "unknown"


def lacked_batches(counts: np.ndarray) -> np.ndarray:
    """Say which batches each cluster lacks, from counts of the same shape, (n_clusters, n_batches).

    After correcting for batch size, a cluster lacks batches if the others supply at least 90 % of its cells and contribute, on
    average, nine times as much as any of those lacked. Of the sets of batches that pass, the largest is taken.
    """
    of_batch = counts.sum(axis=0)
    # Of cells that come independently, none is there with probability exp(-expected). Every cluster is looked for in every batch.
    least = np.log(counts.size / _BY_CHANCE)
    return np.stack([_lacked(row, of_batch, least) for row in counts])


def _lacked(counts: np.ndarray, of_batch: np.ndarray, least: float) -> np.ndarray:
    rates, expected = counts / of_batch, counts.sum() * of_batch / of_batch.sum()
    order = np.argsort(-rates, kind="stable")
    for n_present in range(1, len(rates)):
        present, absent = order[:n_present], order[n_present:]
        if n_present > 1:
            # Of many small batches some lack any cluster by chance.
            absent = absent[expected[absent] >= least]
        # Nor do two cells of a batch of three say where a cluster belongs.
        if min(expected[absent].sum(), counts[present].sum()) < least:
            continue
        inside, outside = rates[present], rates[absent]
        of_all = inside.sum() >= _DOMINATED * (inside.sum() + outside.sum())
        of_each = inside.mean() >= _DOMINATED * (inside.mean() + outside.max(initial=0))
        if of_all and of_each:
            return np.isin(np.arange(len(rates)), absent)
    return np.zeros(len(rates), bool)


def presence_elsewhere(
    codes: np.ndarray, clusters: np.ndarray, batches: np.ndarray, lacked: np.ndarray, rng: np.random.Generator
) -> dict[int, Presence]:
    """Look for cells like those of each cluster in the batches that it lacks; an entry for each cluster that lacks any.

    Codes are taken by direction; clusters and batches are numbers from zero; ``lacked`` is from :func:`lacked_batches`. Of more
    than 20,000 cells some are looked at: as many of the lacked batches as of the others, where they have them.
    """
    found = {}
    for absent in np.unique(lacked[lacked.any(axis=1)], axis=0):
        rates = np.bincount(clusters[~absent[batches]], minlength=len(lacked)) / (~absent[batches]).sum()
        n_absent = absent[batches].sum()
        drawn = _looked_at(absent[batches], rng)
        units, of_cells, is_absent = normalize(np.asarray(codes)[drawn]), clusters[drawn], absent[batches[drawn]]
        matched = some_cells(len(units), _MAX_MATCHED, rng)
        first, _ = find_counterparts(units[matched], is_absent[matched].astype(int), N_NEIGHBORS, rng, near_for="one")
        has_match = np.isin(np.arange(len(matched)), first)
        across = _Across(units, of_cells, is_absent)
        shared = across.shared(np.flatnonzero((lacked & absent).any(axis=1)))
        for cluster in np.flatnonzero((lacked == absent).all(axis=1)):
            mine = has_match[of_cells[matched] == cluster]
            frac_matched = float(mine.mean()) if len(mine) else np.nan
            n_expected = rates[cluster] * n_absent
            if n_expected >= ENOUGH > rates[cluster] * is_absent.sum():
                # There may be such cells, but too few were looked at.
                found[int(cluster)] = Presence(n_expected, frac_matched=frac_matched)
            else:
                found[int(cluster)] = across.presence(cluster, n_expected, frac_matched, shared)
    return found


def _looked_at(is_absent: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    sides = np.flatnonzero(~is_absent), np.flatnonzero(is_absent)
    half = _MAX_CELLS // 2
    sizes = (max(half, _MAX_CELLS - len(other)) for other in sides[::-1])
    return np.sort(np.concatenate([side[some_cells(len(side), n, rng)] for side, n in zip(sides, sizes, strict=True)]))


class _Across:
    """Distances between cells of batches that are there and cells of batches that are lacked."""

    def __init__(self, units: np.ndarray, clusters: np.ndarray, is_absent: np.ndarray) -> None:
        self._units, self._clusters = units, clusters
        self._there, self._absent = np.flatnonzero(~is_absent), np.flatnonzero(is_absent)

    def _nearest(self, cells: np.ndarray, among: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
        """Return distances of some of ``cells`` to their furthest neighbor, and all neighbors."""
        search = NearestNeighbors(n_neighbors=min(n_neighbors, len(among)), algorithm="brute").fit(self._units[among])
        distances, nearest = search.kneighbors(self._units[cells[:: -(-len(cells) // _MAX_QUERIES)]])
        return distances[:, -1], among[nearest]

    def _ratios(self, cluster: int) -> tuple[np.ndarray, np.ndarray]:
        """Return distances from a cluster to its nearest cells of lacked batches, divided by its own, and these cells.

        Both are empty if the cluster has too few cells.
        """
        own = self._there[self._clusters[self._there] == cluster]
        # Copies of a cell are no neighbors: they are at no distance.
        own = own[distinct(self._units[own])[0]]
        if len(own) <= _NEIGHBOR or not len(self._absent):
            return np.zeros(0), np.zeros(0, int)
        # The nearest is the cell itself.
        yardstick, _ = self._nearest(own, own, _NEIGHBOR + 1)
        distances, nearest = self._nearest(own, self._absent, _NEIGHBOR)
        return distances / np.maximum(yardstick, 1e-6), nearest

    def shared(self, left_out: np.ndarray) -> float:
        """Return the median over clusters that both kinds of batches share; NaN if there are none."""
        n_there, n_absent = (
            np.bincount(self._clusters[cells], minlength=self._clusters.max() + 1)
            for cells in (self._there, self._absent)
        )
        both = np.setdiff1d(np.flatnonzero((n_there >= _SHARED[0]) & (n_absent >= _SHARED[1])), left_out)
        return float(np.median([np.median(self._ratios(cluster)[0]) for cluster in both])) if len(both) else np.nan

    def _returned(self, counterpart: int, cluster: int) -> float:
        """Return the share of ``counterpart``'s cells in lacked batches whose nearest cell elsewhere is in ``cluster``."""
        cells = self._absent[self._clusters[self._absent] == counterpart]
        _, back = self._nearest(cells, self._there, 1)
        return float((self._clusters[back] == cluster).mean())

    def presence(self, cluster: int, n_expected: float, frac_matched: float, shared: float) -> Presence:
        """Summarize what codes say of a cluster's cells in the batches that it lacks."""
        ratios, nearest = self._ratios(cluster)
        if not len(ratios):
            return Presence(n_expected, frac_matched=frac_matched)
        most = int(np.bincount(self._clusters[nearest.ravel()]).argmax())
        apart = most != cluster
        return Presence(
            n_expected=n_expected,
            distance=float(np.median(ratios)),
            shared=shared,
            frac_matched=frac_matched,
            counterpart=most if apart else -1,
            returned=self._returned(most, cluster) if apart else 0.0,
        )
