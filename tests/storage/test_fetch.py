"""What an address names comes to this machine once, and is checked each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from detkds.errors import ArtifactError, ConfigError, StoreError
from detkds.storage import FileEntry, Manifest, Store, fetch
from detkds.storage.fetch import fingerprint
from detkds.storage.s3 import S3Store


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the objects that were downloaded to files."""
    keys: list[str] = []
    real = S3Store.get_file

    def get_file(self: S3Store, key: str, path: Path) -> None:
        keys.append(key)
        real(self, key, path)

    monkeypatch.setattr(S3Store, "get_file", get_file)
    return keys


def test_a_local_path_is_returned_as_it_is(tmp_path: Path, cache: Path) -> None:
    assert fetch(str(tmp_path), cache) == tmp_path
    with pytest.raises(ArtifactError, match="none does not exist; correct the path"):
        fetch(str(tmp_path / "none"), cache)
    assert not cache.exists()


def test_a_single_object_is_downloaded_once_and_again_when_it_changed(store: Store, cache: Path, sent: list[str]) -> None:
    store.put_bytes(b"weights", "models/teacher.pth")
    first = fetch(store.uri("models/teacher.pth"), cache)
    assert (first.name, first.read_bytes()) == ("teacher.pth", b"weights")
    assert fetch(store.uri("models/teacher.pth"), cache) == first
    assert len(sent) == 1
    first.write_bytes(b"spoilt")
    assert fetch(store.uri("models/teacher.pth"), cache).read_bytes() == b"weights"
    store.put_bytes(b"better!", "models/teacher.pth")
    assert fetch(store.uri("models/teacher.pth"), cache).read_bytes() == b"better!"
    assert len(sent) == 3


def test_an_object_that_changes_meanwhile_is_refused_and_not_kept(store: Store, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put_bytes(b"weights", "teacher.pth")
    real = S3Store.get_file

    def get_file(self: S3Store, key: str, path: Path) -> None:
        store.put_bytes(b"longer weights", "teacher.pth")
        real(self, key, path)

    monkeypatch.setattr(S3Store, "get_file", get_file)
    with pytest.raises(ArtifactError, match=r"/teacher\.pth must have 7 bytes, got 14; it changed meanwhile"):
        fetch(store.uri("teacher.pth"), cache)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_a_folder_is_not_fetched(store: Store, cache: Path) -> None:
    store.put_bytes(b"weights", "models/teacher.pth")
    with pytest.raises(ArtifactError, match="models is a folder; name a file in it"):
        fetch(store.uri("models"), cache)


def test_the_fingerprint_changes_with_what_is_there(store: Store) -> None:
    store.put_bytes(b"1", "set/a.jpg")
    seen = [fingerprint(store.uri("set"))]
    store.put_bytes(b"2", "set/a.jpg")
    seen.append(fingerprint(store.uri("set")))
    assert fingerprint(store.uri("set")) == seen[1]
    store.put_bytes(Manifest("dataset", {"a.jpg": FileEntry(1, "0" * 64)}, {}).to_text().encode(), "set/manifest.json")
    seen.append(fingerprint(store.uri("set")))
    assert len(set(seen)) == 3
    assert fingerprint(store.uri("set/a.jpg")) == seen[1]
    with pytest.raises(ArtifactError, match="none does not exist"):
        fingerprint(store.uri("none"))


def test_nothing_there(store: Store, cache: Path, environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArtifactError, match=r"s3://tests/.*/none does not exist; correct the address"):
        fetch(store.uri("none"), cache)
    with pytest.raises(ConfigError, match="s3://tests is a whole bucket"):
        fetch("s3://tests", cache)
    with pytest.raises(StoreError, match="NoSuchBucket"):
        fetch("s3://no-such-bucket/k", cache)
    with pytest.raises(ArtifactError, match="a stored name must be a relative path"):
        fetch("s3://tests/../up", cache)
