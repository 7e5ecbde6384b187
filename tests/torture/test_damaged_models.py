"""Model files with anything in the place of anything: a clear error or a model that works, nothing else."""

from __future__ import annotations

import json
import pickle
import random
import struct
from pathlib import Path

import pytest

import scfcmi
from scfcmi.errors import ModelFormatError

VALUES = (None, 0, -1, 1e308, float("nan"), "", "x", [], [1], {}, {"a": 1}, True, 10**30, [[1]], 2**62)
DEEP = ("[" * 100_000, '{"a":' * 10_000, "null", "3", "[]", '"x"', "{}")
SHAPES = ([2**40, 2**40], [0, 2**50], [-1, 3], [], [0, 8], [10**30, 1])


def unpacked(data: bytes) -> tuple[dict, bytes]:
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def packed(header: dict, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def places(content: object) -> list[tuple]:
    """All places of nested lists and dictionaries, as paths."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path for key, value in items for path in [(key,), *((key, *rest) for rest in places(value))]]


def with_another_value(content: dict, rng: random.Random) -> dict:
    *way, last = rng.choice(places(content))
    part = content
    for key in way:
        part = part[key]
    if isinstance(part, dict) and rng.random() < 0.3:
        del part[last]
    else:
        part[last] = rng.choice(VALUES)
    return content


def damaged(data: bytes, rng: random.Random) -> bytes:
    header, body = unpacked(data)
    metadata = header["__metadata__"]
    match rng.randrange(6):
        case 0:
            changed = bytearray(data)
            for _ in range(rng.choice([1, 2, 10])):
                changed[rng.randrange(len(data) - len(body)) if rng.random() < 0.8 else rng.randrange(len(data))] ^= 85
            return bytes(changed)
        case 1:
            return data[: rng.randrange(len(data))]
        case 2:
            metadata["content"] = rng.choice(DEEP)
        case 3:
            metadata[rng.choice(list(metadata))] = rng.choice(["", "x", "-1", "9" * 30, "1.5", "null"])
        case 4:
            tensor = header[rng.choice([name for name in header if name != "__metadata__"])]
            tensor[rng.choice(["shape", "data_offsets"])] = rng.choice(SHAPES)
        case 5:
            metadata["content"] = json.dumps(with_another_value(json.loads(metadata["content"]), rng))
    return packed(header, body)


@pytest.mark.attempts(
    150, 5000, family="Model files: bytes flipped, ends cut off, values swapped, sizes of terabytes claimed"
)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_model_is_refused_or_works(blobs, tmp_path, tally):
    X, _, groups = blobs
    originals = []
    for model in (
        scfcmi.AtlasFCMI(3, max_epochs=2, progress=False),
        scfcmi.FCMI(3, max_epochs=2, warmup_epochs=1, progress=False),
    ):
        model.fit(X, groups=groups).save(tmp_path / "model")
        originals.append((tmp_path / "model").read_bytes())
    rng, path = random.Random(0), tmp_path / "damaged"
    for attempt in range(tally.n_attempts):
        path.write_bytes(damaged(originals[attempt % 2], rng))
        try:
            model = scfcmi.load_model(path)
        except ModelFormatError:
            tally.held()
            continue
        except Exception as error:  # noqa: BLE001  # whatever else is raised is what is looked for
            tally.broke(f"{attempt}: {type(error).__name__}: {error}")
            continue
        try:
            shape = model.predict_proba(X[:5]).shape
        except ValueError:
            # Of a parameter that only this machine cannot serve, such as a device.
            tally.held()
        else:
            tally.held() if shape == (5, 3) else tally.broke(f"{attempt}: shape {shape}")


def test_a_pickle_in_the_place_of_a_model_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / "model").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelFormatError):
        scfcmi.load_model(tmp_path / "model")
    assert not (tmp_path / "sprung").exists()
