"""Large arrays on disk, so that the embedding of millions of cells need not be in memory."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
import weakref
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from sklearn.utils import gen_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    Values = TypeVar("Values", np.ndarray, torch.Tensor)

# Rows that are used before their memory is given back.
AT_ONCE = 8192
_OPEN: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
_LOCK = threading.Lock()


def on_disk(shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of zeros, float32, that lies in a temporary file without a name. The file goes with the array.

    The operating system reads and writes it as the array is used. What was used counts as memory of this process until
    :func:`let_go`. So use it in order, with :func:`in_order` or :func:`taken`.

    Raises
    ------
    OSError
        If the temporary folder has no room for it.
    """
    size = 4 * int(np.prod(shape))
    with tempfile.TemporaryFile(prefix="scfcmi-") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                # Otherwise a full disk would kill the process when it writes.
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
        except OSError as error:
            msg = (
                f"The temporary folder {tempfile.gettempdir()!r} has no room for {size / 1e9:.2g} GB. Name another folder in "
                "the environment variable TMPDIR."
            )
            raise OSError(error.errno, msg) from error
        pages = mmap.mmap(file.fileno(), size)
    with _LOCK:
        _OPEN.add(pages)
    return np.frombuffer(pages, np.float32).reshape(shape)


def let_go() -> None:
    """Give back the memory that arrays on disk take in this process. Their values stay."""
    if hasattr(mmap, "MADV_DONTNEED"):
        with _LOCK:
            opened = list(_OPEN)
        for pages in opened:
            pages.madvise(mmap.MADV_DONTNEED)


def in_order(n_rows: int) -> Iterator[slice]:
    """Yield slices of rows, and let go after each."""
    for rows in gen_batches(n_rows, AT_ONCE):
        yield rows
        let_go()


def taken(values: Values, index: np.ndarray) -> Values:
    """Return ``values[index]``; an array on disk is read in order."""
    if len(values) <= AT_ONCE:
        return values[index]
    order = np.argsort(index, kind="stable")
    # Of the kind of the values, numpy or torch.
    rising, out = index[order], values[np.zeros_like(index)]
    for rows in in_order(len(values)):
        first, last = np.searchsorted(rising, (rows.start, rows.stop))
        if first < last:
            out[order[first:last]] = values[rising[first:last]]
    return out
