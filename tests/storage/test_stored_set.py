"""What is known of a data set in a store, and what is refused of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from detkds.errors import ArtifactError, DatasetError
from detkds.storage import FileEntry, Manifest, Store
from detkds.storage.stored_set import StoredSet


def index(store: Store, files: dict[str, FileEntry]) -> None:
    store.put_bytes(Manifest("dataset", files, {}).to_text().encode(), "manifest.json")


def entry(data: bytes) -> FileEntry:
    return FileEntry(len(data), hashlib.sha256(data).hexdigest())


@pytest.fixture
def images(store: Store) -> Store:
    for name, data in (("train/a.jpg", b"a"), ("train/sub/b.jpg", b"bb"), ("test/a.jpg", b"a")):
        store.put_bytes(data, name)
    return store


def test_names_are_found_as_people_write_them(images: Store) -> None:
    stored = StoredSet(f"{images.uri()}/")
    for folder, name in (("train", "sub/b.jpg"), ("./train/", "sub/b.jpg"), ("", "train/sub/b.jpg"), ("test/../train", "./sub/b.jpg")):
        found = stored.file(folder, name)
        assert found is not None
        assert found.name == "train/sub/b.jpg"
    for folder, name in (("train", "b.jpg"), ("..", "train/a.jpg"), ("train", "../../train/a.jpg"), ("/train", "a.jpg")):
        assert stored.file(folder, name) is None


def test_without_an_index_tags_tell_what_is_the_same(images: Store) -> None:
    stored = StoredSet(images.uri())
    assert not stored.indexed
    one, other = stored.file("train", "a.jpg"), stored.file("test", "a.jpg")
    assert one is not None
    assert other is not None
    assert (one.sha256, one.size, stored.read(one)) == (None, 1, b"a")
    assert one.content == other.content


def test_missing_images_are_counted(images: Store) -> None:
    with pytest.raises(DatasetError, match=r"2 of 3 images are not in s3://tests/\w+/train, first 'c\.jpg'; push the set again"):
        StoredSet(images.uri()).files("train", ["a.jpg", "c.jpg", "d.jpg"])


@pytest.mark.parametrize("data", [b"aa", b"", b"x"], ids=["longer", "shorter", "other"])
def test_an_object_that_is_not_what_the_index_says_is_refused(images: Store, data: bytes) -> None:
    index(images, {"train/a.jpg": entry(b"a")})
    stored = StoredSet(images.uri())
    (found,) = stored.files("train", ["a.jpg"]).values()
    images.put_bytes(data, "train/a.jpg")
    with pytest.raises(ArtifactError, match=r"/train/a\.jpg must have (at most 1 bytes|1 bytes with sha256 ca978112ca1b, got)"):
        stored.read(found)


def test_an_annotation_file_is_fetched_alone_and_checked(images: Store, tmp_path: Path) -> None:
    index(images, {"train/a.jpg": entry(b"a"), "train/sub/b.jpg": entry(b"bb")})
    stored = StoredSet(images.uri())
    assert stored.fetch("train/a.jpg", tmp_path).read_bytes() == b"a"
    images.put_bytes(b"xx", "train/sub/b.jpg")
    with pytest.raises(
        ArtifactError, match=r"/train/sub/b\.jpg must have 2 bytes with sha256 \w{12}, got 2 bytes with \w{12}; push the set"
    ):
        stored.fetch("train/sub/b.jpg", tmp_path)
    with pytest.raises(ArtifactError, match=r"/none\.json does not exist; correct the name"):
        stored.fetch("none.json", tmp_path)


@pytest.mark.parametrize("digest", ["../../../etc/passwd", "A" * 64, "0" * 63, ""])
def test_a_hostile_checksum_is_refused(images: Store, digest: str) -> None:
    """It would be the name of a file in the cache."""
    index(images, {"train/a.jpg": FileEntry(1, digest)})
    with pytest.raises(ArtifactError, match=r"manifest\.json must have a sha256 for 'train/a\.jpg', got"):
        StoredSet(images.uri())


@pytest.mark.parametrize("name", ["../up.jpg", "/etc/passwd", "a/../../b", "a\\b", "a\nb", ""])
def test_a_hostile_name_is_refused(images: Store, name: str) -> None:
    index(images, {name: entry(b"a")})
    with pytest.raises(ArtifactError, match="a stored name must be a relative path"):
        StoredSet(images.uri())


def test_a_damaged_index_is_refused(images: Store) -> None:
    index(images, {"train/a.jpg": entry(b"a")})
    images.put_bytes(images.get_bytes("manifest.json").replace(b"train", b"trail"), "manifest.json")
    with pytest.raises(ArtifactError, match=r"manifest\.json must have the content of sha256"):
        StoredSet(images.uri())


def test_nothing_there(store: Store) -> None:
    with pytest.raises(ArtifactError, match=r"s3://tests/\w+ does not exist; correct the address, or put the data set there"):
        StoredSet(store.uri())
