"""Digests of many files: they follow the content, and nothing is read twice."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from detkds.errors import ArtifactError
from detkds.storage import content_digests
from detkds.storage.content_digests import ContentDigests


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files, and a clock by which they were written long ago."""
    (tmp_path / "set" / "a").mkdir(parents=True)
    for name in ("a/1.png", "a/2.png"):
        (tmp_path / "set" / name).write_bytes(name.encode())
    later = time.time_ns() + 60_000_000_000
    monkeypatch.setattr(content_digests.time, "time_ns", lambda: later)
    return tmp_path / "set"


def digest(root: Path) -> str:
    return ContentDigests(root, root.parent / "cache").digest(["a/1.png", "a/2.png"])


def test_the_digest_follows_content_and_names(files: Path) -> None:
    before = digest(files)
    assert digest(files) == before
    assert ContentDigests(files, files.parent / "other").digest(["a/2.png", "a/1.png"]) == before
    assert ContentDigests(files, files.parent / "other").digest_of_folder("a") == before
    (files / "a/2.png").rename(files / "a/3.png")
    assert ContentDigests(files, files.parent / "cache").digest(["a/1.png", "a/3.png"]) != before


def test_a_change_of_equal_length_with_the_old_time_is_seen(files: Path) -> None:
    """As `cp -p` or an archive tool makes it."""
    before, times = digest(files), (files / "a/1.png").stat()
    (files / "a/1.png").write_bytes(b"other!!")
    os.utime(files / "a/1.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (files / "a/1.png").stat().st_size == times.st_size
    assert digest(files) != before


def test_nothing_is_read_twice(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(files)
    monkeypatch.setattr(content_digests.hashlib, "file_digest", lambda *_: pytest.fail("a file was read again"))
    assert digest(files) == before


def test_files_that_changed_just_now_are_read_again(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within one tick of the clock a second change would leave no trace."""
    monkeypatch.undo()
    digest(files)
    reads = []
    real = content_digests.hashlib.file_digest
    monkeypatch.setattr(content_digests.hashlib, "file_digest", lambda *given: reads.append(1) or real(*given))
    digest(files)
    assert len(reads) == 2


def test_a_damaged_cache_costs_time_only(files: Path) -> None:
    before = digest(files)
    for kept in (files.parent / "cache").iterdir():
        kept.write_text("{")
    assert digest(files) == before


def test_a_missing_file_is_one_line(files: Path) -> None:
    with pytest.raises(ArtifactError, match=r"a/4.png must be readable, got: No such file or directory; put it back"):
        ContentDigests(files, files.parent / "cache").digest(["a/4.png"])
