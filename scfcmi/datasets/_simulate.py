from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import nbinom
from tqdm.auto import tqdm

from scfcmi import __version__, _validate
from scfcmi._random import RandomState, seed_from, stream
from scfcmi.datasets._manifest import read_manifest
from scfcmi.datasets._store import write_in_chunks

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from anndata import AnnData
    from numpy.typing import ArrayLike

# Mean expression of genes, as Splatter's defaults.
_MEAN_SHAPE = 0.6
# Share of the genes that mark a type, and location and scale of their log fold change, half of them downwards.
_PROGRAM, _FOLD = 0.1, (1.0, 0.5)
# Scale of the log effect of a batch on each gene, and on all counts of a cell.
_BATCH_GENES, _BATCH_DEPTH = 0.3, 0.3
# Location and scale of the log of counts a cell and 2,000 genes: 5 to 10 % of the entries are not zero.
_DEPTH, _DEPTH_SCALE = 4.9, 0.4
# Counts are negative binomial with this size, a biological coefficient of variation of 0.5.
_SIZE = 4
# Steps of the search for a count before the tail is left to scipy.
_STEPS = 32
# Cells sampled at once, so that all arrays stay in the processor's cache; and cells written at once.
_BLOCK, _CHUNK = 512, 512 * 128


@dataclass(frozen=True)
class _Atlas:
    """What cells are drawn from: a profile (rows summing to one) for each type and batch, and what each cell is."""

    profiles: np.ndarray
    depth: np.ndarray
    types: np.ndarray
    batches: np.ndarray
    seed: int


def simulate_atlas(
    n_cells: int = 10_000,
    n_types: int = 11,
    n_batches: int = 2,
    *,
    n_genes: int = 2000,
    composition: Literal["even", "mouse_atlas"] | ArrayLike = "even",
    path: str | os.PathLike[str] | None = None,
    random_state: RandomState = 0,
    progress: bool | None = None,
) -> AnnData | Path:
    """Simulate an atlas of any size, for scale tests and documentation. Nothing found on it is a benchmark result.

    The model follows Splatter. Mean expression is gamma-distributed. Each type over- and underexpresses a tenth of the
    genes. Each batch changes each gene, and the depth, by a log-normal factor. Library sizes are log-normal, and counts
    negative binomial. More genes make types easier to tell apart.

    Parameters
    ----------
    n_cells
        Number of cells.
    n_types
        Number of cell types.
    n_batches
        Number of batches.
    n_genes
        Number of genes.
    composition
        Share of each type in each batch. ``"even"`` gives every type to every batch alike. ``"mouse_atlas"`` takes the uneven
        table of the mouse atlas: 11 types, 2 batches. Or give weights, shape (n_types, n_batches).
    path
        Where to write the atlas: a path that ends in ``.zarr`` or ``.h5ad``. Cells are written 65,536 at a time, so memory
        grows by about 160 bytes a cell only. ``None`` returns the atlas instead.
    random_state
        Seed. An integer gives the same atlas again, in memory or on disk.
    progress
        Whether to draw a progress bar. ``None`` draws it on a terminal or in a notebook only.

    Returns
    -------
    The atlas, or ``path`` if it was written. ``.X`` has counts, CSR float32. ``.obs["label"]`` has the types,
    ``.obs["group"]`` the batches, and ``.uns["dataset"]`` says that the cells are simulated.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or value.
    FileExistsError
        If there is something at ``path``.

    References
    ----------
    Zappia, Phipson, Oshlack. Splatter: simulation of single-cell RNA sequencing data. Genome Biology, 2017.

    Examples
    --------
    >>> import scfcmi
    >>> atlas = scfcmi.datasets.simulate_atlas(1000, composition="mouse_atlas", n_genes=500)
    >>> atlas.shape
    (1000, 500)
    """
    n_cells = _validate.integer("n_cells", n_cells, minimum=1)
    n_types = _validate.integer("n_types", n_types, minimum=1)
    n_batches = _validate.integer("n_batches", n_batches, minimum=1)
    n_genes = _validate.integer("n_genes", n_genes, minimum=1)
    if path is not None:
        _validate.path("path", path)
    if progress is not None:
        _validate.boolean("progress", progress)
    weights, type_names, batch_names = _composition(composition, n_types, n_batches)
    seed = seed_from(random_state)
    atlas = _plan(n_cells, n_genes, weights, seed)

    def annotate() -> AnnData:
        obs = pd.DataFrame(
            {
                "label": pd.Categorical.from_codes(atlas.types, type_names),
                "group": pd.Categorical.from_codes(atlas.batches, batch_names),
            },
            index=pd.RangeIndex(n_cells).astype(str),
        )
        var = pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)])
        note = "Made up, for scale and documentation; not a benchmark."
        uns = {"dataset": {"name": "simulated atlas", "terms": note, "seed": str(seed), "version": __version__}}
        return ad.AnnData(obs=obs, var=var, uns=uns)

    chunks = _chunks(atlas, progress=progress)
    if path is not None:
        return write_in_chunks(Path(path), chunks, annotate)
    adata = annotate()
    adata.X = sp.vstack(list(chunks), format="csr")
    return adata


def _composition(composition: str | ArrayLike, n_types: int, n_batches: int) -> tuple[np.ndarray, list[str], list[str]]:
    """Return weights of shape (n_types, n_batches), and names of types and batches."""
    names = [f"type{i}" for i in range(n_types)], [f"batch{i}" for i in range(n_batches)]
    if isinstance(composition, str):
        _validate.one_of("composition", composition, ("even", "mouse_atlas"))
        if composition == "even":
            return np.ones((n_types, n_batches)), *names
        expected = read_manifest("mouse_atlas").expected
        composition = list(expected.table.values())
        names = list(expected.table), list(expected.groups)
    weights = np.asarray(composition, dtype=float)
    if (
        weights.shape != (n_types, n_batches)
        or not np.isfinite(weights).all()
        or weights.min() < 0
        or not weights.any()
    ):
        msg = (
            f"composition must hold weights of at least zero, shape (n_types, n_batches) = ({n_types}, {n_batches}), "
            f"got shape {weights.shape}."
        )
        raise ValueError(msg)
    return weights, *names


def _plan(n_cells: int, n_genes: int, weights: np.ndarray, seed: int) -> _Atlas:
    rng = stream(seed, 0)
    n_types, n_batches = weights.shape
    means = rng.gamma(_MEAN_SHAPE, size=n_genes)
    marks = rng.random((n_types, n_genes)) < _PROGRAM
    folds = np.where(marks, rng.choice([-1, 1], marks.shape) * rng.normal(*_FOLD, marks.shape), 0)
    effects = rng.normal(0, _BATCH_GENES, (n_batches, n_genes))
    profiles = means * np.exp(folds[:, None] + effects[None])
    profiles = (profiles / profiles.sum(axis=-1, keepdims=True)).reshape(n_types * n_batches, n_genes)
    depth = _DEPTH + np.log(n_genes / 2000) + rng.normal(0, _BATCH_DEPTH, n_batches)
    # Exact shares, rounded down; the largest remainders get the rest.
    shares = weights.ravel() / weights.sum() * n_cells
    counts = np.floor(shares).astype(int)
    counts[np.argsort(counts - shares, kind="stable")[: n_cells - counts.sum()]] += 1
    codes = np.repeat(np.arange(counts.size, dtype=np.int32), counts)
    rng.shuffle(codes)
    return _Atlas(profiles.astype(np.float32), depth, codes // n_batches, codes % n_batches, seed)


def _chunks(atlas: _Atlas, *, progress: bool | None) -> Iterator[sp.csr_matrix]:
    """Yield the counts of cells in order. Each block has a stream of its own."""
    n_cells, disable = len(atlas.types), None if progress is None else not progress
    with tqdm(total=n_cells, desc="simulate_atlas", unit=" cells", unit_scale=True, disable=disable) as bar:
        for start in range(0, n_cells, _CHUNK):
            stop = min(start + _CHUNK, n_cells)
            yield sp.vstack([_block(atlas, i, min(i + _BLOCK, stop)) for i in range(start, stop, _BLOCK)], format="csr")
            bar.update(stop - start)


def _block(atlas: _Atlas, start: int, stop: int) -> sp.csr_matrix:
    """Return the counts of some cells by inverse transform: one uniform number an entry, most of them a zero."""
    rng = stream(atlas.seed, 1, start)
    batches = atlas.batches[start:stop]
    depth = np.exp(rng.normal(atlas.depth[batches], _DEPTH_SCALE)).astype(np.float32)
    success = atlas.profiles[atlas.types[start:stop] * len(atlas.depth) + batches]
    success *= depth[:, None] / _SIZE
    success += 1
    np.reciprocal(success, out=success)
    # P(0) = success ** _SIZE.
    none = np.square(np.square(success))
    uniform = rng.random(success.shape, dtype=np.float32)
    some = np.flatnonzero(uniform >= none)
    values = _search(uniform.ravel()[some], success.ravel()[some])
    rows, n_genes = success.shape
    starts = np.searchsorted(some, np.arange(rows + 1) * n_genes)
    return sp.csr_matrix((values, (some % n_genes).astype(np.int32), starts.astype(np.int32)), shape=success.shape)


def _search(uniform: np.ndarray, success: np.ndarray) -> np.ndarray:
    """Return the negative binomial counts, all above zero, whose distribution functions first exceed ``uniform``."""
    values = np.empty(len(uniform), dtype=np.float32)
    u, p, where = uniform.astype(np.float64), success.astype(np.float64), np.arange(len(uniform))
    mass = p**_SIZE
    reached = mass.copy()
    for count in range(1, _STEPS + 1):
        mass *= (1 - p) * ((count - 1 + _SIZE) / count)
        reached += mass
        values[where] = count
        left = np.flatnonzero(u >= reached)
        u, p, mass, reached, where = u[left], p[left], mass[left], reached[left], where[left]
    values[where] = nbinom.ppf(u, _SIZE, p)
    return values
