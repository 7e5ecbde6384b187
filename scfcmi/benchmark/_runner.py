"""Run after run, each in a process of its own; what is done is not done again."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scfcmi import _validate
from scfcmi.benchmark import _methods
from scfcmi.benchmark._record import (
    DONE,
    FAILED,
    TIME_LIMIT,
    UNAVAILABLE,
    UNSUPPORTED,
    Job,
    append,
    dataset_name,
    key_of,
    read_records,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The data sets of the paper's table.
PAPER = ("mnist_usps", "reverse_mnist", "har", "office31", "mtfl", "mouse_atlas")


def run(
    output: str | os.PathLike[str],
    *,
    datasets: Sequence[str] = PAPER,
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] = range(5),
    epochs: int | None = None,
    subset: int | None = None,
    device: str = "auto",
    time_limit: float | None = None,
    retry: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Make the runs that are missing, and append a line to ``runs.jsonl`` as each ends.

    Kill it at any time and call it again: it skips finished runs. FCMI goes on inside a run that was killed, whose seconds
    are then left out. If a run crashes or meets the time limit, this is recorded and the next run starts. The folder
    ``logs`` holds what each run wrote to standard error. Every data set also gets the scores of its true labels and of
    their oracle repair, which bound the others.

    Parameters
    ----------
    output
        Folder for all that is written. It is made if it is missing.
    datasets
        Names in ``scfcmi.datasets``, or paths of h5ad files with ``.obs["label"]`` and ``.obs["group"]`` or
        ``.obs["batch"]``. A data set that is not on disk is recorded as not run.
    methods
        Names in ``scfcmi.baselines.METHODS``; ``fcmi`` (the paper), ``fcmi-plug-in`` (the authors' estimate of I(G;C)),
        ``fcmi-branches`` (one decoder a group, whatever their number), ``fcmi-restarts`` (the best of three by the
        objective), ``fcmi-default`` (``tl.fair_cluster``). Settings may follow, ``fcmi:beta=0,alpha=0.1``, then
        ``+repair``, or ``+consensus``: of five runs, those of seeds 5 s to 5 s + 4 for seed s. ``None`` takes all,
        ``fcmi+consensus`` and ``fcmi+repair``.
    seeds
        Seeds: one run for each, of every method on every data set.
    epochs
        Number of passes over the samples, for methods that train. ``None`` takes each method's own number.
    subset
        Take only this many samples of each data set. Every label and group keeps its share.
    device
        ``"auto"``, or any name torch knows.
    time_limit
        Most seconds that a run may take, loading included.
    retry
        Whether to repeat runs that failed, met the time limit, or could not be made, as for want of a package. FCMI then
        goes on from its checkpoint.
    say
        Function that is called with a line for each run, such as ``print``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, there is no such method, setting or data set, two files have one name, or the
        folder holds runs of another file of this name.
    """
    _validate.path("output", output)
    folder = Path(output)
    _validate.boolean("retry", retry)
    if not callable(say):
        msg = f"say must be a function of a line, such as print, got {say!r}."
        raise TypeError(msg)
    if device != "auto":
        from scfcmi.models.device import choose_device

        choose_device(_validate.text("device", device))
    jobs = _jobs(datasets, methods, seeds, epochs, subset)
    if time_limit is not None:
        time_limit = _validate.number("time_limit", time_limit, strict=True)
    for name in ("assignments", "checkpoints", "histories", "logs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    files = _files(jobs, read_records(folder))
    missing: set[str] = set()
    for number, job in enumerate(jobs, start=1):
        if job.dataset in missing or _settled(job, read_records(folder), retry=retry):
            continue
        start = time.perf_counter()
        record = _record(job, folder, device, time_limit)
        append(folder, asdict(job) | {"dataset": dataset_name(job.dataset)} | record | files.get(job.dataset, {}))
        if record["status"] == UNAVAILABLE:
            missing.add(job.dataset)
        elif record["status"] == DONE:
            for done in _with_parts(job):
                for path in (folder / "checkpoints").glob(f"{done.name}.safetensors*"):
                    path.unlink()
        say(f"[{number}/{len(jobs)}] {job.name}: {_words(record)} ({time.perf_counter() - start:.0f} s)")


def _jobs(
    datasets: Sequence[str],
    methods: Sequence[str] | None,
    seeds: Sequence[int],
    epochs: int | None,
    subset: int | None,
) -> list[Job]:
    from scfcmi.datasets._manifest import NAMES

    given = _validate.names("datasets", datasets)
    datasets = [os.fspath(dataset) if isinstance(dataset, os.PathLike) else dataset for dataset in given]
    datasets = list(dict.fromkeys(datasets))
    for dataset in datasets:
        if not isinstance(dataset, str) or not dataset.endswith(".h5ad"):
            _validate.one_of("dataset", dataset, NAMES)
        elif dataset_name(dataset) in NAMES:
            msg = f"{dataset} has the name of a data set of scfcmi, whose runs it would be taken for. Rename the file."
            raise ValueError(msg)
    names = [dataset_name(dataset) for dataset in datasets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        msg = f"datasets has several of the name {twice!r}, by which runs are told apart. Rename files."
        raise ValueError(msg)
    methods = _methods.names() if methods is None else _validate.names("methods", methods)
    trains = {method: _methods.takes_epochs(method) for method in methods}
    seeds = [_validate.integer("seed", seed, minimum=0) for seed in _validate.names("seeds", seeds)]
    if epochs is not None:
        epochs = _validate.integer("epochs", epochs, minimum=1)
    if subset is not None:
        subset = _validate.integer("subset", subset, minimum=2)
    return [
        job
        for dataset in datasets
        for job in (
            *(Job(dataset, reference, 0, None, subset) for reference in _methods.REFERENCES),
            *(
                Job(dataset, method, seed, epochs if trains[method] else None, subset)
                for method in methods
                for seed in seeds
                if method not in _methods.REFERENCES
            ),
        )
    ]


def _files(jobs: list[Job], records: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Return, for every h5ad file that is there, what its records say of it; raise if some are of another file."""
    told = {}
    for dataset in dict.fromkeys(job.dataset for job in jobs if job.dataset.endswith(".h5ad")):
        if not Path(dataset).is_file():
            continue
        with Path(dataset).open("rb") as file:
            told[dataset] = {"file_checksum": hashlib.file_digest(file, "sha256").hexdigest()[:32]}
        before = {r.get("file_checksum") for r in records if r["dataset"] == dataset_name(dataset)} - {None}
        if before - {told[dataset]["file_checksum"]}:
            msg = f"the folder holds runs of another file than {dataset} under this name. Give another output."
            raise ValueError(msg)
    return told


def _with_parts(job: Job) -> list[Job]:
    return [job, *(each for part in job.parts for each in _with_parts(part))]


def _settled(job: Job, records: list[dict[str, Any]], *, retry: bool) -> bool:
    """Tell whether a run need not be made: it was, or one with another seed has shown that it cannot be."""
    whose = (job.method, dataset_name(job.dataset), job.subset)
    of_any_seed = [r["status"] for r in records if (r["method"], r["dataset"], r["subset"]) == whose]
    last = {key_of(record): record["status"] for record in records}.get(job.key)
    cannot = last in (FAILED, TIME_LIMIT) or of_any_seed[-1:] == [UNSUPPORTED]
    return last == DONE or (cannot and not retry)


def _record(job: Job, folder: Path, device: str, time_limit: float | None) -> dict[str, Any]:
    told = {"job": asdict(job), "folder": str(folder), "device": device, "parent": os.getpid()}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as place, (folder / "logs" / f"{job.name}.log").open("w") as log:
        result = Path(place) / "result.json"
        process = subprocess.Popen(
            [sys.executable, "-m", "scfcmi.benchmark._job", str(result)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        try:
            process.communicate(json.dumps(told), timeout=time_limit)
            record = (
                json.loads(result.read_text())
                if result.exists()
                else {"status": FAILED, "why": _end_of(process.returncode)}
            )
        except subprocess.TimeoutExpired:
            record = {"status": TIME_LIMIT, "why": f"more than {time_limit:g} s"}
        finally:
            if process.poll() is None:
                # With all that it started.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    seconds = {} if "seconds" in record else {"seconds": round(time.perf_counter() - start, 1)}
    return record | seconds | {"ended": datetime.now(UTC).isoformat(timespec="seconds")}


def _end_of(code: int) -> str:
    if code < 0:
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"ended by signal {signal.Signals(-code).name}{hint}"
    return f"ended with exit code {code}; see its log"


def _words(record: dict[str, Any]) -> str:
    if record["status"] != DONE:
        return f"{record['status']}: {record['why']}"
    # Of one group there is no F_beta.
    name, score = ("NMI", record["nmi"]) if record["f_beta"] is None else ("F_beta", record["f_beta"])
    return f"{name} {100 * score:.1f}"
