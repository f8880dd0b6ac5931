"""A mirror brings what the other side has more of, refuses what is damaged, and never shows half of a large file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from detkds.errors import ArtifactError, StoreError
from detkds.storage import FolderStore, Store
from detkds.storage.mirror import KEPT_S, Mirror

KEY = "train-1f"
BIG = "training.pth"


@pytest.fixture
def shelf(tmp_path: Path) -> Store:
    store = FolderStore(tmp_path / "store")
    store.ensure_bucket()
    return store


def pod(store: Store, folder: Path) -> Mirror:
    folder.mkdir()
    return Mirror(store, KEY, folder)


def refuse(path: Path) -> None:
    raise ArtifactError(f"{path}, line 2: the record was altered.")


def test_a_new_pod_gets_what_the_old_one_put(shelf: Store, tmp_path: Path) -> None:
    old, new = pod(shelf, tmp_path / "old"), pod(shelf, tmp_path / "new")
    for text in ("one\n", "one\ntwo\n"):
        (tmp_path / "old" / "journal").write_text(text)
        old.put("journal")
    new.fetch("journal")
    assert (tmp_path / "new" / "journal").read_text() == "one\ntwo\n"


@pytest.mark.parametrize(
    ("here", "there", "wanted"),
    [
        ("", "one\n", "one\n"),
        ("one\n", "one\ntwo\n", "one\ntwo\n"),
        ("one\ntwo\n", "one\n", "one\ntwo\n"),
        ("one\ntw", "one\ntwo\n", "one\ntwo\n"),
        ("one\na torn line that is longer", "one\ntwo\n", "one\ntwo\n"),
        ("one\ntw", "one\n", "one\ntw"),  # equally many whole lines: the folder's own
    ],
)
def test_more_whole_lines_win(shelf: Store, tmp_path: Path, here: str, there: str, wanted: str) -> None:
    mirror = pod(shelf, tmp_path / "pod")
    (tmp_path / "pod" / "journal").write_text(here)
    shelf.put_bytes(there.encode(), f"{KEY}/journal")
    mirror.fetch("journal")
    assert (tmp_path / "pod" / "journal").read_text() == wanted


def test_a_damaged_file_is_refused_by_its_address_and_replaces_nothing(shelf: Store, tmp_path: Path) -> None:
    mirror = pod(shelf, tmp_path / "pod")
    (tmp_path / "pod" / "journal").write_text("one\n")
    shelf.put_bytes(b"one\ntwx\n", f"{KEY}/journal")
    with pytest.raises(ArtifactError) as refused:
        mirror.fetch("journal", refuse)
    assert str(refused.value) == f"{shelf.uri(f'{KEY}/journal')}, line 2: the record was altered."
    assert [path.name for path in (tmp_path / "pod").iterdir()] == ["journal"]
    assert (tmp_path / "pod" / "journal").read_text() == "one\n"


def test_what_did_not_change_is_not_put_again(shelf: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = pod(shelf, tmp_path / "pod")
    for name in ("journal", BIG):
        (tmp_path / "pod" / name).write_text("one\n")
    mirror.put("journal")
    mirror.put_large(BIG)
    mirror.put("absent")

    def put(*_: object) -> None:
        raise AssertionError("put again")

    monkeypatch.setattr(FolderStore, "put_bytes", put)
    monkeypatch.setattr(FolderStore, "put_file", put)
    mirror.put("journal")
    mirror.put_large(BIG)


def test_a_large_file_comes_back_and_the_one_before_is_gone(shelf: Store, tmp_path: Path) -> None:
    old, new = pod(shelf, tmp_path / "old"), pod(shelf, tmp_path / "new")
    for content in (b"step 1", b"step two"):
        (tmp_path / "old" / BIG).write_bytes(content)
        old.put_large(BIG)
    new.fetch_large(BIG)
    assert (tmp_path / "new" / BIG).read_bytes() == b"step two"
    assert len(shelf.list()) == 2  # the file and its manifest


@pytest.mark.parametrize("at", ["put_file", "put_bytes", "delete"])
def test_an_upload_that_breaks_off_leaves_a_whole_file(shelf: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    old, new = pod(shelf, tmp_path / "old"), pod(shelf, tmp_path / "new")
    (tmp_path / "old" / BIG).write_bytes(b"step 1")
    old.put_large(BIG)
    (tmp_path / "old" / BIG).write_bytes(b"step two")

    def die(*_: object) -> None:
        raise StoreError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, at, die)
        with pytest.raises(StoreError):
            old.put_large(BIG)
    new.fetch_large(BIG)
    assert (tmp_path / "new" / BIG).read_bytes() == (b"step two" if at == "delete" else b"step 1")
    (tmp_path / "new" / BIG).write_bytes(b"step three")
    new.put_large(BIG)
    assert len(shelf.list()) == 2, "what the broken upload left is gone"


def test_a_pod_keeps_its_own_file_unless_another_went_further(shelf: Store, tmp_path: Path) -> None:
    one, other = pod(shelf, tmp_path / "one"), pod(shelf, tmp_path / "other")
    (tmp_path / "one" / BIG).write_bytes(b"step 1")
    one.put_large(BIG)
    (tmp_path / "one" / BIG).write_bytes(b"step 2, not put")
    Mirror(shelf, KEY, tmp_path / "one").fetch_large(BIG)
    assert (tmp_path / "one" / BIG).read_bytes() == b"step 2, not put"

    other.fetch_large(BIG)
    (tmp_path / "other" / BIG).write_bytes(b"step 3")
    other.put_large(BIG)
    Mirror(shelf, KEY, tmp_path / "one").fetch_large(BIG)
    assert (tmp_path / "one" / BIG).read_bytes() == b"step 3"


@pytest.mark.parametrize(("content", "fault"), [(b"step X", "6 bytes with sha256 .+ got sha256"), (b"step", "6 bytes .+ got 4 bytes")])
def test_a_damaged_large_file_is_refused(shelf: Store, tmp_path: Path, content: bytes, fault: str) -> None:
    old, new = pod(shelf, tmp_path / "old"), pod(shelf, tmp_path / "new")
    (tmp_path / "old" / BIG).write_bytes(b"step 1")
    old.put_large(BIG)
    (stored,) = [entry.key for entry in shelf.list() if not entry.key.endswith(".json")]
    shelf.put_bytes(content, stored)
    with pytest.raises(ArtifactError, match=fault):
        new.fetch_large(BIG)
    assert not (tmp_path / "new" / BIG).exists()

    shelf.put_bytes(b"{}", f"{KEY}/{BIG}.json")
    with pytest.raises(ArtifactError, match=r"training\.pth\.json is damaged"):
        new.fetch_large(BIG)


def test_a_retired_file_is_kept_for_a_week(shelf: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = pod(shelf, tmp_path / "old"), pod(shelf, tmp_path / "new")
    (tmp_path / "old" / BIG).write_bytes(b"the last step")
    old.put_large(BIG)
    old.retire(BIG)
    new.fetch_large(BIG)  # the artifact was lost with its pod
    assert (tmp_path / "new" / BIG).read_bytes() == b"the last step"

    working = Mirror(shelf, "train-2e", tmp_path / "new")
    working.put_large(BIG)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + KEPT_S + 60)
    Mirror(shelf, "train-3d", tmp_path / "old").retire(BIG)
    assert {entry.key.partition("/")[0] for entry in shelf.list()} == {"train-2e"}, "only what nobody retired is left"
    assert json.loads(shelf.get_bytes(f"train-2e/{BIG}.json"))["retired"] is None
