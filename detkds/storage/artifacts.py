"""Artifacts on disk: folders and files that are either complete or absent.

An artifact is built in a hidden folder beside its place and moved there in one step, its manifest written last. Whatever stops the
work - an exception, a full disk, a killed process - what was there before stays as it was.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any, BinaryIO

from detkds.errors import ArtifactError, StoreError
from detkds.storage.manifest import MANIFEST, MAX_MANIFEST_BYTES, Manifest, scan

UNFINISHED = ".part"
"""Suffix of what is being written; such names begin with a dot and are never read as artifacts."""


@contextmanager
def publishing(path: Path, *, kind: str, meta: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """Build an artifact: `with publishing(path, kind="recipe") as folder:` write files into `folder`, and they appear at `path`.

    `path` may be absent, an empty folder, or an artifact, which is replaced. `meta` (JSON values) is read when the block ends.
    On an exception nothing of the block is left.

    Raises:
        ArtifactError: `path` holds something that is not an artifact, or the block left a link or an unsafe name.
        StoreError: the disk is full.
    """
    with building(path) as folder:
        yield folder
        write_atomic(folder / MANIFEST, Manifest.of(folder, kind, meta).to_text())


def verify(folder: Path, kind: str | None = None, *, name: str | None = None) -> Manifest:
    """The manifest of an artifact whose files are all there and unaltered; `name` names it in messages instead of its path.

    Raises:
        ArtifactError: missing, incomplete, of another kind, or a file is missing, too many, truncated or altered.
    """
    artifact = f"artifact {name or folder}"
    manifest = read_manifest(folder, artifact)
    if kind is not None and manifest.kind != kind:
        raise ArtifactError(f"{artifact} must be of kind {kind!r}, got {manifest.kind!r}; name the right one.")
    manifest.check(folder, artifact)
    return manifest


def read_manifest(folder: Path, artifact: str) -> Manifest:
    """The checked manifest of a folder, without looking at its files.

    Raises:
        ArtifactError: there is no such folder or manifest, or the manifest is altered.
    """
    if not folder.is_dir():
        raise ArtifactError(f"{artifact} does not exist; run the stage that makes it, or correct the path.")
    try:
        with (folder / MANIFEST).open("rb") as handle:
            data = handle.read(MAX_MANIFEST_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError):
        raise ArtifactError(f"{artifact} has no {MANIFEST}, so it was never finished; run the stage that makes it again.") from None
    return Manifest.from_text(data, artifact)


def write_atomic(path: Path, data: bytes | str, *, mode: int = 0o666) -> None:
    """Write a file that appears at `path` wholly or not at all, also when the power fails; `mode` is its permission before the umask.

    Raises:
        StoreError: the disk is full; the file that was there is intact.
    """
    with writing(path, mode=mode) as handle:
        handle.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def writing(path: Path, *, mode: int = 0o666, lasting: bool = True) -> Iterator[BinaryIO]:
    """An open binary file whose content appears at `path` when the block ends without an exception. The folder is made if missing.

    Without `lasting` it may be lost when the power fails, which suits what is checked before each use and can be fetched again.

    Raises:
        StoreError: the disk is full; the file that was there is intact.
    """
    with _room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = _beside(path)
        try:
            with os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode), "wb") as handle:
                yield handle
                if lasting:
                    handle.flush()
                    os.fsync(handle.fileno())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        if lasting:
            _fsync(path.parent)


@contextmanager
def building(path: Path) -> Iterator[Path]:
    """A hidden folder beside `path` that takes its place when the block ends without an exception; the block writes the manifest.

    Raises:
        ArtifactError: `path` holds something that is not an artifact.
        StoreError: the disk is full; what was at `path` is intact.
    """
    path = Path(os.path.realpath(path))
    _require_replaceable(path)
    with _room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        folder = _beside(path)
        folder.mkdir()
        # The lock distinguishes a folder in use from one that a killed process left behind.
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
            # On the disk before the move: otherwise a power cut could leave a complete name with empty files.
            _sync_tree(folder)
            _require_replaceable(path)
            _settle(folder, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, waiting for whoever else holds it; made if missing, never removed."""
    handle = _open_lock(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def try_lock(path: Path) -> int | None:
    """An open descriptor that holds the lock file `path` until it and its copies in other processes are closed; None if another has it."""
    handle = _open_lock(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _open_lock(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, StoreError, RuntimeError) as error:
        # The error names a file in a hidden folder, or is one of torch's own; report it with the name that the user knows.
        if (cause := _refused(error)) is None:
            raise
        words = _REFUSALS[cause.errno or 0].format(path=path)
        raise StoreError(f"{words} and start the same command again: what was finished is kept.") from cause


_FULL = "no space is left on the disk of {path}; free some"
_REFUSALS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "{path} may not become as large as it must; raise `ulimit -f`, or the limit of its file system,",
}
"""What to say where the machine stores no more."""


def _refused(error: BaseException | None) -> OSError | None:
    """The refusal of the machine to store more that an error comes from, if it does."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _REFUSALS:
            return error
        error = error.__cause__ or error.__context__
    return None


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}{UNFINISHED}")


def _require_replaceable(path: Path) -> None:
    if not os.path.lexists(path) or (path.is_dir() and ((path / MANIFEST).is_file() or not any(path.iterdir()))):
        return
    raise ArtifactError(f"{path} exists and is not an artifact of DetKDS, so it is not replaced; move it away or name another place.")


def _remove_abandoned(path: Path) -> None:
    for folder in path.parent.glob(f".{escape(path.name)}.*{UNFINISHED}"):
        if folder.is_dir():
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            except BlockingIOError:
                pass  # another process builds there
            finally:
                os.close(lock)


def _settle(folder: Path, path: Path) -> None:
    """Move `folder` to `path`; an artifact that was there ends up at `folder`, or is gone."""
    if not path.is_dir() or not any(path.iterdir()):
        folder.rename(path)
    elif not _exchanged(folder, path):  # two renames instead: for a moment nothing is at `path`
        old = _beside(path)
        path.rename(old)
        try:
            folder.rename(path)
        except BaseException:  # whatever stops the move, Ctrl-C included, must not leave the place empty
            old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    _fsync(path.parent)


def _exchanged(one: Path, other: Path) -> bool:
    """Swap two folders in one step by Linux's renameat2(2) with RENAME_EXCHANGE; False where the system cannot."""
    at_cwd, exchange = -100, 2
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return rename is not None and rename(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), exchange) == 0


def _sync_tree(folder: Path) -> None:
    files = scan(folder)
    for path in files.values():
        _fsync(path)
    for path in {parent for file in files.values() for parent in file.parents if parent.is_relative_to(folder)}:
        _fsync(path)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
