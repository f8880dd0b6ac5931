"""Lease: one process at a time works at a place of a store. A dead one's lease runs out by itself."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import threading
import time
from types import TracebackType
from typing import Any

from detkds.errors import ArtifactError, ConfigError, StoreError, StudyHeldError
from detkds.storage.store import Store

LEASE_S = "DETKDS_LEASE_S"
DEFAULT_S = 60.0
_BEATS = 4
"""How often a holder says within the lease's time that it lives."""


class Lease:
    """`with Lease(store, "evolve-global-1f/lease.json") as lease:` the block runs only where no other living process holds the lease.

    The lease is an object that names its holder, who rewrites it four times in `seconds`. A waiting process takes the lease over if it
    stays unchanged for `seconds` by its own clock. A holder counts as alive once its lease was seen to change twice; one change may be
    the last renewal of a killed process that arrived late. So a killed process is replaced after about `seconds`, and one that ended
    properly at once. No two clocks are compared.

    Where the store knows conditional writes (Amazon, MinIO, SeaweedFS), only one of several that start together gets the lease. Where it
    does not, the one that is overwritten sees it at its next beat, and `confirm` ends it.

    Args:
        store: where the lease lies.
        key: of the lease's object.
        seconds: see above; 0 takes DETKDS_LEASE_S from the environment, or 60.

    Raises:
        StudyHeldError: a living process holds the lease; the message names it.
        StoreError: the store cannot be reached or refuses.
    """

    def __init__(self, store: Store, key: str, *, seconds: float = 0.0) -> None:
        self._store, self._key = store, key
        self._seconds = seconds or _seconds_of_environment()
        self._holder = secrets.token_hex(8)
        self._beats = 0
        self._tag: str | None = None
        self._beaten = 0.0
        self._lost = ""
        self._beating = threading.Lock()
        self._left = threading.Event()

    def __enter__(self) -> Lease:
        self._acquire()
        threading.Thread(target=self._live, name="detkds-lease", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._left.set()
        # With the store away there is nothing to give back to: the lease runs out.
        if not self._lost and not isinstance(error, StoreError):
            with contextlib.suppress(StoreError), self._beating:
                self._store.delete(self._key)

    def confirm(self) -> None:
        """Return only while the lease is held for certain.

        Raises:
            StudyHeldError: another process took it over, because this one was silent for too long.
            StoreError: the store cannot be asked.
        """
        if time.monotonic() - self._beaten > self._seconds:
            self._beat()
        if self._lost:
            place = self._store.uri(self._key)
            raise StudyHeldError(
                f"{place} was taken over by {self._lost}, for this process was silent for {self._seconds:g} s; let it work."
            )

    def _acquire(self) -> None:
        watched, since, changes = "", 0.0, 0
        while self._tag is None:
            asked = time.monotonic()
            tag, other = self._look()
            now = time.monotonic()
            if tag is None or other["holder"] == self._holder:
                self._write(tag)
            elif watched and tag != watched and (changes := changes + 1) > 1:
                raise StudyHeldError(f"{self._store.uri(self._key)} is held by {other['process']}; wait for it to end, or stop it.")
            elif tag != watched or now - asked > other["seconds"] / _BEATS:
                watched, since = tag, now  # a slow read means an outage, in which the holder could not renew either
            elif now - since > other["seconds"]:
                self._write(tag)
            else:
                time.sleep(min(1.0, other["seconds"] / 20))

    def _live(self) -> None:
        while not self._left.wait(self._seconds / _BEATS):
            with contextlib.suppress(StoreError):  # `confirm` checks again when it matters
                self._beat()

    def _beat(self) -> None:
        with self._beating:
            if self._left.is_set() or self._lost:
                return
            if not self._write(self._tag):
                tag, other = self._look()
                # Ours if the response to a renewal was lost; none if somebody deleted it.
                if not ((tag is None or other["holder"] == self._holder) and self._write(tag)):
                    self._lost = str(other.get("process", "another process"))

    def _write(self, expected: str | None) -> bool:
        """Put our name into the object whose tag is `expected`; False where it is another by now."""
        began = time.monotonic()
        self._beats += 1
        process = f"process {os.getpid()} on {platform.node()}"
        lease = {"holder": self._holder, "process": process, "seconds": self._seconds, "beats": self._beats}
        tag = self._store.exchange(json.dumps(lease).encode(), self._key, expected)
        if tag is not None:
            self._tag, self._beaten = tag, began
        return tag is not None

    def _look(self) -> tuple[str | None, dict[str, Any]]:
        """Tag and content of the object; None where there is none."""
        found = self._store.stat(self._key)
        if found is None:
            return None, {}
        try:
            lease = json.loads(self._store.get_bytes(self._key))
            return found.etag, {"holder": lease["holder"], "process": lease["process"], "seconds": float(lease["seconds"])}
        except ArtifactError:
            return None, {}  # given back meanwhile
        except (ValueError, LookupError, TypeError):
            return found.etag, {"holder": "", "process": "a file that is not a lease", "seconds": self._seconds}


def _seconds_of_environment() -> float:
    value = os.environ.get(LEASE_S) or str(DEFAULT_S)
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise ConfigError(f"{LEASE_S} must be a number of seconds above 0 and at most 3600, got {value[:40]!r}; correct it.")
    return seconds
