"""Whether a run fits into memory, told before it starts."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

# What says in which control groups a process is, and the folder of their limits.
_GROUPS, _LIMITS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
# What atlas mode takes at most, with expression on disk (benchmarks/scale.py): bytes for libraries (torch for CUDA takes half
# a gigabyte more than torch for processors), chunks and the graph of a sample; for each cell, its columns and the
# probabilities of a few clusters, and with a checkpoint twice its components, which are in memory once; for each cell and
# further cluster, a probability, and what computing it takes; and for each pair of genes, products of two views.
_FIXED, _PER_CELL, _PER_KEPT_CELL, _PER_PAIR, _MOST_GENES = 1500 * 10**6, 250, 800, 24, 4000
_FEW_CLUSTERS, _PER_PROBABILITY = 20, 7


def add_memory(parser: argparse.ArgumentParser) -> None:
    """Add the limit, as ``options.memory``."""
    parser.add_argument(
        "--memory", metavar="4GB", help="do not start if the run needs more memory (atlas mode; default: all there is)"
    )


def check_memory(
    limit: str | None, n_cells: int, n_genes: int, *, n_clusters: int | None = None, checkpoint: bool = False
) -> None:
    """Raise ``ValueError`` if atlas mode would need more memory than there may be.

    Parameters
    ----------
    limit
        Such as ``"4GB"``; ``None`` is the memory of this machine, or what a container or a scheduler allows of it.
    n_cells, n_genes
        Of the cells, with expression on disk.
    n_clusters
        As it was asked for; ``None`` counts as a few.
    checkpoint
        Whether components are kept in a file.
    """
    most = _machine() if limit is None else _parsed(limit)
    per_cell = _PER_CELL + (_PER_KEPT_CELL if checkpoint else 0)
    per_cell += _PER_PROBABILITY * max(0, (n_clusters or 0) - _FEW_CLUSTERS)
    needed = _FIXED + per_cell * n_cells + _PER_PAIR * min(n_genes, _MOST_GENES) ** 2
    if needed > most:
        given = f"This machine has {most / 1e9:.1f} GB" if limit is None else f"--memory {limit} is too little"
        msg = (
            f"{given}: {n_cells:,} cells of {n_genes:,} genes take about {needed / 1e9:.1f} GB. Allow "
            "more, choose highly variable genes with --mask-var, or cluster fewer cells and label the rest with 'scfcmi assign'."
        )
        raise ValueError(msg)


def _parsed(limit: str) -> int:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?I?)B?\s*", limit.upper())
    if found is None or found[2] not in _UNITS:
        msg = f"--memory must be a number of bytes such as 4GB or 500MB, got {limit!r}."
        raise ValueError(msg)
    return int(float(found[1]) * _UNITS[found[2]])


def _machine() -> int:
    # Not told by every operating system: there, nothing is refused.
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return 2**63
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_limits()])


def _limits() -> list[int]:
    """Return the limits that a container or a scheduler sets to this process: those of its control groups, on Linux."""
    if not _GROUPS.exists():
        return []
    files = []
    for line in _GROUPS.read_text().splitlines():
        _, kinds, group = line.split(":", 2)
        if kinds in ("", "memory"):
            name = "memory.limit_in_bytes" if kinds else "memory.max"
            files += [_LIMITS / kinds / part.relative_to("/") / name for part in (Path(group), *Path(group).parents)]
    found = [file.read_text().strip() for file in files if file.exists()]
    return [int(limit) for limit in found if limit.isdigit()]
