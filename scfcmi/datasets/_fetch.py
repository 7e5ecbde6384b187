"""From a manifest to good files on disk: found, or fetched from the first source that has them."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pooch
import requests
from filelock import FileLock
from tqdm.auto import tqdm

from scfcmi._logging import logger, warn
from scfcmi.datasets._check import examine, miscount
from scfcmi.errors import ChecksumError, DatasetUnavailableError

if TYPE_CHECKING:
    from scfcmi.datasets._manifest import File, Manifest

_ATTEMPTS = 3
_PAUSE = 1.0  # seconds after the first failure, twice as long after each further one
_TRANSIENT = frozenset({408, 416, 425, 429, 500, 502, 503, 504})


class Found(NamedTuple):
    """A good file, and its entry in the manifest."""

    path: Path
    file: File


def data_folder(data_dir: str | os.PathLike[str] | None) -> Path:
    """Return the folder of all data sets: the argument, else ``SCFCMI_DATA_DIR``, else the user's cache."""
    folder = Path(data_dir or os.environ.get("SCFCMI_DATA_DIR") or pooch.os_cache("scfcmi")).expanduser()
    if folder.exists() and not folder.is_dir():
        msg = f"data_dir must be a folder, got {str(folder)!r}."
        raise ValueError(msg)
    return folder


def obtain(
    manifest: Manifest,
    data_dir: str | os.PathLike[str] | None,
    *,
    download: bool,
    progress: bool | None,
    subset: int | None = None,
) -> dict[str, Found]:
    """Return a good file for each part of a data set, every checksum recomputed.

    Parameters
    ----------
    manifest
        The data set.
    data_dir
        As :func:`data_folder`.
    download
        Whether files that are missing or damaged may be fetched.
    progress
        Whether to draw a progress bar; ``None`` draws it on a terminal or in a notebook only.
    subset
        What the loader was asked for, checked here since a download may take hours.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.
    DatasetUnavailableError
        If a file is missing, and ``download`` is false or no source has it.
    ChecksumError
        If a file is not the one that the manifest describes, and no good one could be fetched in its place.
    """
    # It brings pandas, for which a list of the data sets should not wait.
    from scfcmi import _validate

    if data_dir is not None:
        _validate.path("data_dir", data_dir)
    _validate.boolean("download", download)
    if progress is not None:
        _validate.boolean("progress", progress)
    if subset is not None:
        _validate.integer("subset", subset, minimum=1)
    folder = data_folder(data_dir)
    found = {}
    for part, files in manifest.parts().items():
        found[part] = _any_of(files, manifest, folder, download=download, progress=progress)
    return found


def _any_of(files: list[File], manifest: Manifest, folder: Path, *, download: bool, progress: bool | None) -> Found:
    """Return the first good file among alternatives: one that is there, else one that can be fetched."""
    faults = []
    for file in files:
        path = folder / file.path
        if path.exists():
            why = examine(path, file).fault
            if why is None:
                other = miscount(path, file)
                if other is not None:
                    msg = f"{manifest.name}: {path} {other}. Results will not compare with published ones."
                    warn(msg)
                return Found(path, file)
            logger.warning("%s %s", path, why)
            faults.append(f"{path} {why}")
    failures = []
    for file in files if download else ():
        if file.urls:
            try:
                return Found(fetch(file, folder / file.path, progress=progress), file)
            except (ChecksumError, DatasetUnavailableError) as error:
                failures.append(error)
    wrong_content = faults or any(isinstance(failure, ChecksumError) for failure in failures)
    error = ChecksumError if wrong_content else DatasetUnavailableError
    words = (
        "; ".join([*faults, *map(str, failures)]) or f"{' or '.join(file.path for file in files)} is not in {folder}"
    )
    msg = f"{manifest.name}: {words}. {_way_out(files, manifest, download=download)}"
    raise error(msg)


def _way_out(files: list[File], manifest: Manifest, *, download: bool) -> str:
    if not download and any(file.urls for file in files):
        return f"Call with download=True, or run: scfcmi data fetch {manifest.name}"
    return f"By hand: {manifest.by_hand}"


def fetch(file: File, path: Path, *, progress: bool | None = None) -> Path:
    """Fetch a file to ``path``, where it appears whole and checked or not at all.

    Sources are tried in order, each up to three times where the failure may pass. What an interrupted download left
    is taken up again. Of several processes that ask at once, one downloads and the others wait for it.

    Raises
    ------
    DatasetUnavailableError
        If no source answered, or the folder cannot be written to.
    ChecksumError
        If what a source sent is not what the manifest describes.
    """
    failures: list[Exception] = []
    # The suffix stays last: checks go by it.
    partial = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if path.exists() and examine(path, file).fault is None:
                return path
            if file.checksum is not None and partial.exists() and examine(partial, file).fault is None:
                # Whole, and killed just before the last step.
                partial.replace(path)
                return path
            for url in file.urls:
                try:
                    _download(url, partial, file, progress=progress)
                except (requests.RequestException, ChecksumError) as failure:
                    logger.warning("%s: %s", url, failure)
                    failures.append(failure)
                    if partial.exists() and partial.stat().st_size == 0:
                        partial.unlink()
                else:
                    partial.replace(path)
                    return path
    except OSError as error:
        # requests' own errors are OSErrors too, but have been dealt with above.
        msg = f"cannot write to {path.parent} ({error}); give another data_dir, or set SCFCMI_DATA_DIR"
        raise DatasetUnavailableError(msg) from error
    # A source that sent something wrong is the graver news.
    graver = [failure for failure in failures if isinstance(failure, ChecksumError)]
    msg = f"{path.name} cannot be had: {'; '.join(map(str, graver or failures))}"
    raise (ChecksumError if graver else DatasetUnavailableError)(msg) from failures[0]


def _download(url: str, partial: Path, file: File, *, progress: bool | None) -> None:
    """Bring ``partial`` to the file that the manifest describes, or raise after the last attempt."""
    for attempt in range(1, _ATTEMPTS + 1):
        resumed = partial.exists() and partial.stat().st_size > 0
        try:
            _transfer(url, partial, file, progress=progress)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            failure: Exception = error
        except requests.HTTPError as error:
            if error.response.status_code not in _TRANSIENT:
                raise
            failure = error
        else:
            why = examine(partial, file).fault
            if why is None:
                return
            partial.unlink()
            failure = ChecksumError(f"what {url} sent {why}")
            if not resumed:
                # Sent whole and wrong: asking again would bring the same.
                raise failure
        if attempt == _ATTEMPTS:
            raise failure
        time.sleep(_PAUSE * 2 ** (attempt - 1))


def _transfer(url: str, partial: Path, file: File, *, progress: bool | None) -> None:
    """Append to ``partial`` what it lacks. Where the server does not resume, fetch all of it again."""
    with partial.open("ab") as stream, ExitStack() as answers:
        start = stream.tell()

        def check_range(response: requests.Response, *_: Any, **__: Any) -> None:
            # pooch leaves the connection open where it fails.
            answers.callback(response.close)
            # Before its version 2, urllib3 takes an answer that was cut for a whole one.
            response.raw.enforce_content_length = True
            begins = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            if response.status_code in (200, 416) or (response.status_code == 206 and not begins):
                stream.truncate(0)
            if response.status_code == 206 and not begins:
                msg = "the server resumed at another place than asked"
                raise requests.ConnectionError(msg, response=response)

        # Compressed for the way, a .gz file would arrive decompressed.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        disable = None if progress is None else not progress
        # pooch sets the total; it takes a bar of none for no bar.
        with tqdm(desc=file.path, total=file.size or 1, unit="B", unit_scale=True, disable=disable) as bar:
            get = pooch.HTTPDownloader(
                progressbar=bar, chunk_size=1 << 18, headers=headers, hooks={"response": check_range}, timeout=30
            )
            get(url, stream, None)
        os.fsync(stream.fileno())
