"""`detkds data load` against a real store: what it brings, what it leaves, what it refuses."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from detkds.cli import main
from detkds.errors import ArtifactError, ConfigError
from detkds.pipeline.data_load import RECORD, data_load
from detkds.storage.push import MARK, push
from detkds.storage.set_files import set_files
from detkds.storage.store import Store
from detkds.storage.uri import open_store

if TYPE_CHECKING:
    from detkds.storage.server import EmbeddedServer

FILES = {"annotations/train.json": b"{}", "train/a.jpg": b"aaaa", "train/b.jpg": b"bb"}
SOURCE = "s3://loaded/sets/tiny"


@pytest.fixture
def store(s3_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A bucket with a data set and, beside it, another."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    store = open_store("s3://loaded")
    store.ensure_bucket()
    for name, content in FILES.items():
        store.put_bytes(content, f"sets/tiny/{name}")
    store.put_bytes(b"other", "sets/tiny-2/x.jpg")
    yield store
    for entry in store.list():
        store.delete(entry.key)


def loaded(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != RECORD}


def load(folder: Path) -> str:
    console = Console(file=io.StringIO(), width=200)
    data_load(SOURCE, folder, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_file_arrives_and_only_once(store: Store, tmp_path: Path) -> None:
    assert "3 files, 0 here, 3 to bring" in load(tmp_path / "data")
    assert loaded(tmp_path / "data") == FILES
    assert load(tmp_path / "data") == "3 files, 3 here, 0 to bring (0 MB), compared by size, for the set has no index\n"


def test_what_is_missing_torn_or_changed_is_brought_again(store: Store, tmp_path: Path) -> None:
    load(tmp_path)
    (tmp_path / "train" / "a.jpg").unlink()
    (tmp_path / "train" / "b.jpg").write_bytes(b"b")
    store.put_bytes(b"[]", "sets/tiny/annotations/train.json")  # of the same size
    assert "0 here, 3 to bring" in load(tmp_path)
    assert loaded(tmp_path) == {**FILES, "annotations/train.json": b"[]"}


@pytest.mark.parametrize("record", ["{", "[]"])
def test_a_broken_record_costs_only_time(store: Store, tmp_path: Path, record: str) -> None:
    load(tmp_path)
    (tmp_path / RECORD).write_text(record)
    assert "0 here, 3 to bring" in load(tmp_path)
    assert loaded(tmp_path) == FILES


@pytest.fixture
def pushed(store: Store, tmp_path: Path) -> Store:
    """The set's address, with what a push leaves there: the files, an index, and beside them a stranger that was there before."""
    folder = tmp_path / "pushed"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    store.put_bytes(b"old", "sets/tiny/train/old.jpg")
    place = open_store(SOURCE)
    push(folder, set_files(folder), place, lambda meter, tenth: None)
    return place


def test_a_pushed_set_is_what_its_index_says(pushed: Store, tmp_path: Path) -> None:
    assert "3 files, 0 here, 3 to bring (0 MB), compared by sha256\n" in load(tmp_path / "data")
    assert loaded(tmp_path / "data") == FILES
    assert "3 here" in load(tmp_path / "data")


def test_a_set_whose_push_is_not_finished_is_refused(pushed: Store, tmp_path: Path) -> None:
    pushed.put_bytes(b"", MARK)
    pushed.delete("manifest.json")
    with pytest.raises(
        ArtifactError, match=f"^{SOURCE} is not whole: a push to it was not finished; run `detkds data push` again"
    ) as error:
        load(tmp_path / "data")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("damaged", [b"aaab", b"aaa", b"aaaaa"], ids=["other", "shorter", "longer"])
def test_a_file_that_is_not_what_was_pushed_is_named_and_not_there(pushed: Store, tmp_path: Path, damaged: bytes) -> None:
    pushed.put_bytes(damaged, "train/a.jpg")
    with pytest.raises(ArtifactError, match=f"^{SOURCE}/train/a.jpg must have 4 bytes with sha256 ") as error:
        load(tmp_path / "data")
    assert "\n" not in str(error.value)
    assert "train/a.jpg" not in loaded(tmp_path / "data")
    assert not list((tmp_path / "data" / "train").glob(".*"))
    pushed.put_bytes(FILES["train/a.jpg"], "train/a.jpg")
    load(tmp_path / "data")
    assert loaded(tmp_path / "data") == FILES


def test_an_address_without_files_and_a_whole_bucket_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist; correct the address, or put the data set there"):
        data_load("s3://loaded/nosuch", tmp_path, Console(file=io.StringIO()))
    with pytest.raises(ConfigError, match="is a whole bucket"):
        data_load("s3://loaded/", tmp_path, Console(file=io.StringIO()))


def test_what_was_pushed_to_the_folder_that_stands_for_the_store_is_loaded_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DETKDS_S3_ENDPOINT", "DETKDS_S3_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    for name, content in FILES.items():
        (tmp_path / "tiny" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tiny" / name).write_bytes(content)
    address, home = "s3://loaded/sets/tiny", str(tmp_path / "home")
    for words in (["push", str(tmp_path / "tiny"), address, "--no-check"], ["load", address, str(tmp_path / "out")]):
        monkeypatch.setattr(sys, "argv", ["detkds", "data", *words, "--home", home])
        with pytest.raises(SystemExit, match=r"^0$"):
            main()
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == FILES
