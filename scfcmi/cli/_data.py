"""``scfcmi data``: what is here, what is missing, how to get it, and whether it is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfcmi._shown import shown

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from scfcmi.datasets._manifest import File, Manifest


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``data`` and its commands."""
    data = commands.add_parser("data", help="list, describe, fetch and verify the benchmark data sets")
    verbs = data.add_subparsers(required=True, metavar="VERB")
    for verb, run, named, words in (
        ("list", _list, None, "which data sets there are, and which of their files are here"),
        ("info", _info, "NAME", "files, sources, terms and shape, and how to get the files by hand"),
        ("fetch", _fetch, "NAME", "download files that are missing or damaged"),
        ("verify", _verify, "[NAME]", "check every file: checksums and counts"),
        ("path", _path, "NAME", "print the paths of the files"),
    ):
        parser = verbs.add_parser(verb, help=words)
        if named:
            parser.add_argument("name", metavar="NAME", nargs="?" if named == "[NAME]" else None, help="data set")
        parser.add_argument(
            "--data-dir", metavar="DIR", help="folder of data (default: SCFCMI_DATA_DIR, else the user's cache)"
        )
        parser.set_defaults(run=run)


def _list(options: argparse.Namespace) -> None:
    from scfcmi.datasets._fetch import data_folder
    from scfcmi.datasets._manifest import NAMES, read_manifest

    folder = data_folder(options.data_dir)
    rows = [("NAME", "SAMPLES", "GROUPS", "LABELS", "HERE", "GET BY", "TERMS")]
    for name in NAMES:
        manifest = read_manifest(name)
        expected = manifest.expected
        labels = str(len(expected.labels)) if expected.labels else "?"
        get = "fetch" if all(any(file.urls for file in files) for files in manifest.parts().values()) else "hand"
        shape = (str(expected.samples), str(len(expected.groups)), labels)
        rows.append((name, *shape, _here(manifest, folder), get, manifest.terms))
    print(f"Data folder: {folder}\n")
    _print_table(rows)
    print("\nTo fetch: scfcmi data fetch NAME. By hand, and for files and citations: scfcmi data info NAME.")


def _info(options: argparse.Namespace) -> None:
    from scfcmi.datasets._fetch import data_folder
    from scfcmi.datasets._manifest import read_manifest

    manifest = read_manifest(options.name)
    expected, folder = manifest.expected, data_folder(options.data_dir)
    print(f"{manifest.name}: {manifest.title}\n")
    features = "" if expected.features is None else f" x {expected.features} features"
    print(f"Shape     {expected.samples} samples{features}")
    for what, counts in (("Groups", expected.groups), ("Labels", expected.labels)):
        if counts:
            print(f"{what:<9} {', '.join(f'{name} {count}' for name, count in counts.items())}")
    print(f"License   {manifest.license}\nTerms     {manifest.terms}")
    print("Cite      " + "\n          ".join(manifest.citation))
    print(f"By hand   {manifest.by_hand}\nFolder    {folder}\n")
    for part, files in manifest.parts().items():
        for i, file in enumerate(files):
            print(f"{part if i == 0 else 'or'}: {file.path} ({_state(folder / file.path)})")
            for fact in (_size(file), file.checksum, file.payload and f"{file.payload} (decompressed)", *file.urls):
                if fact:
                    print(f"    {fact}")


def _fetch(options: argparse.Namespace) -> None:
    from scfcmi.datasets._fetch import obtain
    from scfcmi.datasets._manifest import read_manifest

    for found in obtain(read_manifest(options.name), options.data_dir, download=True, progress=None).values():
        print(found.path)


def _path(options: argparse.Namespace) -> None:
    from scfcmi.datasets._fetch import data_folder
    from scfcmi.datasets._manifest import read_manifest

    manifest, folder = read_manifest(options.name), data_folder(options.data_dir)
    for files in manifest.parts().values():
        print(next((folder / file.path for file in files if (folder / file.path).exists()), folder / files[0].path))


def _verify(options: argparse.Namespace) -> None:
    from scfcmi.datasets._manifest import NAMES, read_manifest
    from scfcmi.datasets._verify import verify
    from scfcmi.errors import ChecksumError

    findings = [
        finding
        for name in ([options.name] if options.name else NAMES)
        for finding in verify(read_manifest(name), options.data_dir)
    ]
    _print_table([("NAME", "WHAT", "STATE", "DETAIL"), *findings])
    bad = sum(finding.state == "WRONG" for finding in findings)
    if bad:
        msg = f"{bad} of {len(findings)} checks failed"
        raise ChecksumError(msg)


def _here(manifest: Manifest, folder: Path) -> str:
    parts = manifest.parts()
    n_here = sum(any((folder / file.path).exists() for file in files) for files in parts.values())
    if n_here == len(parts):
        return "yes"
    return f"{n_here} of {len(parts)} files" if n_here else "no"


def _state(path: Path) -> str:
    return "here" if path.exists() else "missing"


def _size(file: File) -> str | None:
    if file.count is not None:
        return f"{file.count} lines or images"
    return None if file.size is None else f"{file.size:,} bytes"


def _print_table(rows: list[tuple[str, ...]]) -> None:
    rows = [tuple(map(shown, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{value:<{width}}" for value, width in zip(row, widths, strict=True)).rstrip())
