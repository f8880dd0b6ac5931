"""A data set in a store: the subset stage moves no image, a later stage only those of its part."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from detkds.data.coco import load
from detkds.errors import ArtifactError, ConfigError, DatasetError
from detkds.pipeline import subset as stage
from detkds.pipeline.data_set import data_set
from detkds.pipeline.settings import Source
from detkds.storage import Store, image_cache, open_store, verify
from detkds.storage.push import push
from detkds.storage.s3 import S3Store
from detkds.storage.server import EmbeddedServer
from detkds.storage.set_files import set_files


@pytest.fixture
def store(s3_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    for name, value in {**s3_server.environment(), "DETKDS_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    store = open_store(f"s3://stages/{secrets.token_hex(6)}")
    store.ensure_bucket()
    yield store
    for view in list(image_cache._views):
        image_cache.release(view)


@pytest.fixture
def stored(store: Store, source: Source, pictures: Path) -> Source:
    put(pictures, store)
    return replace(source, root=store.uri())


@pytest.fixture
def got(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that were read, without what only tells what is there."""
    keys: list[str] = []
    get_bytes, get_file = S3Store.get_bytes, S3Store.get_file

    def note(key: str) -> None:
        if not key.endswith("manifest.json"):
            keys.append("/".join(key.split("/")[-2:]))

    monkeypatch.setattr(S3Store, "get_bytes", lambda self, key, limit=None: (note(key), get_bytes(self, key, limit))[1])
    monkeypatch.setattr(S3Store, "get_file", lambda self, key, path: (note(key), get_file(self, key, path))[1])
    return keys


def put(folder: Path, store: Store) -> None:
    push(folder, set_files(folder), store, lambda meter, tenth: None)


def draw(source: Source, out: Path) -> Path:
    stage.run(source, fraction=0.5, val_fraction=0.25, seed=0, out=out)
    return out


def names(annotations: Path) -> list[str]:
    return [image["file_name"] for image in json.loads(annotations.read_text())["images"]]


def test_the_subset_stage_fetches_annotations_alone_and_draws_as_from_a_folder(
    source: Source, stored: Source, tmp_path: Path, got: list[str]
) -> None:
    out = draw(stored, tmp_path / "stored")
    assert sorted(got) == ["annotations/test.json", "annotations/train.json"]
    here = draw(source, tmp_path / "here")
    parts = ("train.json", "search_train.json", "search_val.json", "test.json")
    assert [verify(out).files[name] for name in parts] == [verify(here).files[name] for name in parts]
    assert json.loads((out / "summary.json").read_text())["content"]["compared_by"] == "the sha256 of the set's index"


def test_a_part_brings_its_own_images_once(stored: Source, pictures: Path, tmp_path: Path, got: list[str]) -> None:
    out = draw(stored, tmp_path / "out")
    got.clear()
    part = stage.part(out, "search_train")
    assert got == []  # until they are asked for
    assert {path.name: path.read_bytes() for path in part.images.iterdir()} == {
        name: (pictures / "train" / name).read_bytes() for name in names(part.annotations)
    }
    assert len(load(part.annotations, part.images)["images"]) == 6
    assert sorted(got) == sorted(f"train/{name}" for name in names(part.annotations))
    assert len(list(stage.part(out, "train").images.iterdir())) == 12
    assert len(got) == 12


def test_a_part_that_the_cache_cannot_hold(stored: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = draw(stored, tmp_path / "out")
    monkeypatch.setenv("DETKDS_CACHE_GB", "0.000001")
    with pytest.raises(
        ConfigError, match=r"the images of s3://stages/\w+/train have .* DETKDS_CACHE_GB .* set it to at least 0\.1, or put"
    ):
        _ = stage.part(out, "train").images


def test_a_set_copied_there_by_another_tool(source: Source, store: Store, pictures: Path, tmp_path: Path) -> None:
    for path in sorted(pictures.rglob("*.*")):
        store.put_file(path, path.relative_to(pictures).as_posix())
    out = draw(replace(source, root=store.uri()), tmp_path / "out")
    assert "tags" in json.loads((out / "summary.json").read_text())["content"]["compared_by"]
    part = stage.part(out, "test")
    assert sorted(path.name for path in part.images.iterdir()) == sorted(names(part.annotations))


@pytest.mark.parametrize("indexed", [True, False], ids=["index", "tags"])
def test_an_image_in_train_and_test_is_found_without_being_fetched(
    source: Source, store: Store, pictures: Path, tmp_path: Path, indexed: bool
) -> None:
    root = tmp_path / "leaky"
    shutil.copytree(pictures, root)
    shutil.copy(next((root / "train").iterdir()), next((root / "test").iterdir()))
    put(root, store)
    if not indexed:
        store.delete("manifest.json")
    with pytest.raises(DatasetError, match=r"but 1 are in both, first test/\S+, which has the content of train/\S+; remove them from"):
        draw(replace(source, root=store.uri()), tmp_path / "out")


def test_an_image_that_is_not_there_is_named_by_the_subset_stage(source: Source, store: Store, pictures: Path, tmp_path: Path) -> None:
    root = tmp_path / "short"
    shutil.copytree(pictures, root)
    (root / "train" / names(root / "annotations" / "train.json")[4]).unlink()
    put(root, store)
    with pytest.raises(DatasetError, match=r"1 of 12 images are not in s3://stages/\w+/train, first"):
        draw(replace(source, root=store.uri()), tmp_path / "out")


def _pushed_again(root: Path, store: Store, name: str) -> None:
    put(root, store)


def _damaged(root: Path, store: Store, name: str) -> None:
    store.put_bytes(b"spoilt", f"train/{name}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_pushed_again, r"images of s3://stages/\w+/train changed since .*train\.json was drawn; run the subset stage again"),
        (_damaged, r"/train/\S+ must have \d+ bytes with sha256 \w{12}, got 6 bytes with \w{12}; push the set again"),
    ],
)
def test_an_image_that_changed_is_refused(
    stored: Source, store: Store, pictures: Path, tmp_path: Path, change: Callable[[Path, Store, str], None], said: str
) -> None:
    out = draw(stored, tmp_path / "out")
    root = tmp_path / "changed"
    shutil.copytree(pictures, root)
    name = names(out / "train.json")[0]
    (root / "train" / name).write_bytes(b"another")
    change(root, store, name)
    with pytest.raises(ArtifactError, match=said):
        _ = stage.part(out, "train").images
    assert stage.part(out, "test").images.is_dir()


def test_a_folder_is_read_in_place(pictures: Path) -> None:
    place = data_set(str(pictures))
    assert place.images("train", ["any.jpg"]) == place.in_place("train") == pictures / "train"
    with pytest.raises(ArtifactError, match="none does not exist; correct the path"):
        data_set(str(pictures / "none"))
