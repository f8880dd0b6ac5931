"""A manifest is read as it was written, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detkds.errors import ArtifactError
from detkds.storage import FileEntry, Manifest

SHA = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
MANIFEST = Manifest("recipe", {"recipe.json": FileEntry(3, SHA)}, {"made": "today"})


def resealed(**changes: object) -> bytes:
    """The manifest's text with changed content and a sha256 that fits it: what someone who knows the format could write."""
    content = json.loads(MANIFEST.to_text())
    del content["sha256"]
    content |= changes
    import hashlib

    content["sha256"] = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def test_text_round_trips() -> None:
    assert Manifest.from_text(MANIFEST.to_text().encode(), "a") == MANIFEST
    assert Manifest.from_text(resealed(), "a") == MANIFEST


def test_the_digest_is_of_kind_and_files_only() -> None:
    assert Manifest("recipe", MANIFEST.files, {"made": "tomorrow"}).digest == MANIFEST.digest
    assert Manifest("model", MANIFEST.files).digest != MANIFEST.digest
    assert Manifest("recipe", {"recipe.json": FileEntry(3, "0" * 64)}).digest != MANIFEST.digest
    assert Manifest("recipe", {"renamed.json": FileEntry(3, SHA)}).digest != MANIFEST.digest


def test_every_flipped_bit_and_every_cut_is_refused() -> None:
    data = MANIFEST.to_text().encode()
    flipped = [data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :] for at in range(len(data)) for bit in range(8)]
    for broken in [*flipped, *(data[:size] for size in range(len(data))), data + b" "]:
        with pytest.raises(
            ArtifactError, match=r"a: manifest\.json .*; (it is damaged: delete it|use the version that wrote it|rename it)"
        ):
            Manifest.from_text(broken, "a")


def test_an_altered_manifest_tells_both_sums() -> None:
    data = MANIFEST.to_text().replace("today", "never").encode()
    with pytest.raises(ArtifactError, match=r"a: manifest\.json must have the content of sha256 [0-9a-f]{12}, got [0-9a-f]{12}; "):
        Manifest.from_text(data, "a")


@pytest.mark.parametrize("name", ["../../etc/cron.d/job", "/etc/passwd", "a/../b", "a\0b", "", "a\\..\\b"])
def test_hostile_names_are_refused(name: str) -> None:
    with pytest.raises(ArtifactError, match="a stored name must be a relative path"):
        Manifest.from_text(resealed(files={name: {"size": 3, "sha256": SHA}}), "a")


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {"x": {"size": -1, "sha256": SHA}}},
        {"files": {"x": {"size": True, "sha256": SHA}}},
        {"files": {"x": {"size": 3}}},
        {"files": {"x": 3}},
        {"files": {"manifest.json": {"size": 3, "sha256": SHA}}},
        {"files": []},
        {"kind": 3},
        {"meta": None},
        {"more": 1},
    ],
)
def test_other_shapes_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match=r"a: manifest\.json "):
        Manifest.from_text(resealed(**changes), "a")


def test_another_schema_says_so() -> None:
    with pytest.raises(ArtifactError, match=r"has schema 'detkds\.artifact/9', this version reads 'detkds\.artifact/1'"):
        Manifest.from_text(resealed(schema="detkds.artifact/9"), "a")


@pytest.mark.parametrize("data", [b"[" * 100_000, b"[]", b"3", b"\xff\xfe", b'{"a": NaN}'])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"a: manifest\.json "):
        Manifest.from_text(data, "a")


def test_a_folder_with_a_manifest_of_its_own_cannot_be_described(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").touch()
    with pytest.raises(ArtifactError, match=r"the name manifest\.json is kept"):
        Manifest.of(tmp_path, "tree")
