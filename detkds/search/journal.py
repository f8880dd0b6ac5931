"""Journal: the append-only, checksummed record of a study. One JSON line a record.

A line is `{"seq":n,"kind":...,...,"sha256":"..."}`. The checksum covers the line before it and this line's bytes, so no earlier line can be
altered, lost, doubled or moved unseen. Nothing that differs between two runs of one study, such as the time, is written here.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from detkds.errors import ArtifactError
from detkds.genome.genome import sha256
from detkds.search.lock import StudyLock

SCHEMA = "detkds.journal/1"
TIMINGS = "timings.jsonl"
"""Beside a journal: how long its trials took. Not in the journal, which is the same for every run of one study."""
_SEAL = ',"sha256":"{}"}}'
_SEAL_LENGTH = len(_SEAL.format("0" * 64))
_CLOSED = -1


@dataclass(frozen=True)
class Record:
    """One line of a journal.

    Args:
        seq: from 0; the line number is one more.
        kind: "study" (the header), "start" or "end".
        fields: the rest.
    """

    seq: int
    kind: str
    fields: Mapping[str, Any]


class Journal:
    """A study's journal, open for appending, held by this process alone. A context manager.

    A torn last line, left by a crash, is cut off.

    Args:
        path: the file; it and its folder are made where absent.
        settings: what defines the study, as JSON values; written into the header, or compared with it.

    Raises:
        StudyHeldError: another process holds the study.
        ArtifactError: a line is damaged, the settings differ from the header's, or the file cannot be written.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = Path(path)
        # As they will be read back: JSON has no tuples, and a difference from the header means that another search wrote it.
        self.settings: dict[str, Any] = json.loads(json.dumps(settings, allow_nan=False))
        self._fd = _CLOSED
        with _writing(self.path), contextlib.ExitStack() as opened:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = StudyLock(self.path)
            opened.callback(lock.release)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            opened.callback(os.close, self._fd)
            self.records = self._recover()
            self._opened = opened.pop_all()

    def _recover(self) -> list[Record]:
        """Read the existing records, cut off an incomplete last line, and check that the header is that of this study."""
        records, self._last_sha256, self._size = _read(self.path)
        if self._size < self.path.stat().st_size:
            self._cut()
        if records:
            _check_settings(self.path, records[0].fields["settings"], self.settings)
            return records
        header = self._write(0, "study", {"schema": SCHEMA, "settings": self.settings})
        # A new file survives a power cut only if the entry in its folder is on the disk as well.
        _sync_folder(self.path.parent)
        return [header]

    def append(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Append a record and wait until it is on the disk.

        Raises:
            ArtifactError: it could not be written, for example because the disk is full; the journal ends with the record before it.
        """
        if self._fd == _CLOSED:
            raise ArtifactError(f"the journal {self.path} is closed; open it again to continue.")
        try:
            with _writing(self.path):
                self.records.append(self._write(len(self.records), kind, fields))
        except ArtifactError:
            self.close()  # later records would refer to a trial that has none
            raise

    def _write(self, seq: int, kind: str, fields: Mapping[str, Any]) -> Record:
        line, digest = _encode(seq, kind, fields, self._last_sha256)
        try:
            _write_all(self._fd, line)
        except OSError:
            with contextlib.suppress(OSError):  # what cannot be cut now is a torn line when the journal is opened again
                self._cut()
            raise
        self._last_sha256, self._size = digest, self._size + len(line)
        return Record(seq, kind, fields)

    def _cut(self) -> None:
        os.ftruncate(self._fd, self._size)
        os.fsync(self._fd)

    def note_time(self, number: int, seconds: float) -> None:
        """Add how long a trial took to timings.jsonl beside the journal. Best effort: the study does not depend on it."""
        line = json.dumps({"number": number, "seconds": round(seconds, 3)}) + "\n"
        with contextlib.suppress(OSError), self.path.with_name(TIMINGS).open("a") as file:
            file.write(line)

    def timings(self) -> dict[int, float]:
        """Seconds that trials took, by number, as far as `note_time` could record them."""
        return timings(self.path.with_name(TIMINGS))

    def close(self) -> None:
        """Close the file and let go of the study."""
        if self._fd != _CLOSED:
            self._fd = _CLOSED
            self._opened.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


def read(path: Path) -> list[Record]:
    """All records of a journal, the header first, without holding the study; a torn last line is passed over.

    Raises:
        ArtifactError: the file is missing, or a line is damaged; the message names file and line.
    """
    try:
        records, _, _ = _read(path)
    except OSError as error:
        raise ArtifactError(f"the journal {path} cannot be read: {error.strerror}.") from error
    if not records:
        raise ArtifactError(f"the journal {path} is empty: it has no header; run its search again.")
    return records


def timings(source: Path | bytes) -> dict[int, float]:
    """Seconds that trials took, by number, from a timings.jsonl or its content; empty where there is none.

    A line that cannot be read is skipped: times are recorded as well as possible, and the last line may still be half written.
    """
    data = source if isinstance(source, bytes) else source.read_bytes() if source.is_file() else b""
    seconds = {}
    for line in data.split(b"\n"):
        with contextlib.suppress(ValueError, LookupError, TypeError):
            entry = json.loads(line)
            seconds[int(entry["number"])] = float(entry["seconds"])
    return seconds


def _read(path: Path) -> tuple[list[Record], str, int]:
    """The records, the last checksum, and the length of the sound lines in bytes."""
    *lines, torn = (data := path.read_bytes()).split(b"\n")
    records: list[Record] = []
    digest = ""
    for seq, line in enumerate(lines):
        try:
            record, digest = _decode(line, seq, digest)
        except ValueError as error:
            raise ArtifactError(
                f"{path}, line {seq + 1}: {error}; restore the file from a copy, or delete it to start the study again."
            ) from None
        records.append(record)
    return records, digest, len(data) - len(torn)


def _encode(seq: int, kind: str, fields: Mapping[str, Any], previous: str) -> tuple[bytes, str]:
    body = json.dumps({"seq": seq, "kind": kind, **fields}, allow_nan=False, separators=(",", ":"))
    digest = sha256(previous + body)
    return (body[:-1] + _SEAL.format(digest) + "\n").encode(), digest


def _decode(line: bytes, seq: int, previous: str) -> tuple[Record, str]:
    """Read one line.

    Raises:
        ValueError: it is not what `_encode` wrote.
    """
    text = line.decode("ascii", errors="replace")
    body = text[:-_SEAL_LENGTH] + "}"
    digest = sha256(previous + body)
    if text != body[:-1] + _SEAL.format(digest):
        raise ValueError(f"the record was altered, for its sha256 is {digest}, not the one it carries")
    fields = json.loads(body)
    number, kind = fields.pop("seq"), fields.pop("kind")
    if number != seq or (kind == "study") != (seq == 0):
        raise ValueError(f"the record is out of place: record {number}, {kind}")
    if kind == "study" and fields.get("schema") != SCHEMA:
        raise ValueError(f"the schema is {fields.get('schema')!r}, this version reads {SCHEMA!r}")
    return Record(number, kind, fields), digest


def _check_settings(path: Path, written: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    missing = "absent"
    keys = [key for key in sorted({*written, *given}) if written.get(key, missing) != given.get(key, missing)]
    if keys:
        faults = ", ".join(f"{key} is {written.get(key, missing)!r} there and {given.get(key, missing)!r} now" for key in keys)
        raise ArtifactError(f"the journal {path} belongs to another study: {faults}; use another folder, or the same settings.")


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
    os.fsync(fd)


def _sync_folder(folder: Path) -> None:
    """Make a new file's name as durable as its content."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal into one line with a remedy."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArtifactError(f"the journal {path} cannot be written: {reason}; make room or give access, then start again.") from error
