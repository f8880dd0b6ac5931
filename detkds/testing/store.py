"""The contract of stores: what every store promises, whatever it keeps things in."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import pytest

from detkds.errors import ArtifactError, StoreError
from detkds.storage import Store, publishing, verify

HOSTILE = ["", "/etc/passwd", "../up", "a/../b", "a/..", "./a", "a//b", "a/", "a\0b", "a\nb", "a\\b", "a\udc80", "x" * 1025]


class StoreContract:
    """Subclasses have the fixtures `store`, an empty store, and `absent`, one whose bucket or folder is missing."""

    @pytest.fixture
    def artifact(self, tmp_path: Path) -> Path:
        with publishing(tmp_path / "recipe", kind="recipe", meta={"made": "today"}) as folder:
            (folder / "recipe.json").write_text("{}")
            (folder / "deep" / "er").mkdir(parents=True)
            (folder / "deep" / "er" / "empty.bin").write_bytes(b"")
        return tmp_path / "recipe"

    @pytest.mark.parametrize("data", [b"", b"one", bytes(range(256)) * 5000])
    def test_bytes_come_back(self, store: Store, data: bytes) -> None:
        store.put_bytes(data, "some/where")
        assert store.get_bytes("some/where") == data
        found = store.stat("some/where")
        assert found is not None
        assert found.size == len(data)

    def test_bytes_are_replaced(self, store: Store) -> None:
        store.put_bytes(b"first, and longer", "k")
        store.put_bytes(b"second", "k")
        assert store.get_bytes("k") == b"second"

    @pytest.mark.parametrize("size", [0, 1, 17 << 20], ids=["empty", "one", "several parts"])
    def test_files_come_back(self, store: Store, tmp_path: Path, size: int) -> None:
        data = secrets.token_bytes(size)
        (tmp_path / "sent").write_bytes(data)
        store.put_file(tmp_path / "sent", "models/student.pth")
        store.get_file("models/student.pth", tmp_path / "made" / "got")
        assert (tmp_path / "made" / "got").read_bytes() == data

    def test_a_missing_object_is_named_and_leaves_no_file(self, store: Store, tmp_path: Path) -> None:
        assert not store.exists("models/none.pth")
        for ask in (lambda: store.get_bytes("models/none.pth"), lambda: store.get_file("models/none.pth", tmp_path / "got")):
            with pytest.raises(ArtifactError, match=r"models/none\.pth does not exist; "):
                ask()
        assert list(tmp_path.glob(".*")) + list(tmp_path.glob("got")) == []

    def test_list_is_by_folder_and_sorted(self, store: Store) -> None:
        for key in ("b/2", "b/1", "bb/3", "a", "b/deep/0"):
            store.put_bytes(key.encode(), key)
        assert [entry.key for entry in store.list("b")] == ["b/1", "b/2", "b/deep/0"]
        assert [entry.key for entry in store.list()] == ["a", "b/1", "b/2", "b/deep/0", "bb/3"]
        assert [entry.size for entry in store.list("bb")] == [4]
        assert store.list("nothing") == []

    def test_tags_follow_the_content(self, store: Store) -> None:
        store.put_bytes(b"one", "k")
        before = store.list()
        assert before == [store.stat("k")]
        store.put_bytes(b"two", "k")
        assert store.list() != before

    def test_exchange_stores_only_over_what_was_seen(self, store: Store) -> None:
        first = store.exchange(b"one", "k", None)
        assert first is not None
        assert store.exchange(b"two", "k", None) is None
        assert store.exchange(b"two", "k", f"{first}0") is None
        assert store.get_bytes("k") == b"one"
        second = store.exchange(b"two, longer", "k", first)
        found = store.stat("k")
        assert found is not None
        assert found.etag == second != first
        assert store.exchange(b"three", "k", first) is None
        assert store.get_bytes("k") == b"two, longer"
        store.delete("k")
        assert store.exchange(b"four", "k", second) is None
        assert not store.exists("k")

    def test_objects_know_when_they_were_stored(self, store: Store) -> None:
        store.put_bytes(b"x", "k")
        for found in (store.stat("k"), *store.list()):
            assert found is not None
            assert abs(found.modified - time.time()) < 3600

    def test_delete(self, store: Store) -> None:
        store.put_bytes(b"x", "k")
        store.delete("k")
        store.delete("k")
        assert not store.exists("k")

    @pytest.mark.parametrize("key", HOSTILE)
    def test_hostile_keys_are_refused(self, store: Store, tmp_path: Path, key: str) -> None:
        (tmp_path / "file").write_bytes(b"x")
        for ask in (
            lambda: store.put_bytes(b"x", key),
            lambda: store.get_bytes(key),
            lambda: store.put_file(tmp_path / "file", key),
            lambda: store.get_file(key, tmp_path / "got"),
            lambda: store.stat(key),
            lambda: store.delete(key),
        ):
            with pytest.raises(ArtifactError, match="a stored name must be a relative path"):
                ask()

    def test_a_missing_bucket_is_an_error_for_every_verb_and_can_be_made(self, absent: Store, tmp_path: Path) -> None:
        for ask in (
            lambda: absent.put_bytes(b"x", "k"),
            lambda: absent.get_bytes("k"),
            lambda: absent.exists("k"),
            lambda: absent.list(),
        ):
            with pytest.raises(StoreError):
                ask()
        absent.ensure_bucket()
        absent.ensure_bucket()
        absent.put_bytes(b"x", "k")
        assert absent.get_bytes("k") == b"x"

    def test_an_artifact_comes_back(self, store: Store, artifact: Path, tmp_path: Path) -> None:
        sent = store.put_folder(artifact, "runs/1/recipe")
        (tmp_path / "got").mkdir()  # as Kubeflow Pipelines makes output folders
        got = store.get_folder("runs/1/recipe", tmp_path / "got", "recipe")
        assert got == sent == verify(tmp_path / "got")
        assert (tmp_path / "got" / "manifest.json").read_bytes() == (artifact / "manifest.json").read_bytes()
        assert (tmp_path / "got" / "deep" / "er" / "empty.bin").read_bytes() == b""

    def test_an_artifact_stored_twice_is_sent_once(self, store: Store, artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store.put_folder(artifact, "k")
        for verb in ("put_file", "put_bytes", "delete"):
            monkeypatch.setattr(store, verb, lambda *_: pytest.fail("sent again"))
        store.put_folder(artifact, "k")

    def test_a_replaced_artifact_leaves_neither_old_files_nor_others_behind(self, store: Store, artifact: Path, tmp_path: Path) -> None:
        store.put_folder(artifact, "k")
        store.put_bytes(b"not of the artifact", "k/report/page.html")
        with publishing(tmp_path / "other", kind="recipe") as folder:
            (folder / "recipe.json").write_text("[]")
        store.put_folder(tmp_path / "other", "k")
        assert [entry.key for entry in store.list("k")] == ["k/manifest.json", "k/recipe.json", "k/report/page.html"]
        store.get_folder("k", tmp_path / "got")
        assert (tmp_path / "got" / "recipe.json").read_text() == "[]"

    def test_the_manifest_is_the_commit(self, store: Store, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(path: Path, key: str) -> None:
            raise StoreError("the store went away")

        store.put_folder(artifact, "k")
        with publishing(tmp_path / "other", kind="recipe") as folder:
            (folder / "recipe.json").write_text("[]")
        monkeypatch.setattr(store, "put_file", fails)
        with pytest.raises(StoreError, match="went away"):
            store.put_folder(tmp_path / "other", "k")
        assert store.manifest("k") is None
        with pytest.raises(ArtifactError, match="does not exist or was never finished"):
            store.get_folder("k", tmp_path / "got")
        assert not (tmp_path / "got").exists()

    @pytest.mark.parametrize("damage", [b"}{", b"", b"{}and more"], ids=["altered", "truncated", "longer"])
    def test_a_damaged_object_is_refused_and_nothing_is_left(self, store: Store, artifact: Path, tmp_path: Path, damage: bytes) -> None:
        store.put_folder(artifact, "k")
        store.put_bytes(damage, "k/recipe.json")
        # sha256 of "{}" is 44136fa355b3...
        with pytest.raises(
            ArtifactError, match=r"file 'recipe.json' must have 2 bytes with sha256 44136fa355b3, got .* bytes with [0-9a-f]{12}; "
        ):
            store.get_folder("k", tmp_path / "got")
        assert list(tmp_path.glob("*got*")) == []

    def test_a_lost_object_is_refused(self, store: Store, artifact: Path, tmp_path: Path) -> None:
        store.put_folder(artifact, "k")
        store.delete("k/recipe.json")
        with pytest.raises(ArtifactError, match=r"recipe\.json does not exist"):
            store.get_folder("k", tmp_path / "got")

    def test_another_kind_is_refused(self, store: Store, artifact: Path, tmp_path: Path) -> None:
        store.put_folder(artifact, "k")
        with pytest.raises(ArtifactError, match="must be of kind 'model', got 'recipe'"):
            store.get_folder("k", tmp_path / "got", "model")

    def test_a_damaged_artifact_is_not_sent(self, store: Store, artifact: Path) -> None:
        (artifact / "recipe.json").write_text("!")
        with pytest.raises(ArtifactError, match=r"recipe\.json"):
            store.put_folder(artifact, "k")
        assert store.list() == []

    def test_a_plain_folder_comes_back(self, store: Store, tmp_path: Path) -> None:
        for number in range(20):
            (tmp_path / "set" / "train").mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / "train" / f"{number} é.jpg").write_bytes(bytes([number]) * number)
        sent = store.put_tree(tmp_path / "set", "data")
        assert store.get_folder("data", tmp_path / "got", "tree").digest == sent.digest
        assert (tmp_path / "got" / "train" / "7 é.jpg").read_bytes() == b"\7" * 7

    def test_links_are_not_sent(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "passwd").symlink_to("/etc/passwd")
        with pytest.raises(ArtifactError, match="only plain files can be stored"):
            store.put_tree(tmp_path / "set", "data")
        assert store.list() == []
