"""Images of stored data sets on this machine, up to a size, shared by all tasks that run here."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import math
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from detkds.errors import ArtifactError, ConfigError, DatasetError, StoreError
from detkds.storage.artifacts import UNFINISHED, locked, try_lock, writing
from detkds.storage.manifest import file_sha256
from detkds.storage.meter import Meter, in_words
from detkds.storage.store import in_parallel
from detkds.storage.stored_set import SetFile

CACHE_GB = "DETKDS_CACHE_GB"
DEFAULT_GB = 50.0
"""COCO's train2017, val2017 and test2017 have 26 GB."""
MAX_IMAGE_BYTES = 512 << 20
"""A file is read into memory as a whole; 100 million pixels have 300 MB before they are packed."""

_views: dict[Path, int] = {}
"""Views that this process holds, with the descriptor of each one's lock."""


class ImageCache:
    """A folder with a file for each content, and views: folders in which these files have the names of a data set's images (hard links).

    A view is held until the process ends. When room is needed, files that no held view has go, least recently used first. Tasks fill the
    cache one after another (the line is busy with one already), and a killed one leaves whole files, from which the next resumes.

    Args:
        folder: of the cache.
        limit: in bytes; 0 takes DETKDS_CACHE_GB from the environment, or 50 GB.
        say: called with a line for people now and then.

    Raises:
        ConfigError: DETKDS_CACHE_GB is not a positive number.
    """

    def __init__(self, folder: Path, *, limit: int = 0, say: Callable[[str], object] = lambda text: None) -> None:
        self._folder, self._say = folder, say
        self._limit = limit or _limit_of_environment()

    def view(self, files: Mapping[str, SetFile], read: Callable[[SetFile], bytes], what: str) -> Path:
        """The folder in which each file has its name; what is missing here is read, what is here is checked first.

        Args:
            files: by relative name, which is safe to join to a folder.
            read: brings a file's checked bytes.
            what: names the files in messages.

        Raises:
            ConfigError: the files are more than the cache may hold.
            StoreError: other tasks hold too much, the disk is too full, or the store fails.
            ArtifactError: a file is damaged where it comes from.
        """
        names = sorted(f"{name}\0{entry.content}" for name, entry in files.items())
        view = self._folder.resolve() / "views" / hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]
        if view not in _views:
            with self._alone():
                _views[view] = _hold(view.with_suffix(".lock"))
                try:
                    self._fill(view, files, read, what)
                except BaseException:  # a view that is not complete must not stay locked, or the space is never freed
                    release(view)
                    raise
        return view

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = self._folder / "fill.lock"
        handle = try_lock(lock)
        if handle is None:
            self._say("another task of this machine fetches images; waiting for it")
        with locked(lock) if handle is None else _closing(handle):
            yield

    def _fill(self, view: Path, files: Mapping[str, SetFile], read: Callable[[SetFile], bytes], what: str) -> None:
        wanted = {entry.content: entry for entry in files.values()}
        total = sum(entry.size for entry in wanted.values())
        if total > self._limit:
            raise ConfigError(
                f"{what} have {in_words(total)}, but {CACHE_GB} lets this machine keep {in_words(self._limit)} of images; "
                f"set it to at least {math.ceil(total / 1e8) / 10:g}, or put the data set on a volume."
            )
        missing = self._missing(wanted)
        meter = Meter(len(missing), sum(wanted[content].size for content in missing))
        self._make_room(meter.size, wanted.keys(), what)

        def bring(content: str) -> None:
            if wanted[content].size > MAX_IMAGE_BYTES:
                raise ArtifactError(f"{wanted[content].name} must have at most {MAX_IMAGE_BYTES >> 20} MiB to be an image; leave it out.")
            with writing(self._file(content), lasting=False) as target:
                target.write(read(wanted[content]))

        if missing:
            self._say(f"{what}: {len(files):,} images, {len(missing):,} to fetch ({in_words(meter.size)})")
        in_parallel(bring, missing, lambda content: self._say(str(meter)) if meter.add(wanted[content].size) else None)
        self._link(view, files)

    def _missing(self, wanted: Mapping[str, SetFile]) -> list[str]:
        """Those without an intact file here; damaged files are deleted."""
        missing = set[str]()

        def look(content: str) -> None:
            file, entry = self._file(content), wanted[content]
            if not file.is_file():
                missing.add(content)
            elif file.stat().st_size != entry.size or entry.sha256 not in (None, file_sha256(file)):
                missing.add(content)
                file.unlink()

        in_parallel(look, wanted)
        return [content for content in wanted if content in missing]

    def _link(self, view: Path, files: Mapping[str, SetFile]) -> None:
        view.mkdir(parents=True, exist_ok=True)
        for name, entry in files.items():
            place, file = view / name, self._file(entry.content)
            os.utime(file)
            try:
                if place.exists() and place.samefile(file):
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                place.unlink(missing_ok=True)
                os.link(file, place)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                raise DatasetError(f"image {name!r} is also the folder of others; rename one of them.") from None
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP):
                    raise
                raise StoreError(f"{self._folder} must be on a disk with hard links, got: {error.strerror}; set DETKDS_HOME.") from None

    def _file(self, content: str) -> Path:
        return self._folder / "files" / content[:2] / content

    def _make_room(self, need: int, wanted: Collection[str], what: str) -> None:
        used, idle = self._survey(wanted)
        free = shutil.disk_usage(self._folder).free
        if used + need > self._limit or need > free:
            self._drop_views()
            used, idle = self._survey(wanted)
        for _, size, file in sorted(idle):
            if used + need <= self._limit and need <= free:
                return
            file.unlink()
            used, free = used - size, free + size
        if used + need > self._limit:
            raise StoreError(
                f"{what} need {in_words(need)} more, but tasks of this machine hold {in_words(used)} of the {in_words(self._limit)} "
                f"that {CACHE_GB} allows; wait for them, or raise it."
            )
        if need > free:
            raise StoreError(
                f"{what} need {in_words(need)}, but the disk of {self._folder} has {in_words(free)} free; free some and run again."
            )

    def _survey(self, wanted: Collection[str]) -> tuple[int, list[tuple[float, int, Path]]]:
        """All bytes stored; time of last use, size and path of each file not in use. What a killed task left is deleted at once."""
        used, idle = 0, []
        for file in (self._folder / "files").glob("*/*"):
            found = file.stat()
            if file.name.endswith(UNFINISHED):
                file.unlink()
                continue
            used += found.st_size
            if found.st_nlink == 1 and file.name not in wanted:
                idle.append((found.st_mtime, found.st_size, file))
        return used, idle

    def _drop_views(self) -> None:
        """Remove the views that no process uses; their files stay until the space is needed. Only the process that fills the cache adds
        or removes a view."""
        for lock in (self._folder / "views").glob("*.lock"):
            handle = try_lock(lock)
            if handle is not None:
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink()
                os.close(handle)


def release(view: Path) -> None:
    """Give a view back before the process ends."""
    os.close(_views.pop(view))


def _hold(lock: Path) -> int:
    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    fcntl.flock(handle, fcntl.LOCK_SH)
    return handle


@contextmanager
def _closing(handle: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(handle)


def _limit_of_environment() -> int:
    value = os.environ.get(CACHE_GB) or str(DEFAULT_GB)
    try:
        size = float(value)
    except ValueError:
        size = 0.0
    if not 0 < size < 1e9:
        raise ConfigError(f"{CACHE_GB} must be a number of gigabytes above 0, got {value[:40]!r}; correct it.")
    return int(size * 1e9)
