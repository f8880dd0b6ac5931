"""The S3 store when things go wrong: what it says, when it gives up, and what it never tells."""

from __future__ import annotations

import errno
import logging
import socket
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from detkds.errors import ArtifactError, ConfigError, StoreError
from detkds.storage import Store, open_store
from detkds.storage.s3_settings import S3Settings
from detkds.storage.server import EmbeddedServer

Answering = Callable[..., AbstractContextManager[tuple[str, list[str]]]]
CANARY = "canary-5f1d9e2b7a"
VERBS: dict[str, Callable[[Store, Path], object]] = {
    "creating the bucket": lambda store, _: store.ensure_bucket(),
    "reading": lambda store, _: store.get_bytes("k"),
    "writing": lambda store, _: store.put_bytes(b"x", "k"),
    "looking for": lambda store, _: store.exists("k"),
    "listing": lambda store, _: store.list(),
    "deleting": lambda store, _: store.delete("k"),
}


def said(error: BaseException, log: str) -> str:
    """Everything a user or a log could see of an error."""
    return "".join(traceback.format_exception(error)) + repr(error) + log


@pytest.mark.parametrize("verb", VERBS)
def test_an_unreachable_store_is_one_clear_line_after_the_deadline(environment: pytest.MonkeyPatch, tmp_path: Path, verb: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused, and nobody else can take the port
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        environment.setenv("DETKDS_S3_ENDPOINT", endpoint)
        environment.setenv("DETKDS_S3_DEADLINE_S", "0.3")
        with pytest.raises(StoreError) as caught:
            VERBS[verb](open_store("s3://bucket"), tmp_path)
    key = "/k" if verb in ("reading", "writing", "looking for", "deleting") else ""
    assert str(caught.value) == (
        f"object store {endpoint} (bucket 'bucket') failed for 0.3 s while {verb} s3://bucket{key}: connection refused; "
        "start the store, or correct DETKDS_S3_ENDPOINT."
    )


def test_a_store_that_never_answers(environment: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment.setenv("DETKDS_S3_ENDPOINT", f"127.0.0.1:{silent.getsockname()[1]}")
        environment.setenv("DETKDS_S3_DEADLINE_S", "0.3")
        with pytest.raises(StoreError, match=r"failed for 0\.3 s while reading s3://bucket/k: no response in time; start the store"):
            open_store("s3://bucket").get_bytes("k")


def test_a_host_that_does_not_exist(environment: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    environment.setattr(socket, "getaddrinfo", unknown)
    environment.setenv("DETKDS_S3_ENDPOINT", "https://store.invalid")
    environment.setenv("DETKDS_S3_DEADLINE_S", "0.3")
    with pytest.raises(
        StoreError, match=r"^object store https://store\.invalid \(bucket 'bucket'\) failed .*: name or service not known; start"
    ):
        open_store("s3://bucket").get_bytes("k")


def test_tls_where_there_is_none_fails_at_once(s3_server: EmbeddedServer, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DETKDS_S3_ENDPOINT", s3_server.endpoint.replace("http:", "https:"))
    environment.setenv("DETKDS_S3_DEADLINE_S", "60")
    with pytest.raises(StoreError, match=r"TLS fails \(\w+\); check http or https in DETKDS_S3_ENDPOINT"):
        open_store("s3://bucket").get_bytes("k")


@pytest.mark.parametrize(
    ("variable", "code"), [("DETKDS_S3_SECRET_KEY", "SignatureDoesNotMatch"), ("DETKDS_S3_ACCESS_KEY", "InvalidAccessKeyId")]
)
def test_wrong_keys_are_refused_at_once_and_told_nowhere(
    environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path, variable: str, code: str
) -> None:
    environment.setenv(variable, CANARY)
    environment.setenv("DETKDS_S3_DEADLINE_S", "60")
    caplog.set_level(logging.DEBUG)
    store = open_store("s3://bucket")
    for verb, ask in VERBS.items():
        with pytest.raises(StoreError, match=rf"refuses {verb}.* s3://bucket.*: ({code}; check {variable}|AccessDenied; check)") as caught:
            ask(store, tmp_path)
        text = said(caught.value, caplog.text)
        assert CANARY not in text
        assert "AWS4-HMAC-SHA256" not in text
    assert CANARY not in repr(store) + repr(S3Settings.from_environment())


def test_secrets_are_told_by_no_error_and_no_log(
    store: Store, s3_server: EmbeddedServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    store.put_bytes(b"x", "k")
    with pytest.raises(ArtifactError) as caught:
        store.get_file("none", tmp_path / "got")
    text = said(caught.value, caplog.text)
    for secret in (s3_server.environment()["DETKDS_S3_SECRET_KEY"], s3_server.environment()["DETKDS_S3_ACCESS_KEY"], "Signature="):
        assert secret not in text


def test_a_missing_bucket_has_its_own_line(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("DETKDS_S3_DEADLINE_S", "60")
    store = open_store("s3://nowhere/prefix")
    for verb in ("reading", "writing", "looking for", "listing"):
        with pytest.raises(StoreError, match=r"refuses .* s3://nowhere.*: NoSuchBucket; create the bucket, or correct its name"):
            VERBS[verb](store, tmp_path)


@pytest.mark.parametrize("bucket", ["ab", "UPPER_case!", "127.0.0.1", "a..b", "-ab", "a" * 64])
def test_a_name_that_no_bucket_can_have(environment: pytest.MonkeyPatch, bucket: str) -> None:
    with pytest.raises(ConfigError, match=f"a bucket must have 3 to 63 .*, got '{bucket}'"):
        open_store(f"s3://{bucket}")


def test_server_errors_and_broken_answers_are_tried_again(
    environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, answering: Answering
) -> None:
    slow = b"<Error><Code>SlowDown</Code></Error>"
    with answering((503, slow), (500, b"<html>"), (500, b"\xff"), (200, b"content")) as (endpoint, seen):
        environment.setenv("DETKDS_S3_ENDPOINT", endpoint)
        environment.setenv("DETKDS_S3_DEADLINE_S", "30")
        assert open_store("s3://bucket").get_bytes("k") == b"content"
    assert seen == ["/bucket/k"] * 4
    assert caplog.messages == [f"{endpoint}: the server answers SlowDown while reading s3://bucket/k; trying again"]


def test_an_overloaded_store_is_named_after_the_deadline(environment: pytest.MonkeyPatch, answering: Answering) -> None:
    with answering((503, b"<Error><Code>SlowDown</Code></Error>")) as (endpoint, _):
        environment.setenv("DETKDS_S3_ENDPOINT", endpoint)
        environment.setenv("DETKDS_S3_DEADLINE_S", "0.3")
        with pytest.raises(StoreError, match=r"failed for 0\.3 s while reading s3://bucket/k: the server answers SlowDown; "):
            open_store("s3://bucket").get_bytes("k")


def test_a_signed_request_is_not_sent_elsewhere(environment: pytest.MonkeyPatch, answering: Answering) -> None:
    with answering((307, b"<Error><Code>TemporaryRedirect</Code></Error>")) as (endpoint, seen):
        environment.setenv("DETKDS_S3_ENDPOINT", endpoint)
        with pytest.raises(StoreError, match="TemporaryRedirect"):
            open_store("s3://bucket").get_bytes("k")
    assert seen == ["/bucket/k"]


def test_hostile_names_in_a_listing_are_refused(environment: pytest.MonkeyPatch, answering: Answering) -> None:
    entry = b"<Name>bucket</Name><Contents><Key>data/../../up</Key><Size>1</Size><ETag>x</ETag></Contents>"
    listing = b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' + entry + b"</ListBucketResult>"
    with answering((200, listing)) as (endpoint, _):
        environment.setenv("DETKDS_S3_ENDPOINT", endpoint)
        with pytest.raises(ArtifactError, match=r"got 'data/\.\./\.\./up'"):
            open_store("s3://bucket").list("data")


def test_a_download_that_fails_leaves_the_file_that_was_there(store: Store, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "student.pth").write_bytes(b"good")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store.put_bytes(b"better", "k")
    environment.setattr(store, "_receive", full)
    with pytest.raises(StoreError, match=r"no space is left on the disk of .*student\.pth"):
        store.get_file("k", tmp_path / "student.pth")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"good"]
