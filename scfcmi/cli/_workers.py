"""Processes that passes over expression run on: those of a Dask scheduler, or new ones on this machine."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


# Time in which a scheduler has to answer.
_SECONDS = 20


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the choice of processes, as ``options.dask`` and ``options.workers``."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="read expression on the workers of this Dask scheduler, such as tcp://host:8786",
    )
    group.add_argument(
        "--workers", type=int, metavar="N", help="read expression in N processes on this machine (needs Dask)"
    )


@contextmanager
def working(options: argparse.Namespace) -> Iterator[bool]:
    """Make the processes that were asked for the active ones of Dask; yield whether any were.

    Raises
    ------
    ValueError
        If Dask is not installed, no scheduler answers, or the number is not positive.
    """
    if options.dask is None and options.workers is None:
        yield False
        return
    argument = "--workers" if options.dask is None else "--dask"
    if options.workers is not None and options.workers < 1:
        msg = f"--workers must be at least 1, got {options.workers}."
        raise ValueError(msg)
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError:
        msg = f"{argument} needs Dask: pip install 'scfcmi[dask]'."
        raise ValueError(msg) from None
    if options.dask is None:
        # Quiet: when they are told to end, processes that are busy complain at length.
        given = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
        with LocalCluster(n_workers=options.workers, threads_per_worker=1, **given) as cluster, Client(cluster):
            yield True
        return
    try:
        client = Client(options.dask, timeout=_SECONDS)
    except (OSError, ValueError) as error:
        msg = f"--dask {options.dask!r}: no Dask scheduler answers there ({type(error).__name__}: {error})."
        raise ValueError(msg) from error
    with client:
        yield True
