"""Address and credentials of the object store, read from the environment."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from detkds.errors import ConfigError
from detkds.storage.proxies import proxy_for
from detkds.storage.uri import ENDPOINT as ENDPOINT

ACCESS_KEY, SECRET_KEY, SESSION_TOKEN = "DETKDS_S3_ACCESS_KEY", "DETKDS_S3_SECRET_KEY", "DETKDS_S3_SESSION_TOKEN"
REGION, SECURE, DEADLINE = "DETKDS_S3_REGION", "DETKDS_S3_SECURE", "DETKDS_S3_DEADLINE_S"
STYLE, STYLES = "DETKDS_S3_STYLE", ("path", "virtual")
CERTIFICATES = ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True)
class S3Settings:
    """An endpoint and its keys; the keys are never part of its text.

    Attributes:
        host: `host` or `host:port`.
        secure: TLS or not.
        deadline_s: how long, in seconds after its first failure, an operation is tried again.
        session_token: sent beside keys that were lent for some hours; None for keys that last.
        style: path (host/bucket/key) or virtual (bucket.host/key); None leaves it to the host's name, which is virtual for Amazon's.
        proxy: the address requests go through; None where they go straight.
        certificates: a file of authorities that are trusted; None for those that come with certifi.
    """

    host: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    secure: bool = False
    region: str = DEFAULT_REGION
    deadline_s: float = 90.0
    session_token: str | None = field(default=None, repr=False)
    style: str | None = None
    proxy: str | None = field(default=None, repr=False)
    certificates: str | None = None

    @property
    def url(self) -> str:
        """The endpoint with its scheme."""
        return f"{'https' if self.secure else 'http'}://{self.host}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> S3Settings:
        """Read DETKDS_S3_ENDPOINT, _ACCESS_KEY, _SECRET_KEY and the optional _SESSION_TOKEN, _REGION, _SECURE (1 for TLS), _STYLE,
        _DEADLINE_S; proxies as `proxy_for`, and trusted authorities from SSL_CERT_FILE, AWS_CA_BUNDLE and their like.

        Raises:
            ConfigError: a variable is missing or malformed; the keys' values are not in the message.
        """
        values = os.environ if environment is None else environment
        missing = [name for name in (ENDPOINT, ACCESS_KEY, SECRET_KEY) if not values.get(name)]
        if missing:
            raise ConfigError(f"an s3:// address needs {' and '.join(missing)} in the environment; set them, or use a folder.")
        endpoint = _endpoint(values[ENDPOINT])
        secure = endpoint.scheme == "https" or (not endpoint.scheme and values.get(SECURE) == "1")
        return cls(
            host=endpoint.netloc,
            access_key=values[ACCESS_KEY],
            secret_key=values[SECRET_KEY],
            secure=secure,
            region=values.get(REGION) or DEFAULT_REGION,
            deadline_s=_seconds(values.get(DEADLINE) or "90"),
            session_token=values.get(SESSION_TOKEN) or None,
            style=_style(values.get(STYLE) or ""),
            proxy=proxy_for("https" if secure else "http", endpoint.netloc),
            certificates=_certificates(values),
        )


def _endpoint(value: str) -> SplitResult:
    try:
        parts = urlsplit(value if "://" in value else f"//{value}")
        bare = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in value
        sound = bare and bool(parts.hostname) and parts.port != 0 and parts.scheme in ("", "http", "https")
    except ValueError:
        sound = False
    if not sound:
        shown = "one with a user or password" if "@" in value else repr(value[:80])
        raise ConfigError(f"{ENDPOINT} must be host:port, http://host:port or https://host:port, got {shown}; correct it.")
    return parts


def _style(value: str) -> str | None:
    if value and value not in STYLES:
        raise ConfigError(f"{STYLE} must be path or virtual, got {value[:40]!r}; correct it, or leave it out.")
    return value or None


def _certificates(values: Mapping[str, str]) -> str | None:
    name = next((name for name in CERTIFICATES if values.get(name)), None)
    if name is not None and not os.path.isfile(values[name]):
        raise ConfigError(f"{name} must name a file of certificates, but {values[name]} is none; correct it, or leave it out.")
    return values[name] if name is not None else None


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{DEADLINE} must be a number of seconds above 0, got {value[:40]!r}; correct it.")
    return seconds
