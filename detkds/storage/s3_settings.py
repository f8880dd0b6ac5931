"""Where the object store is and who asks, read from the environment."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from detkds.errors import ConfigError
from detkds.storage.uri import ENDPOINT as ENDPOINT

ACCESS_KEY, SECRET_KEY = "DETKDS_S3_ACCESS_KEY", "DETKDS_S3_SECRET_KEY"
REGION, SECURE, DEADLINE = "DETKDS_S3_REGION", "DETKDS_S3_SECURE", "DETKDS_S3_DEADLINE_S"
DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True)
class S3Settings:
    """An endpoint and its keys; the keys are never part of its text.

    Attributes:
        host: `host` or `host:port`.
        secure: TLS or not.
        deadline_s: how long, in seconds after its first failure, an operation is tried again.
    """

    host: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    secure: bool = False
    region: str = DEFAULT_REGION
    deadline_s: float = 90.0

    @property
    def url(self) -> str:
        """The endpoint with its scheme."""
        return f"{'https' if self.secure else 'http'}://{self.host}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> S3Settings:
        """Read DETKDS_S3_ENDPOINT, _ACCESS_KEY, _SECRET_KEY and the optional _REGION, _SECURE (1 for TLS), _DEADLINE_S.

        Raises:
            ConfigError: a variable is missing or malformed; the keys' values are not in the message.
        """
        values = os.environ if environment is None else environment
        missing = [name for name in (ENDPOINT, ACCESS_KEY, SECRET_KEY) if not values.get(name)]
        if missing:
            raise ConfigError(f"an s3:// address needs {' and '.join(missing)} in the environment; set them, or use a folder.")
        endpoint = _endpoint(values[ENDPOINT])
        return cls(
            host=endpoint.netloc,
            access_key=values[ACCESS_KEY],
            secret_key=values[SECRET_KEY],
            secure=endpoint.scheme == "https" or (not endpoint.scheme and values.get(SECURE) == "1"),
            region=values.get(REGION) or DEFAULT_REGION,
            deadline_s=_seconds(values.get(DEADLINE) or "90"),
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


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{DEADLINE} must be a number of seconds above 0, got {value[:40]!r}; correct it.")
    return seconds
