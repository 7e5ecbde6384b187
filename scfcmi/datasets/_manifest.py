"""Manifests: what a data set consists of, where it comes from and what it must look like."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import scfcmi

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.resources.abc import Traversable

# In the order of the paper's table, then our own.
NAMES = ("mnist_usps", "reverse_mnist", "har", "office31", "mtfl", "mouse_atlas", "human_dc", "pancreas")

# Fields that a manifest must have.
_TEXTS = ("name", "title", "license", "terms", "by_hand")
_REQUIRED = dict.fromkeys(_TEXTS, str) | {"version": int, "citation": list, "expected": dict, "files": list}

# Hexadecimal digits of each kind of checksum.
_DIGITS = {"md5": 32, "sha256": 64, "git_blob": 40}

# Bytes: as long as a name may be in most file systems.
_LONGEST_PATH = 255


@dataclass(frozen=True)
class File:
    """One file, or one folder of images.

    Attributes
    ----------
    part
        What the loader needs it for. Files of one part are alternatives, in order of preference.
    path
        Place below the data folder.
    urls
        Sources in the order they are tried; none where the user must fetch it.
    size
        Bytes of the published file; ``None`` where unknown.
    checksum, payload
        ``"md5:..."``, ``"sha256:..."`` or ``"git_blob:..."`` of the file, and of what a ``.gz`` decompresses to.
        The file is good if either fits: compressed again, it still holds the same data.
    members
        Ends of member names of a ``.zip``, and their checksums. One of them must fit.
    count
        Lines of a text, or images in a folder.
    variant
        What to call results on it, where it is not the published form.
    """

    part: str
    path: str
    urls: tuple[str, ...] = ()
    size: int | None = None
    checksum: str | None = None
    payload: str | None = None
    members: dict[str, tuple[str, ...]] = field(default_factory=dict)
    count: int | None = None
    variant: str | None = None


@dataclass(frozen=True)
class Expected:
    """Shape of a data set; ``None`` where it is not known. ``table`` has a row a label, a column a group."""

    samples: int
    features: int | None
    groups: dict[str, int]
    labels: dict[str, int]
    table: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Manifest:
    """One data set: its files, terms and expected shape."""

    name: str
    version: int
    title: str
    citation: tuple[str, ...]
    license: str
    terms: str
    by_hand: str
    expected: Expected
    files: tuple[File, ...]

    def parts(self) -> dict[str, list[File]]:
        """Return the alternatives for each part."""
        parts: dict[str, list[File]] = {}
        for file in self.files:
            parts.setdefault(file.part, []).append(file)
        return parts


def read_manifest(name: str) -> Manifest:
    """Return the manifest of a data set; ``ValueError`` if there is no such data set."""
    if name not in NAMES:
        # A part of the name is near enough: 'mnsit' is meant for 'mnist_usps'.
        words = {word: known for known in reversed(NAMES) for word in known.split("_")} | {n: n for n in NAMES}
        close = difflib.get_close_matches(str(name), words, n=1)
        guess = f" Did you mean {words[close[0]]!r}?" if close else ""
        msg = f"Unknown dataset {name!r}.{guess} Available: {list(NAMES)}."
        raise ValueError(msg)
    try:
        table = tomllib.loads((_folder() / f"{name}.toml").read_text(encoding="utf-8"))
    # Brackets nested without end are a RecursionError.
    except (ValueError, RecursionError) as error:
        what = str(error) if isinstance(error, tomllib.TOMLDecodeError) else type(error).__name__
        raise _wrong(name, f"is no TOML, so the installation is damaged ({what})") from error
    return parse(table, name)


def _folder() -> Traversable:
    """Return where the manifests are: beside this file when installed, at the top of a checkout otherwise."""
    installed = resources.files("scfcmi.datasets") / "manifests"
    return installed if installed.is_dir() else Path(scfcmi.__file__).parents[1] / "data_manifests"


def parse(table: dict[str, Any], name: str) -> Manifest:
    """Turn a manifest's table into a :class:`Manifest`.

    Raises
    ------
    ValueError
        If a field is missing, unknown or of the wrong kind, a path leaves the data folder, a checksum is malformed,
        or counts do not add up.
    """
    _fields(table, name, _REQUIRED, optional={})
    if table["name"] != name:
        raise _wrong(name, f"is named {table['name']!r}")
    _all_of(table["citation"], str, name, "citation")
    _all_of(table["files"], dict, name, "files")
    return Manifest(
        name=name,
        version=table["version"],
        title=table["title"],
        citation=tuple(table["citation"]),
        license=table["license"],
        terms=table["terms"],
        by_hand=table["by_hand"].strip(),
        expected=_expected(table["expected"], name),
        files=tuple(_file(entry, name) for entry in table["files"]),
    )


def _expected(table: dict[str, Any], name: str) -> Expected:
    _fields(table, f"{name}: expected", {"samples": int, "groups": dict}, optional={"features": int, "labels": dict})
    groups, labels = table["groups"], table.get("labels", {})
    rows = {label: tuple(counts) for label, counts in labels.items() if isinstance(counts, list)}
    _all_of(groups.values(), int, name, "groups")
    for counts in labels.values():
        _all_of(counts if isinstance(counts, list) else [counts], int, name, "labels")
    if any(len(row) != len(groups) for row in rows.values()):
        raise _wrong(name, f"a label needs one count for each of the {len(groups)} groups")
    sums = {label: sum(rows[label]) if label in rows else counts for label, counts in labels.items()}
    for counts in (groups, sums) if sums else (groups,):
        if sum(counts.values()) != table["samples"]:
            raise _wrong(name, f"counts {counts} do not add up to {table['samples']} samples")
    if rows and [sum(column) for column in zip(*rows.values(), strict=True)] != list(groups.values()):
        raise _wrong(name, "counts of labels do not add up to those of groups")
    return Expected(table["samples"], table.get("features"), groups, sums, rows)


def _file(entry: dict[str, Any], name: str) -> File:
    known = {"urls": list, "size": int, "checksum": str, "payload": str, "members": dict, "count": int, "variant": str}
    _fields(entry, f"{name}: files", {"part": str, "path": str}, optional=known)
    path = PurePosixPath(entry["path"])
    if path.is_absolute() or ".." in path.parts or "\\" in entry["path"]:
        raise _wrong(name, f"path {entry['path']!r} leaves the data folder")
    if not path.parts or not entry["path"].isprintable() or len(entry["path"].encode()) > _LONGEST_PATH:
        raise _wrong(name, f"path {entry['path']!r} names no file")
    urls = tuple(entry.get("urls", ()))
    _all_of(urls, str, name, "urls")
    for sums in entry.get("members", {}).values():
        _all_of(sums if isinstance(sums, list) else [sums], str, name, "members")
    if not all(url.startswith(("https://", "http://")) for url in urls):
        raise _wrong(name, f"urls of {entry['path']!r} are not all http")
    members = {end: (sums,) if isinstance(sums, str) else tuple(sums) for end, sums in entry.get("members", {}).items()}
    for checksum in [entry.get("checksum"), entry.get("payload"), *(s for sums in members.values() for s in sums)]:
        kind, _, digest = (checksum or f"md5:{'0' * 32}").partition(":")
        if len(digest) != _DIGITS.get(kind) or set(digest) - set("0123456789abcdef"):
            raise _wrong(name, f"checksum {checksum!r} is malformed")
    if entry.get("payload", "").startswith("git_blob"):
        raise _wrong(name, "a payload's size, on which git_blob depends, is not known beforehand")
    return File(**(entry | {"urls": urls, "members": members}))


def _fields(table: dict[str, Any], where: str, required: dict[str, type], *, optional: dict[str, type]) -> None:
    for key in required.keys() - table.keys():
        raise _wrong(where, f"lacks {key!r}")
    for key, value in table.items():
        kind = (required | optional).get(key)
        if kind is None:
            raise _wrong(where, f"has an unknown field {key!r}")
        if type(value) is not kind:
            raise _wrong(where, f"{key!r} must be of type {kind.__name__}, got {value!r}")


def _all_of(values: Iterable[Any], kind: type, where: str, key: str) -> None:
    for value in values:
        if type(value) is not kind:
            raise _wrong(where, f"{key!r} must hold values of type {kind.__name__}, got {value!r}")


def _wrong(where: str, what: str) -> ValueError:
    return ValueError(f"Manifest {where}: {what}.")
