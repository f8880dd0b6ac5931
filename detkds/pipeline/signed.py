"""Python objects passed between the processes of one job, signed so that nothing else is ever unpickled.

Whoever can unpickle runs code. The port of the job's key-value store is open to whatever reaches it, with or without a network policy, but
only the pods of the job have the secret key of the object store.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import pickle
from typing import Any

from detkds.errors import ConfigError, Interrupted
from detkds.storage.s3_settings import SECRET_KEY

_MAC = hashlib.sha256
_SIZE = _MAC().digest_size


def sign(place: str, value: Any) -> bytes:
    """A picklable value as bytes for the key `place`; at another key they are refused.

    Raises:
        ConfigError: this process has no secret key.
    """
    content = pickle.dumps(value)
    return _signature(place, content) + content


def verified(place: str, signed: bytes) -> Any:
    """The value of what `sign` made for `place`.

    Raises:
        Interrupted: another process made it, or it was altered.
        ConfigError: this process has no secret key.
    """
    signature, content = signed[:_SIZE], signed[_SIZE:]
    if not hmac.compare_digest(signature, _signature(place, content)):
        raise Interrupted(
            f"{place} in the job's store was not written by a process of this job; the search resumes from its journal: run again."
        )
    return pickle.loads(content)


def _signature(place: str, content: bytes) -> bytes:
    secret = os.environ.get(SECRET_KEY, "")
    if not secret:
        raise ConfigError(f"a search on several nodes signs its messages with {SECRET_KEY}, which is not set; set it on every node.")
    key = _MAC(b"detkds node messages\0" + secret.encode()).digest()
    return hmac.digest(key, place.encode() + b"\0" + content, "sha256")
