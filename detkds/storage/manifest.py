"""The manifest of an artifact: its kind, and its files with sizes and sha256. Where it is, the artifact is complete."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detkds.errors import ArtifactError
from detkds.storage.keys import safe_key

MANIFEST = "manifest.json"
SCHEMA = "detkds.artifact/1"
MAX_MANIFEST_BYTES = 256 << 20
"""About two million files; anything larger is refused before it is parsed."""

_DAMAGED = "it is damaged: delete it and produce or fetch it again"


@dataclass(frozen=True)
class FileEntry:
    """One file: its size in bytes and the sha256 of its content in hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an artifact is made of.

    Attributes:
        kind: one word for what it is: recipe, study, model, tree.
        files: by relative name with forward slashes.
        meta: JSON values that describe it and may change from run to run (times, versions); not part of the digest.
    """

    kind: str
    files: Mapping[str, FileEntry]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The sha256 in hexadecimal of kind and files: equal for artifacts with the same content."""
        return _sha256(_compact({key: value for key, value in self._content().items() if key != "meta"}))

    def to_text(self) -> str:
        """The one spelling of this manifest: JSON with sorted keys and a sha256 of its own content."""
        content = self._content()
        content["sha256"] = _sha256(_compact(content))
        return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"

    def _content(self) -> dict[str, Any]:
        files = {name: {"size": entry.size, "sha256": entry.sha256} for name, entry in self.files.items()}
        return {"schema": SCHEMA, "kind": self.kind, "meta": dict(self.meta), "files": files}

    @classmethod
    def from_text(cls, data: bytes, artifact: str) -> Manifest:
        """Read and check a manifest; `artifact` names it in messages.

        Raises:
            ArtifactError: not a manifest, of another schema, altered, or with an unsafe file name.
        """
        where = f"{artifact}: {MANIFEST}"
        content = _parse(data, where)
        claimed = content.pop("sha256", None)
        actual = _sha256(_compact(content))
        if claimed != actual:
            raise ArtifactError(f"{where} must have the content of sha256 {short(claimed)}, got {short(actual)}; {_DAMAGED}.")
        manifest = cls(content["kind"], _entries(content["files"], where), content["meta"])
        if manifest.to_text().encode() != data:
            raise ArtifactError(f"{where} is not spelled as it was written (sha256 of the file {short(_sha256(data))}); {_DAMAGED}.")
        return manifest

    @classmethod
    def of(cls, folder: Path, kind: str, meta: Mapping[str, Any] | None = None) -> Manifest:
        """The manifest of a plain folder as it is now.

        Raises:
            ArtifactError: a link, a special file, an unsafe name or a file that is itself called manifest.json.
        """
        files = scan(folder)
        if MANIFEST in files:
            raise ArtifactError(f"{folder}: the name {MANIFEST} is kept for the artifact's own manifest; rename that file.")
        return cls(kind, {name: FileEntry(path.stat().st_size, file_sha256(path)) for name, path in files.items()}, meta or {})

    def check(self, folder: Path, artifact: str) -> None:
        """Compare a folder's files with this manifest; `artifact` names it in messages.

        Raises:
            ArtifactError: a file is missing, too many, or of another size or sha256.
        """
        present = scan(folder)
        present.pop(MANIFEST, None)
        for name in sorted(self.files.keys() - present.keys()):
            raise ArtifactError(f"{artifact}: file {name!r} with sha256 {short(self.files[name].sha256)} is missing; {_DAMAGED}.")
        for name in sorted(present.keys() - self.files.keys()):
            raise ArtifactError(f"{artifact}: file {name!r} is not in its {MANIFEST}; remove the file, or produce the artifact again.")
        for name in sorted(self.files):
            self.check_file(name, present[name], artifact)

    def check_file(self, name: str, path: Path, artifact: str) -> None:
        """Compare one file with this manifest's entry `name`; `artifact` names the whole in messages.

        Raises:
            ArtifactError: it is of another size or sha256.
        """
        _compare(self.files[name], path, f"{artifact}: file {name!r}")


def scan(folder: Path) -> dict[str, Path]:
    """Every file below `folder` by its relative name, sorted.

    Raises:
        ArtifactError: a link, a special file or an unsafe name: such a folder cannot be stored and read back as it was.
    """
    found = {}
    for root, folders, names in os.walk(folder, onerror=_raise):
        for path in (Path(root, name) for name in [*folders, *names]):
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                found[safe_key(path.relative_to(folder).as_posix())] = path
            elif not stat.S_ISDIR(mode):
                raise ArtifactError(f"{path}: only plain files can be stored, not links or devices; put a copy of the file there.")
    return dict(sorted(found.items()))


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def short(digest: object) -> str:
    """The first twelve digits, enough to compare by eye."""
    return digest[:12] if isinstance(digest, str) else "none"


def _compare(entry: FileEntry, path: Path, label: str) -> None:
    actual = file_sha256(path)
    if actual != entry.sha256:
        sizes = f"{entry.size} bytes with sha256 {short(entry.sha256)}, got {path.stat().st_size} bytes with {short(actual)}"
        raise ArtifactError(f"{label} must have {sizes}; {_DAMAGED}.")


def _parse(data: bytes, where: str) -> dict[str, Any]:
    if len(data) > MAX_MANIFEST_BYTES:
        raise ArtifactError(f"{where} must have at most {MAX_MANIFEST_BYTES >> 20} MiB, got {len(data) >> 20} MiB; {_DAMAGED}.")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise ArtifactError(f"{where} is not JSON ({len(data)} bytes, sha256 {short(_sha256(data))}); {_DAMAGED}.") from None
    shapes = {"schema": str, "kind": str, "files": dict, "meta": dict, "sha256": str}
    if not isinstance(content, dict) or any(not isinstance(content.get(key), shape) for key, shape in shapes.items()):
        raise ArtifactError(f"{where} must have {', '.join(shapes)}, got {str(content)[:80]!r}; {_DAMAGED}.")
    if content["schema"] != SCHEMA:
        raise ArtifactError(f"{where} has schema {content['schema'][:40]!r}, this version reads {SCHEMA!r}; use the version that wrote it.")
    return content


def _entries(files: dict[str, Any], where: str) -> dict[str, FileEntry]:
    entries = {}
    for name, entry in files.items():
        size = entry.get("size") if isinstance(entry, dict) else None
        if type(size) is not int or size < 0 or not isinstance(entry.get("sha256"), str) or name == MANIFEST:
            raise ArtifactError(f"{where} has no size and sha256 for file {name[:80]!r}; {_DAMAGED}.")
        entries[safe_key(name)] = FileEntry(size, entry["sha256"])
    return entries


def _compact(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _raise(error: OSError) -> None:
    raise error
