"""What requests to a store carry and which way they go: session tokens, proxies, the two styles of addresses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from detkds.errors import StoreError
from detkds.storage import open_store

LISTING = (
    b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Name>bucket</Name><IsTruncated>false</IsTruncated></ListBucketResult>"
)
CANARY = "canary-5f1d9e2b7a"
Seen = list[tuple[str, str, dict[str, str]]]


@contextmanager
def recording(status: int = 200, body: bytes = LISTING) -> Iterator[tuple[str, Seen]]:
    """A web server that answers all alike; yields host:port and the requests seen: method, address or path, headers in small letters."""
    seen: Seen = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/xml")
            self.send_header("ETag", '"tag"')
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = do_CONNECT = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in {"ACCESS_KEY": "reader", "SECRET_KEY": CANARY, "DEADLINE_S": "0.3"}.items():
        monkeypatch.setenv(f"DETKDS_S3_{name}", value)
    return monkeypatch


def test_the_session_token_goes_with_every_request(keys: pytest.MonkeyPatch) -> None:
    keys.setenv("DETKDS_S3_SESSION_TOKEN", "token-of-some-hours")
    with recording() as (host, seen):
        keys.setenv("DETKDS_S3_ENDPOINT", f"http://{host}")
        store = open_store("s3://bucket")
        store.list()
        store.put_bytes(b"x", "k")
        store.get_bytes("k")
        store.exists("k")
        store.delete("k")
        store.exchange(b"x", "k", None)
    *headed, (_, address, _) = seen
    assert len(headed) >= 5
    assert {headers["x-amz-security-token"] for _, _, headers in headed} == {"token-of-some-hours"}
    assert "X-Amz-Security-Token=token-of-some-hours" in address


def test_keys_that_last_send_no_token(keys: pytest.MonkeyPatch) -> None:
    with recording() as (host, seen):
        keys.setenv("DETKDS_S3_ENDPOINT", f"http://{host}")
        open_store("s3://bucket").list()
    assert all("x-amz-security-token" not in headers for _, _, headers in seen)


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        (
            "ExpiredToken",
            400,
            "the temporary credentials have expired: set DETKDS_S3_ACCESS_KEY, DETKDS_S3_SECRET_KEY and ",
        ),
        ("InvalidToken", 400, "check DETKDS_S3_SESSION_TOKEN"),
        ("AuthorizationHeaderMalformed", 400, "the bucket is in another region: set DETKDS_S3_REGION"),
        ("PermanentRedirect", 301, "the bucket is in another region: set DETKDS_S3_REGION"),
    ],
)
def test_refusals_of_lent_keys_and_regions_say_what_to_do(keys: pytest.MonkeyPatch, code: str, status: int, said: str) -> None:
    """The codes are those of Amazon's list of error responses of S3."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    with recording(status, body) as (host, _):
        keys.setenv("DETKDS_S3_ENDPOINT", f"http://{host}")
        with pytest.raises(StoreError, match=f"refuses listing s3://bucket: {code}; .*{said}") as caught:
            open_store("s3://bucket").list()
    assert CANARY not in str(caught.value)


def test_requests_go_through_the_proxy(keys: pytest.MonkeyPatch) -> None:
    keys.setenv("DETKDS_S3_ENDPOINT", "http://store.invalid:9000")
    with recording() as (host, seen):
        keys.setenv("HTTP_PROXY", f"http://me:pass%20word@{host}")
        assert open_store("s3://bucket").list() == []
    ((method, address, headers),) = seen
    assert (method, address.partition("?")[0]) == ("GET", "http://store.invalid:9000/bucket")
    assert headers["proxy-authorization"] == "Basic bWU6cGFzcyB3b3Jk"  # base64 of "me:pass word"


def test_tls_is_tunnelled_and_a_proxy_that_refuses_is_named(keys: pytest.MonkeyPatch) -> None:
    keys.setenv("DETKDS_S3_ENDPOINT", "https://store.invalid")
    with recording(403, b"") as (host, seen):
        keys.setenv("HTTPS_PROXY", f"http://me:{CANARY}@{host}")
        with pytest.raises(StoreError, match=f"the proxy {host} fails \\(tunnel connection failed: 403") as caught:
            open_store("s3://bucket").list()
    assert {(method, address) for method, address, _ in seen} == {("CONNECT", "store.invalid:443")}
    assert CANARY not in str(caught.value)


def test_hosts_of_no_proxy_are_asked_straight(keys: pytest.MonkeyPatch) -> None:
    with recording() as (proxy, through), recording() as (host, straight):
        keys.setenv("HTTP_PROXY", f"http://{proxy}")
        keys.setenv("NO_PROXY", "store.invalid,127.0.0.1")
        keys.setenv("DETKDS_S3_ENDPOINT", f"http://{host}")
        open_store("s3://bucket").list()
    assert (len(through), len(straight)) == (0, 1)


@pytest.mark.parametrize(
    ("style", "endpoint", "address"),
    [
        ("path", "http://store.invalid:9000", "http://store.invalid:9000/bucket"),
        ("virtual", "http://store.invalid:9000", "http://bucket.store.invalid:9000/"),
        ("", "http://store.invalid:9000", "http://store.invalid:9000/bucket"),
        ("", "http://s3.eu-central-1.amazonaws.com", "http://bucket.s3.eu-central-1.amazonaws.com/"),
    ],
)
def test_addresses_are_of_the_style_asked_for(keys: pytest.MonkeyPatch, style: str, endpoint: str, address: str) -> None:
    keys.setenv("DETKDS_S3_ENDPOINT", endpoint)
    keys.setenv("DETKDS_S3_REGION", "eu-central-1")
    keys.setenv("DETKDS_S3_STYLE", style)
    with recording() as (host, seen):
        keys.setenv("HTTP_PROXY", f"http://{host}")
        open_store("s3://bucket").list()
    assert seen[0][1].partition("?")[0] == address
    assert "/eu-central-1/s3/aws4_request" in seen[0][2]["authorization"]
