from __future__ import annotations

import math
import os
import sys
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from sklearn.utils import gen_batches

from scfcmi import __version__
from scfcmi.rows._chunked import ChunkedRows, as_block, check_numbers, local_rows
from scfcmi.rows._protocol import rows_per_block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import scipy.sparse as sp
    import torch

T = TypeVar("T")

# Entries of a chunk that is made of several, and the rows to have in one where that is too many.
_LARGEST_CHUNK, _FEW = 250_000_000, 1000
# Chunks computed together: at least so many, and at most so many times a pass.
_MIN_TOGETHER, _MAX_TURNS = 16, 50


class DaskRows(ChunkedRows):
    """A Dask array of dense or sparse chunks of rows.

    Each chunk is read, made dense a block at a time and worked on where Dask decides: in threads of this process, or on
    the workers of the active client. Only what comes out of a block travels.

    Parameters
    ----------
    X
        A ``dask.array.Array`` of shape (n_cells, n_features).
    name
        As :class:`ChunkedRows`.

    Raises
    ------
    ValueError
        If entries are no numbers, the sizes of chunks are not known, or rows are divided between chunks of so many rows
        that whole ones would be large.
    """

    def __init__(self, X: Any, name: str) -> None:
        check_numbers(X.dtype, name)
        if any(math.isnan(size) for sizes in X.chunks for size in sizes):
            msg = f"{name} is a Dask array whose chunks have unknown sizes. Run {name}.compute_chunk_sizes() first."
            raise ValueError(msg)
        if len(X.chunks[1]) > 1:
            # Rows must be whole. Where chunks have few rows, that takes little memory.
            if max(X.chunks[0]) * X.shape[1] > _LARGEST_CHUNK:
                msg = (
                    f"{name} is a Dask array of {len(X.chunks[1])} chunks of columns, {max(X.chunks[0])} rows each. Rows must "
                    f"be whole, and fewer in a chunk: {name} = {name}.rechunk(({_FEW}, -1))."
                )
                raise ValueError(msg)
            X = X.rechunk({1: -1})
        super().__init__(X.shape, name)
        self._X = X
        self._ends = np.cumsum(X.chunks[0])

    def on(self, device: torch.device | str) -> Self:
        """Return this source: workers hand out rows on their processors, whatever device this process has."""
        return self

    def blocks(self, n_rows: int | None = None) -> Iterator[torch.Tensor]:
        yield from self.map(lambda block, _: block, n_rows)

    def map(self, function: Callable[[torch.Tensor, int], T], n_rows: int | None = None) -> Iterator[T]:
        import dask

        check_workers()
        step = rows_per_block(self, n_rows)
        # Kept on the cluster: the weights of a network travel once, and not with every chunk.
        (held,) = self._run(dask.persist, dask.delayed(function, pure=False, traverse=False))
        work = dask.delayed(_each_block, pure=False)
        starts = self._ends - self._X.chunks[0]
        for results in self._compute(
            [
                work(chunk, held, int(start), self._columns, step, self.name)
                for chunk, start in zip(self._chunks(), starts, strict=True)
            ]
        ):
            yield from results

    def n_blocks(self, n_rows: int | None = None) -> int:
        step = rows_per_block(self, n_rows)
        return sum(-(-size // step) for size in self._X.chunks[0])

    def lazily(self, function: Callable[[np.ndarray], np.ndarray]) -> Any:
        """Return the Dask array of what a function returns for dense rows: as many rows and columns."""
        # Not of self, with which the whole array would travel in every task.
        columns, name, n_features = self._columns, self.name, self.shape[1]

        def of_chunk(chunk: object) -> np.ndarray:
            block = as_block(chunk, columns, name)
            if not block.shape[0]:
                return np.empty((0, n_features), np.float32)
            return function(block if isinstance(block, np.ndarray) else block.toarray())

        chunks = (self._X.chunks[0], (self.shape[1],))
        return self._X.map_blocks(of_chunk, dtype=np.float32, chunks=chunks, meta=np.empty((0, 0), np.float32))

    def _parts(self, index: np.ndarray | None, columns: np.ndarray) -> Iterator[np.ndarray | sp.csr_matrix]:
        import dask

        check_workers()
        pick, tasks = dask.delayed(_pick, pure=False), []
        for chunk, end, size in zip(self._chunks(), self._ends, self._X.chunks[0], strict=True):
            wanted = None
            if index is not None:
                first, last = np.searchsorted(index, (end - size, end))
                wanted = index[first:last] - (end - size)
            if wanted is None or len(wanted):
                tasks.append(pick(chunk, wanted, columns, self.name))
        return self._compute(tasks)

    def _chunks(self) -> Sequence[Any]:
        return self._X.to_delayed(optimize_graph=True)[:, 0]

    def _compute(self, tasks: list[Any]) -> Iterator[Any]:
        """Yield the results of tasks in order, some tasks at a time. Workers begin the next ones while results are used."""
        import dask

        together = max(_MIN_TOGETHER, -(-len(tasks) // _MAX_TURNS))
        turns = [tasks[turn] for turn in gen_batches(len(tasks), together)] if tasks else []
        client = active_client()
        if client is None:
            for turn in turns:
                yield from self._run(dask.compute, *turn)
            return
        sent: list[Any] = []
        for turn in turns:
            done, sent = sent, self._run(client.compute, turn)
            yield from self._run(client.gather, done)
        yield from self._run(client.gather, sent)

    def _run(self, compute: Callable[..., Any], *tasks: Any) -> Any:
        """Compute, and say in words what can go wrong between machines."""
        try:
            return compute(*tasks)
        except Exception as error:
            kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
            if "distributed.KilledWorker" in kinds:
                msg = (
                    f"{self.name}: workers of the Dask cluster died while they read it, most often for lack of memory. Give "
                    f"them more, or smaller chunks: {self.name} = {self.name}.rechunk({{0: {max(1, max(self._X.chunks[0]) // 2)}}})."
                )
            elif kinds & _LOST:
                msg = f"The Dask scheduler was lost while {self.name} was read ({type(error).__name__}: {error})."
            elif "deserialization of the task graph" in str(error):
                msg = f"The Dask scheduler cannot load what it is sent. {_NEEDED} ({error})"
            else:
                raise
            raise RuntimeError(msg) from error


_NEEDED = f"The scheduler and every worker need scfcmi {__version__}."
# What distributed raises when it cannot reach the scheduler.
_LOST = {
    "distributed.CommClosedError",
    "distributed.FutureCancelledError",
    "distributed.FuturesCancelledError",
    "concurrent.CancelledError",
    "asyncio.CancelledError",
    "builtins.TimeoutError",
}


def active_client() -> Any:
    """Return the client whose workers Dask computes on; None where it computes in this process."""
    if "distributed" not in sys.modules:
        return None
    from dask.base import get_scheduler
    from distributed import Client

    client = getattr(get_scheduler(), "__self__", None)
    return client if isinstance(client, Client) else None


def check_workers() -> None:
    """Raise ``RuntimeError`` unless every worker of the active client has this version: others would wait forever."""
    client = active_client()
    if client is None:
        return
    # A function of Python's own: a worker that could not load it would not answer.
    found = client.run(eval, "__import__('scfcmi').__version__", on_error="return")
    # One that cannot be reached is dying: the scheduler starts another.
    found = {worker: version for worker, version in found.items() if not isinstance(version, OSError)}
    others = {worker: version for worker, version in found.items() if version != __version__}
    if others:
        worker, version = next(iter(others.items()))
        msg = f"{len(others)} of {len(found)} Dask workers have another version of scfcmi, or none. {_NEEDED} {worker}: {version}"
        raise RuntimeError(msg)


def check_workers_see(path: Path) -> None:
    """Raise ``RuntimeError`` unless all workers of the active client see a file: zarr takes what is not there for zeros."""
    client = active_client()
    if client is None:
        return
    found = client.run(os.path.exists, str(path), on_error="return")
    blind = [worker for worker, exists in found.items() if exists is False]
    if blind:
        msg = (
            f"{len(blind)} of {len(found)} Dask workers do not see {str(path)!r}, such as {blind[0]}. Put it where all machines "
            "see it, under the same path."
        )
        raise RuntimeError(msg)


def _each_block(
    chunk: object,
    function: Callable[[torch.Tensor, int], T],
    start: int,
    columns: np.ndarray | None,
    step: int,
    name: str,
) -> list[T]:
    """Work on the chunk whose first row is ``start``, a block at a time. Runs on a worker."""
    chunk = as_block(chunk, columns, name)
    if not chunk.shape[0]:
        return []
    return list(local_rows(chunk, "cpu").map(lambda block, first: function(block, start + first), step))


def _pick(chunk: object, rows: np.ndarray | None, columns: np.ndarray, name: str) -> np.ndarray | sp.csr_matrix:
    block = as_block(chunk, None, name)
    return (block if rows is None else block[rows])[:, columns]
