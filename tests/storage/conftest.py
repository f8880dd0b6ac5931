"""What the tests of the object store share."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from detkds.storage import Store, open_store
from detkds.storage.server import EmbeddedServer


@pytest.fixture
def environment(s3_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The session's server in this test's environment; change single variables through it."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DETKDS_S3_DEADLINE_S", "10")
    return monkeypatch


@pytest.fixture
def store(environment: pytest.MonkeyPatch) -> Store:
    """An empty place in a bucket of the shared test server."""
    store = open_store(f"s3://tests/{secrets.token_hex(8)}")
    store.ensure_bucket()
    return store


@pytest.fixture(name="answering")
def _answering() -> Callable[..., AbstractContextManager[tuple[str, list[str]]]]:
    """A web server with answers prepared, for what a real one does only in bad hours."""
    return answering


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Iterator[tuple[str, list[str]]]:
    """A web server that gives these answers (status, XML) in turn, the last one for ever; yields its address and the requests seen."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[min(len(seen), len(answers) - 1)]
            seen.append(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()
