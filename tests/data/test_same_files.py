"""Files with the same content under several names."""

from __future__ import annotations

import builtins
import hashlib
from pathlib import Path

import pytest

from detkds.data import same_files
from detkds.errors import DatasetError

TAIL = 4096


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """a and e are the same, b differs in its last byte, c in its first (beyond the tail), d is longer; f and g are empty."""
    body = bytes(range(256)) * 40
    contents = {
        "a": body,
        "b": body[:-1] + b"!",
        "c": b"!" + body[1:],
        "d": body + b"!",
        "e": body,
        "f": b"",
        "g": b"",
    }
    assert len(body) > 2 * TAIL
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


def test_only_equal_bytes_are_the_same(files: dict[str, Path]) -> None:
    assert same_files(files) == [["a", "e"], ["f", "g"]]


def test_a_link_and_a_file_named_twice_are_the_same(files: dict[str, Path]) -> None:
    (files["a"].parent / "link").symlink_to(files["b"])
    assert same_files({1: files["b"], 2: files["b"].parent / "link", 3: str(files["b"])}) == [[1, 2, 3]]


def test_files_of_different_sizes_are_not_read(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"opened {arguments}")

    monkeypatch.setattr(builtins, "open", refuse)
    assert same_files({name: files[name] for name in ("a", "d", "f")}) == []


def test_only_files_of_one_tail_are_read_whole(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    whole = hashlib.file_digest

    def note(file: object, name: str) -> object:
        read.append(Path(file.name).name)  # type: ignore[attr-defined]
        return whole(file, name)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "file_digest", note)
    same_files({name: files[name] for name in "abcd"})
    assert sorted(read) == ["a", "c"]


def test_a_file_that_cannot_be_read_is_named(files: dict[str, Path]) -> None:
    with pytest.raises(DatasetError, match=r"image file .*/gone must be readable, got: No such file"):
        same_files({"a": files["a"], "gone": files["a"].parent / "gone"})


def test_no_files() -> None:
    assert same_files({}) == []
