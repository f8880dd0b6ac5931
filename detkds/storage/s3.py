"""A store in an S3 bucket, through the minio client; it survives short outages and never reveals a secret."""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import ParseError

import certifi
import urllib3
from minio import Minio
from minio.datatypes import Object
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.exceptions import HTTPError, MaxRetryError, ProxyError, SSLError

from detkds.errors import ArtifactError, ConfigError, StoreError
from detkds.storage.artifacts import writing
from detkds.storage.keys import join, safe_key
from detkds.storage.proxies import proxy_host
from detkds.storage.s3_faults import is_final, reason, remedy, tls_fault
from detkds.storage.s3_settings import S3Settings
from detkds.storage.store import PART_BYTES, WORKERS, Store, StoredObject, too_large

T = TypeVar("T")

_BLOCK_BYTES = 1 << 20
_BUCKET = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_log = logging.getLogger(__name__)


class S3Store(Store):
    """Objects are those of a bucket below `prefix`.

    What fails for a passing reason (no connection, a server error, a broken transfer) is tried again until `settings.deadline_s` seconds
    after its first failure; a refusal (rights, bucket, certificate) is raised at once. Safe to use from several threads.

    Raises:
        ConfigError: the bucket's name cannot be one.
    """

    def __init__(self, settings: S3Settings, bucket: str, prefix: str = "") -> None:
        if not _BUCKET.fullmatch(bucket):
            raise ConfigError(
                f"a bucket must have 3 to 63 lower-case letters, digits, '-' or '.', and be no address, got {bucket[:80]!r}; rename it."
            )
        self._settings = settings
        self._bucket = bucket
        self._prefix = safe_key(prefix) if prefix else ""
        self._http = _connections(settings)
        self._client = Minio(
            settings.host,
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            session_token=settings.session_token,
            secure=settings.secure,
            region=settings.region,
            http_client=self._http,
        )
        if settings.style == "virtual":
            self._client.enable_virtual_style_endpoint()
        elif settings.style == "path":
            self._client.disable_virtual_style_endpoint()

    def __repr__(self) -> str:
        return f"S3Store({self.uri()!r} at {self._settings.url})"

    def uri(self, key: str = "") -> str:
        return "s3://" + "/".join(part for part in (self._bucket, self._prefix, key) if part)

    def ensure_bucket(self) -> None:
        def make() -> None:
            try:
                if not self._client.bucket_exists(self._bucket):
                    self._client.make_bucket(self._bucket)
            except S3Error as error:
                if error.code != "BucketAlreadyOwnedByYou":  # another process was quicker
                    raise

        self._attempt("creating the bucket", "", make)

    def put_bytes(self, data: bytes, key: str) -> None:
        name = self._name(key)
        self._attempt("writing", key, lambda: self._client.put_object(self._bucket, name, io.BytesIO(data), len(data)))

    def exchange(self, data: bytes, key: str, expected: str | None) -> str | None:
        name = self._name(key)
        condition = {"If-None-Match": "*"} if expected is None else {"If-Match": f'"{expected}"'}

        def put() -> str | None:
            # put_object of the client takes no conditions, so it only signs the request.
            address = self._client.get_presigned_url("PUT", self._bucket, name)
            response = self._http.request("PUT", address, body=data, headers=condition)
            if response.status == 501:  # a store without conditional writes
                return super(S3Store, self).exchange(data, key, expected)
            if response.status in (409, 412) or (response.status == 404 and expected):
                return None
            if response.status != 200:
                raise S3Error.fromxml(response)
            return str(response.headers["ETag"]).strip('"')

        return self._attempt("writing", key, put)

    def get_bytes(self, key: str, limit: int | None = None) -> bytes:
        name, target = self._name(key), io.BytesIO()
        if not self._attempt("reading", key, lambda: self._receive(name, target, limit)):
            raise too_large(self.uri(key), limit or 0)
        return target.getvalue()

    def put_file(self, path: Path, key: str) -> None:
        name = self._name(key)
        self._attempt("writing", key, lambda: self._client.fput_object(self._bucket, name, str(path), part_size=PART_BYTES))

    def get_file(self, key: str, path: Path) -> None:
        name = self._name(key)
        with writing(path) as target:
            self._attempt("reading", key, lambda: self._receive(name, target))

    def stat(self, key: str) -> StoredObject | None:
        name = self._name(key)

        def look() -> StoredObject | None:
            try:
                found = self._client.stat_object(self._bucket, name)
            except S3Error as error:
                if error.code != "NoSuchKey":
                    raise
                return None
            return _stored(key, found)

        found = self._attempt("looking for", key, look)
        if found is None:
            self._require_bucket()  # the response to HEAD has no body that would distinguish a missing bucket from a missing object
        return found

    def list(self, prefix: str = "") -> list[StoredObject]:
        name = self._name(prefix) if prefix else self._prefix
        below = f"{name}/" if name else ""
        found = self._attempt("listing", prefix, lambda: list(self._client.list_objects(self._bucket, prefix=below, recursive=True)))
        own = len(self._prefix) + 1 if self._prefix else 0
        objects = [(entry.object_name[own:], entry) for entry in found if not entry.object_name.endswith("/")]
        return sorted((_stored(safe_key(key), entry) for key, entry in objects), key=lambda entry: entry.key)

    def delete(self, key: str) -> None:
        name = self._name(key)
        self._attempt("deleting", key, lambda: self._client.remove_object(self._bucket, name))

    def _name(self, key: str) -> str:
        return join(self._prefix, safe_key(key))

    def _require_bucket(self) -> None:
        if not self._attempt("looking for the bucket", "", lambda: self._client.bucket_exists(self._bucket)):
            raise self._refusal("looking for the bucket", "", "NoSuchBucket")

    def _receive(self, name: str, target: BinaryIO, limit: int | None = None) -> bool:
        """Write an object into `target`; False, and not all of it, where it has more than `limit` bytes."""
        target.seek(0)
        target.truncate()
        with closing(self._client.get_object(self._bucket, name)) as response:
            for block in response.stream(_BLOCK_BYTES):
                target.write(block)
                if limit is not None and target.tell() > limit:
                    return False
            response.release_conn()
        return True

    def _attempt(self, verb: str, key: str, call: Callable[[], T]) -> T:
        """Call until it succeeds, is refused, or `deadline_s` has passed since its first failure."""
        pause_s, deadline = 0.2, None
        while True:
            try:
                return call()
            # The last two: minio parses whatever a broken server or a web page in its place answers.
            except (HTTPError, S3Error, ServerError, InvalidResponseError, ParseError, ValueError) as error:
                reason = self._passing_reason(error, verb, key)
            if deadline is None:
                deadline = time.monotonic() + self._settings.deadline_s
                _log.warning("%s: %s while %s %s; trying again", self._settings.url, reason, verb, self.uri(key))
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                # `from None`: the causes hold the signed request.
                raise StoreError(
                    f"object store {self._settings.url} (bucket {self._bucket!r}) failed for {self._settings.deadline_s:g} s while {verb} "
                    f"{self.uri(key)}: {reason}; start the store, or correct DETKDS_S3_ENDPOINT."
                ) from None
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, 2.0)

    def _passing_reason(self, error: Exception, verb: str, key: str) -> str:
        """Why it failed, when trying again may help.

        Raises:
            ArtifactError, StoreError: trying again cannot help.
        """
        if isinstance(error, S3Error):
            code = "".join(letter for letter in str(error.code) if letter.isalnum())[:40]
            if code == "NoSuchKey":
                raise ArtifactError(f"{self.uri(key)} does not exist; correct the name, or run the stage that makes it.") from None
            if is_final(error.response.status, code):
                raise self._refusal(verb, key, code) from None
            return f"the server answers {code}"
        cause = error.reason if isinstance(error, MaxRetryError) else error
        if isinstance(cause, SSLError):
            raise StoreError(
                f"object store {self._settings.url}: TLS fails ({tls_fault(cause)}); "
                "check http or https in DETKDS_S3_ENDPOINT, or name the certificate's authority in SSL_CERT_FILE."
            ) from None
        if isinstance(cause, ProxyError):
            return f"the proxy {proxy_host(self._settings.proxy)} fails ({reason(cause)})"
        return reason(cause)

    def _refusal(self, verb: str, key: str, code: str) -> StoreError:
        return StoreError(f"object store {self._settings.url} refuses {verb} {self.uri(key)}: {code}; {remedy(code)}.")


def _connections(settings: S3Settings) -> urllib3.PoolManager:
    """Tries once and follows no redirect: the store tries again itself, and a signed request goes to no other host."""
    options: dict[str, Any] = {
        "timeout": urllib3.Timeout(connect=min(5.0, settings.deadline_s), read=min(30.0, settings.deadline_s)),
        "maxsize": 2 * WORKERS,
        "cert_reqs": "CERT_REQUIRED",
        "ca_certs": settings.certificates or certifi.where(),
        "retries": False,
    }
    if settings.proxy is None:
        return urllib3.PoolManager(**options)
    proxy = urlsplit(settings.proxy)
    headers = None
    if proxy.username is not None:
        headers = urllib3.make_headers(proxy_basic_auth=f"{unquote(proxy.username)}:{unquote(proxy.password or '')}")
    bare = proxy._replace(netloc=proxy.netloc.rpartition("@")[2]).geturl()
    return urllib3.ProxyManager(bare, proxy_headers=headers, **options)


def _stored(key: str, found: Object) -> StoredObject:
    modified = found.last_modified.timestamp() if found.last_modified else 0.0
    return StoredObject(key, int(found.size or 0), str(found.etag), modified)
