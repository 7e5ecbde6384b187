from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scfcmi.datasets import _fetch


class Server(ThreadingHTTPServer):
    """Serves bytes on the loopback. What each file's next answers are is said beforehand; the last one stays."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, list[str]] = {}
        self.requests: list[tuple[str, str | None]] = []

    def put(self, name: str, content: bytes, *answers: str) -> str:
        self.files[name], self.answers[name] = content, list(answers or ["resumable"])
        return f"http://127.0.0.1:{self.server_port}/{name}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        name, wanted = self.path.lstrip("/"), self.headers.get("Range")
        self.server.requests.append((name, wanted))
        answers = self.server.answers[name]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        content = self.server.files[name]
        getattr(self, f"_{answer}")(content, wanted)

    def _send(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _resumable(self, content: bytes, wanted: str | None) -> None:
        start = int(wanted[len("bytes=") : -1]) if wanted else 0
        if start >= len(content):
            self._send(416)
        elif start:
            self._send(206, content[start:], Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self._send(200, content)

    def _whole(self, content: bytes, _: str | None) -> None:
        self._send(200, content)

    def _elsewhere(self, content: bytes, _: str | None) -> None:
        self._send(206, content, Content_Range=f"bytes 1-{len(content) - 1}/{len(content)}")

    def _cut(self, content: bytes, _: str | None) -> None:
        self._send(200, content[: len(content) // 2], length=len(content))
        self.close_connection = True

    def _missing(self, *_: object) -> None:
        self._send(404)

    def _busy(self, *_: object) -> None:
        self._send(503)

    def _redirect(self, *_: object) -> None:
        self._send(302, Location="/target")

    def _slow(self, content: bytes, _: str | None) -> None:
        threading.Event().wait(0.5)
        self._send(200, content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(_fetch, "_PAUSE", 0.0)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def checksum():
    return sha256
