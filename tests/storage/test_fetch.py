"""What an address names comes to this machine once, and is checked each time."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from detkds.errors import ArtifactError, ConfigError, StoreError
from detkds.storage import Store, fetch
from detkds.storage.s3 import S3Store


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "set" / "train").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "set" / "train" / f"{number}.jpg").write_bytes(secrets.token_bytes(100))
    return tmp_path / "set"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.jpg")}


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


def test_a_stored_folder_is_downloaded_once(store: Store, data: Path, cache: Path, sent: list[str]) -> None:
    store.put_tree(data, "set")
    first = fetch(store.uri("set"), cache)
    assert files(first) == files(data)
    assert len(sent) == 3
    assert fetch(store.uri("set") + "/", cache) == first
    assert len(sent) == 3


def test_a_changed_folder_is_downloaded_again(store: Store, data: Path, cache: Path) -> None:
    store.put_tree(data, "set")
    first = fetch(store.uri("set"), cache)
    before = files(data)
    (data / "train" / "0.jpg").write_bytes(b"another")
    store.put_tree(data, "set")
    second = fetch(store.uri("set"), cache)
    assert second != first
    assert files(second) == files(data)
    assert files(first) == before


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"spoilt"), Path.unlink], ids=["altered", "lost"])
def test_a_damaged_copy_is_downloaded_again(store: Store, data: Path, cache: Path, sent: list[str], spoil) -> None:  # type: ignore[no-untyped-def]
    store.put_tree(data, "set")
    first = fetch(store.uri("set"), cache)
    spoil(first / "train" / "1.jpg")
    assert fetch(store.uri("set"), cache) == first
    assert files(first) == files(data)
    assert len(sent) == 6


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


def test_a_folder_copied_there_by_another_tool(store: Store, data: Path, cache: Path, sent: list[str]) -> None:
    for path in sorted(data.rglob("*.jpg")):
        store.put_file(path, f"set/{path.relative_to(data)}")
    first = fetch(store.uri("set"), cache)
    assert files(first / "train") == files(data)
    assert fetch(store.uri("set"), cache) == first
    assert len(sent) == 3


def test_a_damaged_object_is_refused_and_not_kept(store: Store, data: Path, cache: Path) -> None:
    store.put_tree(data, "set")
    store.put_bytes(b"spoilt", "set/train/1.jpg")
    with pytest.raises(ArtifactError, match=r"artifact s3://tests/.*/set: file 'train/1\.jpg' must have 100 bytes with sha256"):
        fetch(store.uri("set"), cache)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_nothing_there(store: Store, cache: Path, environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArtifactError, match=r"s3://tests/.*/none does not exist; correct the address"):
        fetch(store.uri("none"), cache)
    with pytest.raises(ConfigError, match="s3://tests is a whole bucket"):
        fetch("s3://tests", cache)
    with pytest.raises(StoreError, match="NoSuchBucket"):
        fetch("s3://no-such-bucket/k", cache)
    with pytest.raises(ArtifactError, match="a stored name must be a relative path"):
        fetch("s3://tests/../up", cache)
