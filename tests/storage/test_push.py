"""A data set goes into a store, and goes on where it was stopped."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import urllib3

from detkds.errors import ArtifactError, DatasetError, StoreError
from detkds.storage import Store, StoredObject, open_store
from detkds.storage import push as module
from detkds.storage.meter import Meter, in_words
from detkds.storage.push import MARK, Pushed, push
from detkds.storage.s3 import S3Store
from detkds.storage.set_files import set_files
from detkds.storage.store import AHEAD, PART_BYTES, in_parallel
from detkds.storage.stored_set import StoredSet

NAMES = [f"train/{number}.jpg" for number in range(12)]
KILLED_AT_SIXTH = """
import os, signal, sys, threading
from pathlib import Path
from detkds.storage import open_store, push
from detkds.storage.s3 import S3Store
from detkds.storage.set_files import set_files
from detkds.storage.push import MARK, push

put, count, turn = S3Store.put_bytes, 0, threading.Lock()
def dying(self, data, key):
    global count
    with turn:  # one after another: when it dies, five are there and none is on its way
        count += key != MARK
        if count == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        put(self, data, key)
S3Store.put_bytes = dying
folder = Path(sys.argv[1])
push(folder, set_files(folder), open_store(sys.argv[2]), lambda meter, tenth: None)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    for number, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(bytes([number]) * (number + 1))
    return root


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that were written."""
    keys: list[str] = []
    put_bytes, put_file = S3Store.put_bytes, S3Store.put_file
    monkeypatch.setattr(S3Store, "put_bytes", lambda self, data, key: (keys.append(key), put_bytes(self, data, key))[1])
    monkeypatch.setattr(S3Store, "put_file", lambda self, path, key: (keys.append(key), put_file(self, path, key))[1])
    return keys


def pushed(folder: Path, store: Store) -> Pushed:
    return push(folder, set_files(folder), store, lambda meter, tenth: None)


def test_all_files_and_their_index_are_there(folder: Path, store: Store) -> None:
    done = pushed(folder, store)
    assert (done.sent, done.sent_size, done.strangers) == (12, sum(range(1, 13)), 0)
    stored = StoredSet(store.uri())
    assert stored.indexed
    assert {name: stored.read(entry) for name, entry in stored.files("", NAMES).items()} == {
        name: (folder / name).read_bytes() for name in NAMES
    }
    assert sorted(entry.key for entry in store.list()) == sorted([*NAMES, "manifest.json"])


def test_what_is_there_is_not_sent_again(folder: Path, store: Store, sent: list[str]) -> None:
    pushed(folder, store)
    sent.clear()
    assert pushed(folder, store).sent == 0
    assert sent == []


def test_only_what_changed_is_sent(folder: Path, store: Store, sent: list[str]) -> None:
    pushed(folder, store)
    sent.clear()
    (folder / NAMES[3]).write_bytes(b"!" * 4)  # the same size
    (folder / NAMES[4]).unlink()
    done = pushed(folder, store)
    assert (done.sent, done.strangers) == (1, 1)
    assert sent == [MARK, NAMES[3], "manifest.json"]
    stored = StoredSet(store.uri())
    assert stored.file("train", "4.jpg") is None
    assert store.exists(NAMES[4])


def test_a_set_with_less_files_gets_another_index_and_sends_nothing_else(folder: Path, store: Store, sent: list[str]) -> None:
    pushed(folder, store)
    sent.clear()
    (folder / NAMES[4]).unlink()
    assert pushed(folder, store).sent == 0
    assert sent == ["manifest.json"]


def test_a_killed_push_is_no_set_and_goes_on(folder: Path, store: Store, sent: list[str]) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT_SIXTH, str(folder), store.uri()], check=False, timeout=60, env=dict(os.environ)
    )
    assert killed.returncode == -9
    there = {entry.key for entry in store.list()} - {MARK}
    assert len(there) == 5
    with pytest.raises(ArtifactError, match=r"s3://tests/.* is not whole: a push to it was not finished; run `detkds data push` again"):
        StoredSet(store.uri())
    assert pushed(folder, store).sent == 12 - len(there)
    assert not there & set(sent)
    assert StoredSet(store.uri()).indexed
    assert not store.exists(MARK)


def test_a_push_that_stops_takes_the_index_of_before_out_of_force(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed(folder, store)
    (folder / NAMES[0]).write_bytes(b"another")

    def fails(self: S3Store, data: bytes, key: str) -> None:
        if key != MARK:
            raise StoreError("the store went away")
        real(self, data, key)

    real = S3Store.put_bytes
    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "put_bytes", fails)
        with pytest.raises(StoreError, match="went away"):
            pushed(folder, store)
    with pytest.raises(ArtifactError, match="is not whole"):
        StoredSet(store.uri())
    assert pushed(folder, store).sent == 1


def test_a_file_of_several_parts_is_known_by_its_tag(tmp_path: Path, store: Store) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "big.json").write_bytes(secrets.token_bytes(1000) * (PART_BYTES // 1000 + 1))
    assert pushed(tmp_path / "set", store).sent == 1
    store.delete("manifest.json")
    assert pushed(tmp_path / "set", store).sent == 0


def test_a_store_whose_tags_tell_nothing_is_asked_for_the_index(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Amazon's with keys of its own: tags are not MD5."""
    real = S3Store.list

    def tagless(self: S3Store, prefix: str = "") -> list[StoredObject]:
        return [replace(entry, etag="0" * 32) for entry in real(self, prefix)]

    monkeypatch.setattr(S3Store, "list", tagless)
    pushed(folder, store)
    assert pushed(folder, store).sent == 0
    (folder / NAMES[5]).write_bytes(b"?" * 6)
    assert pushed(folder, store).sent == 1 + 0


def test_a_file_that_changes_meanwhile_is_named(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module._content

    def content(path: Path) -> object:
        found = real(path)
        if path.name == "7.jpg":
            path.write_bytes(b"other")
        return found

    monkeypatch.setattr(module, "_content", content)
    with pytest.raises(DatasetError, match=r"train/7\.jpg changed while it was read; push again"):
        pushed(folder, store)
    assert not store.exists("manifest.json")


def test_a_store_that_is_away_for_a_while_is_waited_for(folder: Path, environment: pytest.MonkeyPatch, store: Store) -> None:
    failures = iter(range(2))
    real = urllib3.PoolManager.urlopen

    def urlopen(self: urllib3.PoolManager, *arguments: object, **options: object) -> object:
        if next(failures, None) is not None:
            raise urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer"))
        return real(self, *arguments, **options)  # type: ignore[arg-type]

    environment.setenv("DETKDS_S3_DEADLINE_S", "30")
    environment.setattr(urllib3.PoolManager, "urlopen", urlopen)
    assert pushed(folder, open_store(store.uri())).sent == 12


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "QuotaExceeded", "quota is full"),
        (507, "XMinioStorageFull", "quota is full"),
        (403, "AccessDenied", "the key's rights on the bucket"),
        (404, "NoSuchBucket", "create the bucket, or correct its name"),
    ],
)
def test_a_refusal_is_one_line_at_once(
    folder: Path,
    environment: pytest.MonkeyPatch,
    answering: Callable[..., AbstractContextManager[tuple[str, list[str]]]],
    status: int,
    code: str,
    said: str,
) -> None:
    environment.setenv("DETKDS_S3_DEADLINE_S", "60")
    with answering((status, f"<Error><Code>{code}</Code></Error>".encode())) as (endpoint, _):
        environment.setenv("DETKDS_S3_ENDPOINT", endpoint)
        with pytest.raises(StoreError, match=rf"^object store \S+ refuses writing s3://bucket/coco/k: {code}; .*{said}") as caught:
            open_store("s3://bucket/coco").put_bytes(b"x", "k")
        with pytest.raises(StoreError, match=rf"refuses listing s3://bucket/coco: {code}; "):
            pushed(folder, open_store("s3://bucket/coco"))
    assert "\n" not in str(caught.value)


def test_hidden_files_and_an_index_are_left_out(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "config").touch()
    (folder / "train" / ".DS_Store").touch()
    (folder / "manifest.json").touch()
    found = set_files(folder)
    assert sorted(found.sizes) == sorted(NAMES)
    assert found.left_out == [".git", "manifest.json", "train/.DS_Store"]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda root: (root / "z.jpg").symlink_to("/etc/passwd"), "'z.jpg' is a link, and only plain files are stored"),
        (lambda root: (root / "z").symlink_to(root / "train"), "'z' is a link"),
        (lambda root: os.mkfifo(root / "z.jpg"), "'z.jpg' is a device or pipe"),
        (lambda root: (root / "a\\b.jpg").touch(), "control character or a backslash"),
        (lambda root: (root / "a\nb.jpg").touch(), "control character or a backslash"),
        (lambda root: open(os.fsencode(root) + b"/\xff.jpg", "w").close(), "it is not UTF-8"),
    ],
    ids=["link", "linked folder", "pipe", "backslash", "newline", "bytes"],
)
def test_names_that_cannot_be_stored_are_refused(folder: Path, make: Callable[[Path], object], reason: str) -> None:
    make(folder)
    with pytest.raises(DatasetError) as caught:
        set_files(folder)
    assert reason in str(caught.value)
    (folder / "zz").symlink_to("/etc")
    with pytest.raises(DatasetError, match=r", and 1 more\.$"):
        set_files(folder)


def test_folders_without_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no file to store"):
        set_files(tmp_path)
    with pytest.raises(DatasetError, match="none is not a folder; give that of a COCO-format data set"):
        set_files(tmp_path / "none")


def test_a_transfer_has_a_line_per_tenth_but_none_within_three_seconds() -> None:
    seconds = count(0.0, 3.0)
    meter = Meter(4, 4_000_000, lambda: next(seconds))
    assert [meter.add(1_000_000) for _ in range(4)] == [True] * 4  # each is a quarter: tenths 2, 5, 7, 10
    assert str(meter).startswith("4/4 files, 4.0 MB of 4.0 MB, ")
    assert (in_words(999), in_words(19_300_000_000)) == ("0.0 MB", "19.30 GB")
    later = count(0.0, 3.0)
    slow, fast = Meter(100, 100, lambda: next(later)), Meter(100, 100, lambda: 0.0)
    assert [number for number in range(1, 101) if slow.add(1)] == list(range(10, 101, 10))
    assert [number for number in range(1, 101) if fast.add(1)] == [100]


def test_a_push_lists_once_and_prepares_few_files_ahead(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    listings: list[str] = []
    real = S3Store.list
    monkeypatch.setattr(S3Store, "list", lambda self, prefix="": (listings.append(prefix), real(self, prefix))[1])
    pushed(folder, store)
    assert listings == [""]

    taken, done = 0, 0

    def names() -> Iterator[str]:
        nonlocal taken
        for number in range(500):
            taken += 1
            assert taken - done <= AHEAD
            yield str(number)

    def count(name: str) -> None:
        nonlocal done
        done += 1

    in_parallel(lambda name: None, names(), count)
    assert (taken, done) == (500, 500)


def test_names_with_every_sign_go_there_and_back(store: Store, tmp_path: Path) -> None:
    """As case 21 of ../shared/cases has them."""
    names = ["it's (1).png", "a+b.png", "q?.png", "semi;colon&amp.png", "=x,y.png", "two words.png", "a#1.png", "é漢字.png", "tilde~.png"]
    names += ["50%20off.png", "%2e%2e.png", "[a]{b}.png", "$x@y!.png"]
    for name in names:
        (tmp_path / "set" / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / "images" / name).write_bytes(name.encode())
    push(tmp_path / "set", set_files(tmp_path / "set"), store, lambda meter, tenth: None)
    stored = StoredSet(store.uri())
    files = stored.files("images", names)
    assert {name: stored.read(file) for name, file in files.items()} == {name: name.encode() for name in names}
