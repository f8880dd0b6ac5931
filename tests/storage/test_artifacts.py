"""Artifacts appear wholly or not at all, and damage is told."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detkds.errors import ArtifactError, StoreError
from detkds.storage import artifacts, publishing, verify, write_atomic


def publish(path: Path, text: str, kind: str = "recipe") -> None:
    with publishing(path, kind=kind, meta={"text": text}) as folder:
        (folder / "recipe.json").write_text(text)
        (folder / "plots").mkdir()
        (folder / "plots" / "curve.svg").write_text(f"<svg>{text}</svg>")


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_published_artifact_verifies(tmp_path: Path) -> None:
    publish(tmp_path / "made" / "recipe", "one")
    manifest = verify(tmp_path / "made" / "recipe", "recipe")
    assert sorted(manifest.files) == ["plots/curve.svg", "recipe.json"]
    assert manifest.files["recipe.json"].size == 3
    assert manifest.meta == {"text": "one"}
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["recipe"]


def test_an_empty_folder_and_an_artifact_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    publish(tmp_path / "recipe", "one")
    publish(tmp_path / "recipe", "two")
    assert verify(tmp_path / "recipe").meta == {"text": "two"}
    assert [path.name for path in tmp_path.iterdir()] == ["recipe"]


def test_an_artifact_is_replaced_where_the_system_cannot_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_exchanged", lambda *_: False)
    publish(tmp_path / "recipe", "one")
    publish(tmp_path / "recipe", "two")
    assert verify(tmp_path / "recipe").meta == {"text": "two"}
    assert [path.name for path in tmp_path.iterdir()] == ["recipe"]


@pytest.mark.parametrize(
    "make", [lambda path: path.write_text("mine"), lambda path: (path / "photos").mkdir(parents=True)], ids=["file", "folder"]
)
def test_what_is_not_an_artifact_is_not_replaced_and_the_work_not_begun(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    make(tmp_path / "recipe")
    with (
        pytest.raises(ArtifactError, match="is not an artifact of DetKDS, so it is not replaced"),
        publishing(tmp_path / "recipe", kind="recipe"),
    ):
        pytest.fail("the block must not run")
    assert [path.name for path in tmp_path.iterdir()] == ["recipe"]


@pytest.mark.parametrize("stop", [ValueError("no"), KeyboardInterrupt()])
def test_an_exception_leaves_what_was_there(tmp_path: Path, stop: BaseException) -> None:
    def half() -> None:
        with publishing(tmp_path / "recipe", kind="recipe") as folder:
            (folder / "recipe.json").write_text("half")
            raise stop

    publish(tmp_path / "recipe", "one")
    with pytest.raises(type(stop)):
        half()
    assert verify(tmp_path / "recipe").meta == {"text": "one"}
    assert [path.name for path in tmp_path.iterdir()] == ["recipe"]


@pytest.mark.parametrize("point", ["fsync", "rename", "replace", "write"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    publish(tmp_path / "recipe", "one")
    with monkeypatch.context() as patch:
        patch.setattr(*{
            "fsync": (os, "fsync", full_disk),
            "rename": (artifacts, "_exchanged", full_disk),
            "replace": (os, "replace", full_disk),
            "write": (Path, "write_text", full_disk),
        }[point])  # fmt: skip
        with pytest.raises(StoreError, match=r"no space is left on the disk of .*recipe; free some and start the same command again"):
            publish(tmp_path / "recipe", "two")
    assert verify(tmp_path / "recipe").meta == {"text": "one"}
    assert [path.name for path in tmp_path.iterdir()] == ["recipe"]
    publish(tmp_path / "recipe", "two")
    assert verify(tmp_path / "recipe").meta == {"text": "two"}


def killed_at(call: int, work: Callable[[], None]) -> bool:
    """Run `work` in a child that SIGKILL ends at the given call that touches the disk; False if it made fewer calls and ended by itself."""
    child = os.fork()
    if child == 0:
        calls = 0

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def step(*arguments: Any, **options: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == call:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **options)

            return step

        for name in ("fsync", "rename", "replace", "mkdir", "open", "write", "unlink", "rmdir"):
            setattr(os, name, counted(getattr(os, name)))
        artifacts._exchanged = counted(artifacts._exchanged)
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_kill_at_any_call_leaves_the_old_or_the_new_artifact_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    publish(tmp_path / "recipe", "one")
    call, seen = 1, []
    while killed_at(call, lambda: publish(tmp_path / "recipe", "two")):
        seen.append(verify(tmp_path / "recipe").meta["text"])
        publish(tmp_path / "recipe", "one")
        assert [path.name for path in tmp_path.iterdir()] == ["recipe"]
        call += 1
    assert len(seen) > 12
    assert seen == sorted(seen)  # "one" before the exchange, "two" after it
    assert set(seen) == {"one", "two"}


def test_a_folder_that_another_process_builds_is_left_alone(tmp_path: Path) -> None:
    with publishing(tmp_path / "recipe", kind="recipe") as slow:
        (slow / "recipe.json").write_text("slow")
        publish(tmp_path / "recipe", "fast")
        assert verify(tmp_path / "recipe").meta == {"text": "fast"}
    assert (tmp_path / "recipe" / "recipe.json").read_text() == "slow"
    assert verify(tmp_path / "recipe").files.keys() == {"recipe.json"}


def test_a_missing_and_an_unfinished_artifact(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"artifact .*none does not exist; "):
        verify(tmp_path / "none")
    with pytest.raises(ArtifactError, match=r"has no manifest\.json, so it was never finished"):
        verify(tmp_path)


def test_another_kind(tmp_path: Path) -> None:
    publish(tmp_path / "recipe", "one")
    with pytest.raises(ArtifactError, match="must be of kind 'model', got 'recipe'"):
        verify(tmp_path / "recipe", "model")


def test_a_missing_and_an_added_file(tmp_path: Path) -> None:
    publish(tmp_path / "recipe", "one")
    (tmp_path / "recipe" / "extra").touch()
    with pytest.raises(ArtifactError, match=r"file 'extra' is not in its manifest\.json"):
        verify(tmp_path / "recipe")
    (tmp_path / "recipe" / "extra").unlink()
    (tmp_path / "recipe" / "plots" / "curve.svg").unlink()
    with pytest.raises(ArtifactError, match=r"file 'plots/curve\.svg' with sha256 [0-9a-f]{12} is missing"):
        verify(tmp_path / "recipe")


def test_every_flipped_bit_of_a_file_is_refused_with_both_sums(tmp_path: Path) -> None:
    publish(tmp_path / "recipe", "abc")
    path = tmp_path / "recipe" / "recipe.json"
    for bit in range(24):
        path.write_bytes((int.from_bytes(b"abc") ^ 1 << bit).to_bytes(3))
        # sha256 of "abc" is ba7816bf 8f01cfea ... (FIPS 180-2, appendix B.1)
        with pytest.raises(
            ArtifactError, match=r"'recipe\.json' must have 3 bytes with sha256 ba7816bf8f01, got 3 bytes with [0-9a-f]{12}; "
        ):
            verify(tmp_path / "recipe")


def test_every_cut_of_a_file_is_refused(tmp_path: Path) -> None:
    publish(tmp_path / "recipe", "abc")
    for size in range(3):
        (tmp_path / "recipe" / "recipe.json").write_text("abc"[:size])
        with pytest.raises(ArtifactError, match=f"must have 3 bytes with sha256 ba7816bf8f01, got {size} bytes with"):
            verify(tmp_path / "recipe")


def test_links_are_neither_published_nor_followed(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="only plain files can be stored"), publishing(tmp_path / "recipe", kind="recipe") as folder:
        (folder / "passwd").symlink_to("/etc/passwd")
    publish(tmp_path / "recipe", "abc")
    (tmp_path / "abc").write_text("abc")
    (tmp_path / "recipe" / "recipe.json").unlink()
    (tmp_path / "recipe" / "recipe.json").symlink_to(tmp_path / "abc")
    with pytest.raises(ArtifactError, match="only plain files can be stored"):
        verify(tmp_path / "recipe")


def test_an_atomic_write_replaces_or_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomic(tmp_path / "deep" / "keys", "one", mode=0o600)
    assert (tmp_path / "deep" / "keys").stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StoreError, match="no space is left"):
        write_atomic(tmp_path / "deep" / "keys", b"two")
    assert [path.read_text() for path in (tmp_path / "deep").iterdir()] == ["one"]


def test_this_system_exchanges_folders_in_one_step(tmp_path: Path) -> None:
    if not hasattr(ctypes.CDLL(None), "renameat2"):
        pytest.skip("needs a C library with renameat2")
    for name in "ab":
        (tmp_path / name / name).mkdir(parents=True)
    assert artifacts._exchanged(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert not artifacts._exchanged(tmp_path / "a", tmp_path / "none")
