"""Runs on disk: one JSON line each, whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scfcmi import _validate

if TYPE_CHECKING:
    import pandas as pd

FILE = "runs.jsonl"

# Endings of the names of methods: clusters are repaired afterwards, or are the consensus of this many runs.
REPAIR, CONSENSUS = "+repair", "+consensus"
CONSENSUS_RUNS = 5

# What became of a run.
DONE, FAILED, TIME_LIMIT, UNSUPPORTED, UNAVAILABLE = "done", "failed", "time limit", "cannot", "not run"


@dataclass(frozen=True)
class Job:
    """One run: what makes it another run than the next one.

    Attributes
    ----------
    dataset
        Name of a loader of ``scfcmi.datasets``, or path of an h5ad file.
    method
        As ``scfcmi.benchmark._methods`` reads it.
    seed
        Of all that is drawn.
    epochs
        Passes over the cells; ``None`` is the method's own number.
    subset
        Samples drawn from the data set; ``None`` takes all.
    """

    dataset: str
    method: str
    seed: int
    epochs: int | None = None
    subset: int | None = None

    @property
    def name(self) -> str:
        """A name for files of this run."""
        dataset = dataset_name(self.dataset)
        safe = _safe(dataset)
        if safe != dataset:
            # Two names may be one when made safe.
            safe += f"-{hashlib.sha256(dataset.encode()).hexdigest()[:8]}"
        parts = [safe, self.method, f"seed{self.seed}"]
        parts += [f"{n}{word}" for n, word in ((self.epochs, "epochs"), (self.subset, "drawn")) if n is not None]
        return _safe("-".join(parts))

    @property
    def parts(self) -> tuple[Job, ...]:
        """The runs whose clusters a repair or a consensus takes up; those of a consensus are of no other seed's."""
        if self.method.endswith(REPAIR):
            return (replace(self, method=self.method.removesuffix(REPAIR)),)
        if self.method.endswith(CONSENSUS):
            one, first = replace(self, method=self.method.removesuffix(CONSENSUS)), CONSENSUS_RUNS * self.seed
            return tuple(replace(one, seed=seed) for seed in range(first, first + CONSENSUS_RUNS))
        return ()

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal runs, wherever the file of the data lies."""
        return tuple((asdict(self) | {"dataset": dataset_name(self.dataset)}).values())


def _safe(name: str) -> str:
    return re.sub(r"[^\w.=,+-]", "_", name)


def split(method: str) -> tuple[str, str]:
    """Split a name into the method with its settings, and the ``+repair`` and ``+consensus`` at its end."""
    start = re.search(f"({re.escape(REPAIR)}|{re.escape(CONSENSUS)})*$", method).start()
    return method[:start], method[start:]


def dataset_name(dataset: str) -> str:
    """Return what a data set is called in tables: the stem of an h5ad file's name."""
    return Path(dataset).stem if dataset.endswith(".h5ad") else dataset


def key_of(record: dict[str, Any]) -> tuple[object, ...]:
    """Return the key of the job that a record is of."""
    return tuple(record[field] for field in Job.__dataclass_fields__)


def append(folder: Path, record: dict[str, Any]) -> None:
    """Append one record and wait until it is on disk. A line that was cut off by a kill is closed first."""
    path = folder / FILE
    line = json.dumps(record) + "\n"
    with path.open("a+b") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = "\n" + line
        # One write to a file opened for appending: two runners at once do not mix their lines.
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def read_records(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return all records in the order they were made; lines cut off by a kill, and what is no record, are passed over."""
    path = Path(folder) / FILE
    records = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
        # Brackets nested without end are a RecursionError.
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and {*Job.__dataclass_fields__, "status"} <= record.keys():
            records.append(record)
    return records


def read_runs(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """Return the runs in a folder, one row each: what was run, its ``status``, metrics, seconds, memory and versions.

    Of runs that were made more than once the last is taken.

    Raises
    ------
    FileNotFoundError
        If there are none.
    """
    import pandas as pd

    _validate.path("folder", folder)
    records = {key_of(record): record for record in read_records(folder)}
    if not records:
        msg = f"no runs in {str(folder)!r}: there is no {FILE}, or it is empty."
        raise FileNotFoundError(msg)
    runs = pd.DataFrame(records.values())
    # A data set that was missing once and came later.
    here = set(runs.loc[runs["status"] != UNAVAILABLE, "dataset"])
    return runs[(runs["status"] != UNAVAILABLE) | ~runs["dataset"].isin(here)].reset_index(drop=True)
