"""Scenarios made from real cells: what users' data look like, with the truth known.

A scenario changes one of the sets: it leaves types out, thins counts, splits batches. Its name says both, as in
``kang_ctrl_8donors/uneven_depth``; ``kang_ctrl_8donors/full`` is the set itself. ``SCENARIOS`` lists the names, ``load``
makes one. ``run_scenarios.py`` runs methods on them.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sets import COUNTS, JOINED, SETS, prepared, stored

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad
    from numpy.random import Generator

MOST_CELLS = 3000


def as_it_is(adata: ad.AnnData, rng: Generator) -> ad.AnnData:
    return adata


def types_left_out(adata: ad.AnnData, rng: Generator) -> ad.AnnData:
    """Leave a third of its types out of every batch. Every type stays in one batch at least."""
    kept = _table(adata) > 0
    for batch in rng.permutation(kept.columns):
        types = kept.index[kept[batch]]
        others = [name for name in rng.permutation(types) if kept.loc[name].sum() > 1]
        kept.loc[others[: max(1, len(types) // 3)], batch] = False
    return adata[[kept.loc[pair] for pair in zip(adata.obs["label"], adata.obs["batch"], strict=True)]]


def small_batch(adata: ad.AnnData, rng: Generator) -> ad.AnnData:
    """Reduce the largest batch to 5 % of its cells."""
    inside = (adata.obs["batch"] == adata.obs["batch"].value_counts().idxmax()).to_numpy()
    return _reduced(adata, inside, round(0.05 * inside.sum()), rng)


def uneven_depth(adata: ad.AnnData, rng: Generator) -> ad.AnnData:
    """Thin counts: batches keep all to a fifth of them, in random order and in even ratios."""
    return _thinned(adata, rng.permutation(np.geomspace(1, 0.2, adata.obs["batch"].nunique())), rng)


def shallow_batches(adata: ad.AnnData, rng: Generator) -> ad.AnnData:
    """Thin counts: half of the batches keep a tenth of theirs."""
    return _thinned(adata, np.where(rng.permutation(adata.obs["batch"].nunique()) % 2, 0.1, 1.0), rng)


def half_genes(adata: ad.AnnData, rng: Generator) -> ad.AnnData:
    """Keep a random half of the genes that clustering would see."""
    adata = prepared(adata)
    return adata[:, np.sort(rng.permutation(adata.n_vars)[: adata.n_vars // 2])]


def rare_type(adata: ad.AnnData, rng: Generator) -> ad.AnnData:
    """Reduce one type to 1 % of all cells."""
    inside = (adata.obs["label"] == _common_type(adata, rng)).to_numpy()
    return _reduced(adata, inside, round((~inside).sum() / 99), rng)


def own_type(adata: ad.AnnData, rng: Generator) -> ad.AnnData:
    """Take one type out of every batch but the one with most cells of this type."""
    name = _common_type(adata, rng)
    owner = _table(adata).loc[name].idxmax()
    return adata[(adata.obs["label"] != name) | (adata.obs["batch"] == owner)]


def no_shared_type(adata: ad.AnnData, rng: Generator) -> ad.AnnData:
    """Merge batches to two at random, and leave each type in only one of these, half of the types in each."""
    adata = batches(2)(adata, rng)
    table = _table(adata)
    owners = {name: table.loc[name].idxmax() for name in table.index if (table.loc[name] == 0).any()}
    for name in rng.permutation([name for name in table.index if name not in owners]):
        n_owned = [list(owners.values()).count(batch) for batch in table.columns]
        owners[name] = table.columns[np.argmin(n_owned)]
    return adata[adata.obs["label"].astype(str).map(owners).to_numpy() == adata.obs["batch"].to_numpy()]


def batches(n_batches: int) -> Callable[[ad.AnnData, Generator], ad.AnnData]:
    """Merge batches at random to ``n_batches``, or split their cells at random to as many."""

    def change(adata: ad.AnnData, rng: Generator) -> ad.AnnData:
        codes = adata.obs["batch"].cat.codes.to_numpy()
        n_given = codes.max() + 1
        if n_given >= n_batches:
            new = (rng.permutation(n_given) % n_batches)[codes]
        else:
            n_parts = n_batches // n_given + (np.arange(n_given) < n_batches % n_given)
            new = codes + n_given * (rng.integers(2**31, size=len(codes)) % n_parts[codes])
        adata.obs["batch"] = pd.Categorical([f"batch {code}" for code in new])
        return adata

    return change


def _table(adata: ad.AnnData) -> pd.DataFrame:
    return pd.crosstab(adata.obs["label"].astype(str), adata.obs["batch"].astype(str))


def _common_type(adata: ad.AnnData, rng: Generator) -> str:
    """Draw a type of 5 % of the cells or more that several batches hold."""
    table = _table(adata)
    return rng.choice(table.index[(table.sum(axis=1) >= 0.05 * adata.n_obs) & ((table > 0).sum(axis=1) > 1)])


def _reduced(adata: ad.AnnData, inside: np.ndarray, n_kept: int, rng: Generator) -> ad.AnnData:
    return adata[np.sort(np.r_[np.flatnonzero(~inside), rng.permutation(np.flatnonzero(inside))[:n_kept]])]


def _thinned(adata: ad.AnnData, shares: np.ndarray, rng: Generator) -> ad.AnnData:
    counts = adata.X.tocsr()
    share = np.repeat(shares[adata.obs["batch"].cat.codes], np.diff(counts.indptr))
    counts.data = rng.binomial(counts.data.astype(int), share).astype(np.float32)
    counts.eliminate_zeros()
    adata.X = counts
    return adata


LABORATORIES = "pbmc_2laboratories"
MAKERS: dict[str, tuple[Callable[[ad.AnnData, Generator], ad.AnnData], tuple[str, ...]]] = {
    "full": (as_it_is, SETS),
    "types_left_out": (types_left_out, (*(name for name in SETS if name not in {"human_dc", "mca_gut"}), LABORATORIES)),
    "small_batch": (small_batch, (*SETS, LABORATORIES)),
    "uneven_depth": (uneven_depth, tuple(sorted(COUNTS))),
    "shallow_batches": (shallow_batches, tuple(sorted(COUNTS - {"worm_l2_neurons"}))),
    "half_genes": (half_genes, SETS),
    "rare_type": (rare_type, tuple(name for name in SETS if name not in {"human_dc", "rnamix_2protocol"})),
    "own_type": (own_type, tuple(name for name in SETS if name not in {"human_dc", "mca_gut"})),
    "no_shared_type": (no_shared_type, tuple(name for name in SETS if name not in {"mca_gut", "pancreas_wang_xin"})),
    "2_batches": (batches(2), ("kang_ctrl_8donors", "mca_gut", "worm_l2_neurons")),
    "8_batches": (batches(8), ("human_dc", "rnamix_2protocol", "pancreas_wang_xin")),
    "20_batches": (batches(20), ("mca_gut", "pbmc_3tech")),
    "40_batches": (batches(40), ("kang_ctrl_8donors", "merfish_hypothalamus", "worm_l2_neurons")),
    "joined": (as_it_is, JOINED),
}
SCENARIOS = {f"{name}/{how}": (name, change) for how, (change, names) in MAKERS.items() for name in names}


def kind(scenario: str) -> str:
    return re.sub(r"^\d+_", "", scenario.partition("/")[2])


def load(scenario: str, draw: int = 0) -> ad.AnnData:
    """Make a scenario, prepared as by ``sets.load``, of at most 3,000 cells.

    The same ``draw`` makes the same cells. Cells without any count are left out.
    """
    name, change = SCENARIOS[scenario]
    rng = np.random.default_rng([draw, zlib.crc32(scenario.encode())])
    adata = change(stored(name).copy(), rng).copy()
    adata = adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0]
    if kind(scenario) != "full" and adata.n_obs > MOST_CELLS:
        adata = adata[np.sort(rng.permutation(adata.n_obs)[:MOST_CELLS])]
    adata = adata.copy()
    adata.obs = adata.obs[["batch", "label"]].astype(str).astype("category")
    return prepared(adata)
