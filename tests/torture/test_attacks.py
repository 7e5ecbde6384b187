"""Files and names made to do harm. Others are beside what they attack: tests/datasets, tests/test_shown.py."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import struct
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests

import scfcmi
from scfcmi import benchmark, cli, datasets, pl
from scfcmi.datasets import _check, _fetch
from scfcmi.datasets._check import examine
from scfcmi.datasets._manifest import File
from scfcmi.errors import ChecksumError, DatasetUnavailableError, ModelFormatError

# Formulas of matplotlib that are none, tags, escapes of terminals, formulas of spreadsheets, paths, and much text.
NAMES = ("$x_{$", "$\\bad{x}$", "$$", "<b>&amp;", "=1+1", "../../x", "%s{0}", "x" * 20, " ")


@pytest.fixture
def trap(tmp_path):
    """An object that makes a file when it is unpickled."""

    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    yield Trap()
    assert not (tmp_path / "sprung").exists()


def test_names_in_plots_are_no_formulas(clustered, put_map):
    put_map(clustered)
    for key in ("tech", "label"):
        names = NAMES[: len(NAMES) - 1] if key == "tech" else NAMES
        clustered.obs[key] = pd.Categorical(np.array(names)[np.arange(240) % len(names)])
    clustered.obs["$\\bad{x}$"] = clustered.obs["label"]
    for figure in (
        pl.composition(clustered, return_fig=True),
        pl.composition(clustered, batch_key="$\\bad{x}$", return_fig=True),
        pl.confusion(clustered, "$\\bad{x}$", return_fig=True),
        pl.umap(clustered, ["fcmi", "$\\bad{x}$", "tech"], return_fig=True),
        pl.umap(clustered, "fcmi", split_by="label", return_fig=True),
    ):
        figure.draw_without_rendering()
        figure.savefig(page := io.StringIO(), format="svg")
        assert "<b>" not in page.getvalue()


def test_names_on_the_page_are_text(clustered, put_map, tmp_path):
    put_map(clustered)
    names = [
        *NAMES,
        "<script>alert(1)</script>",
        "</script><svg onload=alert(2)>",
        "{{ 7*7 }}",
        "\u202e",
        "\udcff",
        "\x00",
    ]
    for key in ("tech", "label"):
        clustered.obs[key] = pd.Categorical(np.array(names, dtype=object)[np.arange(240) % len(names)])
    clustered.uns["fcmi"]["params"] |= {name: name for name in names if name.isprintable()}
    page = tmp_path / "page.html"
    pl.report(clustered, page, label_key="label")
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script>") == 2
    assert not any(tag in text for tag in ("<b>&amp;", "<svg onload", "alert(1)</script>", "\u202e", "\x00"))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def list_of_members(n_members: int) -> bytes:
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 3, 20, 0, *(0,) * 4, *(0,) * 3, 1, *(0,) * 4, 0, 0) + b"x"
    end = struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, n_members % 2**16, n_members % 2**16, n_members * len(entry), 0, 0
    )
    return entry * n_members + end


def test_a_million_members(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(list_of_members(3))
    assert len(zipfile.ZipFile(path).infolist()) == 3
    path.write_bytes(list_of_members(1_000_000))
    start = time.monotonic()
    fault = examine(path, File("part", "a.zip")).fault
    assert "more members than any known archive" in fault
    # The record of long lists, which is read in place of the honest short one.
    short = list_of_members(3)
    long_list = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    path.write_bytes(short[:-22] + long_list + short[-22:])
    assert "more members than any known archive" in examine(path, File("part", "a.zip")).fault
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("payload", [None, "md5:" + "0" * 32])
def test_a_bomb(tmp_path, monkeypatch, payload):
    monkeypatch.setattr(_check, "_LARGEST_CONTENT", 10 << 20)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(bytes(50 << 20)))
    assert path.stat().st_size < 60_000
    assert "holds more than 10485760 bytes" in examine(path, File("part", "a.gz", payload=payload)).fault


@pytest.mark.parametrize("name", ["mtfl", "office31"])
def test_pickles_in_features_are_not_run(tmp_path, trap, name):
    (tmp_path / name).mkdir()
    given = dict.fromkeys(("features", "label", "group"), np.array([trap], dtype=object))
    np.savez(tmp_path / name / "features.npz", **given)
    with pytest.raises(ValueError, match=r"features\.npz"):
        getattr(datasets, name)(data_dir=tmp_path, download=False)
    (tmp_path / name / "features.npz").write_bytes(pickle.dumps(trap))
    with pytest.raises(ValueError, match=r"features\.npz"):
        getattr(datasets, name)(data_dir=tmp_path, download=False)


def test_pickles_in_other_files_are_not_run(tmp_path, trap, blobs, capsys):
    X, _, groups = blobs
    path = tmp_path / "images.npy"
    path.write_bytes(pickle.dumps(trap))
    with pytest.raises(ModelFormatError):
        scfcmi.FCMI(3, max_epochs=1, checkpoint=path).fit(X, groups=groups)
    for write in (path.write_bytes, lambda _: np.save(path, np.array([trap], dtype=object))):
        write(pickle.dumps(trap))
        words = ["plot", "reconstructions", str(path), "-o", str(tmp_path / "x.png")]
        assert cli.main(words) == cli.WRONG_USE
        error = capsys.readouterr().err
        assert "IMAGES.npy" in error
        assert error.count("\n") == 1


class _Elsewhere(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path in self.server.places:
            self.send_response(302)
            self.send_header("Location", self.server.places[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"wrong" if self.path == "/wrong" else b"right")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def redirecting(monkeypatch):
    """A server, and where it sends to: its other name, this machine's files, and itself, for ever."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(_fetch, "_PAUSE", 0.0)
    with HTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        other = f"http://localhost:{server.server_port}"
        server.places = {
            "/file": "file:///etc/passwd",
            "/ftp": "ftp://127.0.0.1/x",
            "/other-right": f"{other}/right",
            "/other-wrong": f"{other}/wrong",
            "/round": "/round",
        }
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("file", DatasetUnavailableError),
        ("ftp", DatasetUnavailableError),
        ("round", DatasetUnavailableError),
        ("other-wrong", ChecksumError),
        ("other-right", None),
    ],
)
def test_redirects(redirecting, tmp_path, place, error):
    """Archives of science redirect to stores of other hosts, so that redirects are followed; the checksum decides."""
    file = File(
        "part", "x.bin", urls=(f"{redirecting}/{place}",), checksum=f"sha256:{hashlib.sha256(b'right').hexdigest()}"
    )
    if error is None:
        assert _fetch.fetch(file, tmp_path / "x.bin", progress=False).read_bytes() == b"right"
        return
    with pytest.raises(error) as caught:
        _fetch.fetch(file, tmp_path / "x.bin", progress=False)
    assert "root:" not in str(caught.value)
    assert not isinstance(caught.value, requests.RequestException)
    assert [path.name for path in tmp_path.iterdir()] == [".x.bin.lock"]


@pytest.mark.parametrize("name", ["../har", "har/../../x", "/etc/passwd", "har\0", "", ".", "file:///etc/passwd"])
def test_names_of_data_sets_are_no_paths(tmp_path, capsys, name):
    assert cli.main(["data", "fetch", name, "--data-dir", str(tmp_path / "data")]) == cli.WRONG_USE
    assert "Unknown dataset" in capsys.readouterr().err
    for given in ({"datasets": [name]}, {"datasets": ["har"], "methods": [name]}):
        with pytest.raises(ValueError, match="must be one of"):
            benchmark.run(tmp_path / "runs", **given)
    assert not list(tmp_path.iterdir())


def test_runs_that_are_none_are_passed_over(tmp_path):
    run = {"dataset": "a", "method": "kmeans", "seed": 0, "epochs": None, "subset": None, "status": "done"}
    lines = ["[" * 100_000, '{"a":' * 10_000, "null", "3", '"x"', "{}", '{"status": "done"}', "\0", "{" * 3]
    (tmp_path / "runs.jsonl").write_bytes("\n".join([*lines, json.dumps(run), *lines]).encode() + b"\n\xff\xfe\n")
    assert benchmark.read_runs(tmp_path)["method"].tolist() == ["kmeans"]
