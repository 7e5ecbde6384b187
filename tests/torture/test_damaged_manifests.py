"""Manifests with anything in the place of anything: refused by name, or harmless."""

from __future__ import annotations

import copy
import random
import tomllib

import pytest

from scfcmi.datasets import _manifest
from scfcmi.datasets._fetch import obtain
from scfcmi.errors import DatasetUnavailableError

VALUES = (None, 0, -1, 1e308, float("nan"), "", "x", "../x", "/x", [], [1], ["file:///x"], {}, {"a": 1}, True, 10**30)


def places(content: object) -> list[tuple]:
    """All places of nested lists and dictionaries, as paths."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path for key, value in items for path in [(key,), *((key, *rest) for rest in places(value))]]


def with_other_values(table: dict, rng: random.Random) -> dict:
    for _ in range(rng.choice([1, 1, 3])):
        *way, last = rng.choice(places(table))
        part = table
        for key in way:
            part = part[key]
        match rng.randrange(3):
            case 0:
                del part[last]
            case 1:
                part[last] = copy.deepcopy(rng.choice(VALUES))
            case 2 if isinstance(part, dict):
                part[rng.choice(["", "x", "0", "urls", "members", "../x"])] = copy.deepcopy(rng.choice(VALUES))
    return table


def with_other_bytes(text: bytes, rng: random.Random) -> bytes:
    data, at = bytearray(text), rng.randrange(len(text))
    match rng.randrange(4):
        case 0:
            del data[at:]
        case 1:
            data[at : at + rng.randrange(9)] = rng.choice(
                [b"[" * 10_000, b"{a=" * 3000, b'"""', b"\xff", b"\0", b"9" * 5000]
            )
        case 2:
            data[at:at] = rng.choice([b"[x]\n", b"[[files]]\n", b"a.b.c = 1\n", b"1979-05-27\n", b"inf", b" = "])
        case 3:
            for _ in range(rng.choice([1, 5, 50])):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


@pytest.mark.attempts(
    300, 10_000, family="Manifests of data sets: bytes and values swapped, endless nesting, hostile paths and addresses"
)
def test_a_damaged_manifest_is_refused_or_harmless(tmp_path, tally, monkeypatch):
    shipped = _manifest._folder()
    (tmp_path / "manifests").mkdir()
    monkeypatch.setattr(_manifest, "_folder", lambda: tmp_path / "manifests")
    rng = random.Random(0)
    for attempt in range(tally.n_attempts):
        name = rng.choice(_manifest.NAMES)
        text = (shipped / f"{name}.toml").read_bytes()
        try:
            if attempt % 2:
                (tmp_path / "manifests" / f"{name}.toml").write_bytes(with_other_bytes(text, rng))
                manifest = _manifest.read_manifest(name)
            else:
                manifest = _manifest.parse(with_other_values(tomllib.loads(text.decode()), rng), name)
        except ValueError as error:
            clear = str(error).startswith(f"Manifest {name}") and "\n" not in str(error)
            tally.held() if clear else tally.broke(f"{attempt}: {error!r}")
            continue
        except Exception as error:  # noqa: BLE001
            tally.broke(f"{attempt}: {type(error).__name__}: {error}")
            continue
        data = tmp_path / "data"
        inside = all((data / file.path).resolve().is_relative_to(data.resolve()) for file in manifest.files)
        http = all(url.startswith(("http://", "https://")) for file in manifest.files for url in file.urls)
        try:
            # Of no parts, nothing is missing.
            assert obtain(manifest, data, download=False, progress=False) == {} == manifest.parts()
        except DatasetUnavailableError:
            pass
        except Exception as error:  # noqa: BLE001
            tally.broke(f"{attempt}: {type(error).__name__}: {error}")
            continue
        tally.held() if inside and http else tally.broke(f"{attempt}: {manifest.files}")
    assert not (tmp_path / "data").exists()
