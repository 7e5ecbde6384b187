"""One run, in a process of its own: ``python -m scfcmi.benchmark._job RESULT < JOB``.

A process each keeps peak memory honest, lets a time limit end it, and confines a crash.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
import time
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from scfcmi import metrics
from scfcmi._files import replacing
from scfcmi.benchmark import _methods
from scfcmi.benchmark._data import Data, load
from scfcmi.benchmark._record import CONSENSUS, DONE, FAILED, REPAIR, UNAVAILABLE, UNSUPPORTED, Job
from scfcmi.errors import ChecksumError, DatasetUnavailableError

_PACKAGES = ("scfcmi", "numpy", "scipy", "scikit-learn", "torch", "scanpy", "anndata", "harmonypy", "igraph")


def main() -> None:
    """Read a job, run it, and write its record. Errors of the run are part of the record."""
    told = json.load(sys.stdin)
    _end_with(told["parent"])
    folder, job = Path(told["folder"]), Job(**told["job"])
    try:
        record = _run(job, folder, told["device"])
    except (DatasetUnavailableError, ChecksumError) as error:
        record = {"status": UNAVAILABLE, "why": str(error)}
    except _methods.Unsupported as error:
        record = {"status": UNSUPPORTED, "why": str(error)}
    except Exception as error:  # noqa: BLE001  # whatever a method raises is recorded, and the next run goes on
        traceback.print_exc()
        record = {"status": FAILED, "why": f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]}
    with replacing(sys.argv[1]) as path:
        path.write_text(json.dumps(record, default=_plain))


def _run(job: Job, folder: Path, device: str) -> dict[str, Any]:
    data = load(job.dataset, job.subset)
    start = time.perf_counter()
    outcome, seconds_before = _outcome(job, data, folder, device)
    seconds = time.perf_counter() - start + seconds_before
    scores = metrics.evaluate(data.labels, outcome.clusters, data.groups)
    _keep(folder, job, data, outcome, seconds)
    if outcome.history is not None:
        with replacing(folder / "histories" / f"{job.name}.csv") as path:
            outcome.history.to_csv(path)
    return {
        "status": DONE,
        **{name: None if np.isnan(value) else round(value, 5) for name, value in scores.items()},
        "n_found": len(np.unique(outcome.clusters)),
        "seconds": None if np.isnan(seconds) else round(seconds, 1),
        "peak_memory_mb": _peak_memory_mb(),
        "gpu_memory_mb": _gpu_memory_mb(),
        "n_cells": data.adata.n_obs,
        "n_groups": len(set(data.groups)),
        "n_clusters": data.n_clusters,
        "variant": data.variant,
        "data_checksum": data.checksum,
        "params": outcome.params,
        "processor": _processor(),
        "threads": _threads(),
        "versions": _versions(),
    }


def _outcome(job: Job, data: Data, folder: Path, device: str) -> tuple[_methods.Outcome, float]:
    """Return what the method found, and the seconds of runs taken over from disk: not a number, if not known."""
    found = [_found(part, data, folder, device) for part in job.parts]
    seconds = sum(seconds for _, seconds in found)
    outcomes = [outcome for outcome, _ in found]
    if job.method.endswith(REPAIR):
        from scfcmi.baselines import fair_repair

        repaired = fair_repair(_methods.scores_of(outcomes[0], data.features), data.groups)
        return _methods.Outcome(repaired, outcomes[0].params | {"repaired": job.parts[0].method}), seconds
    if job.method.endswith(CONSENSUS):
        from scfcmi.models import consensus

        soft = consensus(_methods.soft_assignments(outcomes))
        return _methods.Outcome(soft.argmax(axis=1), {"seeds": [part.seed for part in job.parts]}, soft), seconds
    checkpoint = folder / "checkpoints" / f"{job.name}.safetensors"
    resumed = checkpoint.exists()
    outcome = _methods.cluster(
        job.method,
        data,
        job.seed,
        epochs=job.epochs,
        device=device,
        checkpoint=checkpoint,
        shared=folder / "autoencoders",
    )
    return outcome, np.nan if resumed else outcome.seconds_before


def _found(job: Job, data: Data, folder: Path, device: str) -> tuple[_methods.Outcome, float]:
    """Take a run over from disk, with the seconds it took, or make it and keep it."""
    found = _kept(folder, job, data)
    if found is None:
        start = time.perf_counter()
        found = _outcome(job, data, folder, device)
        _keep(folder, job, data, found[0], time.perf_counter() - start + found[1])
    return found


def _keep(folder: Path, job: Job, data: Data, outcome: _methods.Outcome, seconds: float) -> None:
    """Keep clusters and soft assignment: repair and consensus need them, and must not cost the run again."""
    arrays = {"clusters": np.unique(outcome.clusters, return_inverse=True)[1].astype(np.int32)}
    if outcome.proba is not None:
        arrays["proba"] = outcome.proba
    with replacing(folder / "assignments" / f"{job.name}.npz") as path:
        np.savez_compressed(path, **arrays, seconds=seconds, checksum=data.checksum)


def _kept(folder: Path, job: Job, data: Data) -> tuple[_methods.Outcome, float] | None:
    path = folder / "assignments" / f"{job.name}.npz"
    if not path.exists():
        return None
    with np.load(path) as file:
        if file["checksum"] != data.checksum:
            return None
        proba = file.get("proba")
        return _methods.Outcome(file["clusters"], {}, proba), float(file["seconds"])


def _end_with(parent: int) -> None:
    """End when the runner is gone: killed, it must not leave a run behind that the next runner starts again."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _peak_memory_mb() -> float | None:
    # Of this program alone: ru_maxrss would start from the size of the process that started it.
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)


def _gpu_memory_mb() -> float | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return round(torch.cuda.max_memory_allocated() / 2**20, 1)


def _processor() -> str:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0]} ({platform.machine()})" if models else platform.processor() or platform.machine()


def _threads() -> int:
    return max((pool["num_threads"] for pool in threadpool_info()), default=1)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _plain(value: object) -> object:
    """Make a parameter JSON: numpy's numbers by value, all else by its words."""
    return value.item() if isinstance(value, np.generic) else str(value)


if __name__ == "__main__":
    main()
