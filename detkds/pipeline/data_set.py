"""A run's data set: in a folder of this machine or a mounted volume, where it is read in place, or in a store, from which images come."""

from __future__ import annotations

import hashlib
import os
import posixpath
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from detkds.data.checking.paths import plain_parts
from detkds.data.same_files import same_files
from detkds.errors import DatasetError
from detkds.pipeline.progress import say
from detkds.pipeline.workplace import digests_folder, home, local
from detkds.storage.content_digests import ContentDigests
from detkds.storage.image_cache import ImageCache
from detkds.storage.manifest import file_sha256
from detkds.storage.stored_set import StoredSet
from detkds.storage.uri import is_s3

Key = TypeVar("Key", bound=Hashable)


class DataSet(ABC):
    """Files of a data set, named relative to its root; folders and files as run.yaml and the annotations write them."""

    @abstractmethod
    def annotations(self, name: str) -> Path:
        """The local path of an annotation file.

        Raises:
            ArtifactError: it does not exist or is damaged.
        """

    @abstractmethod
    def in_place(self, folder: str) -> Path | None:
        """The image folder, where images can be read without being fetched."""

    @abstractmethod
    def images(self, folder: str, names: Iterable[str]) -> Path:
        """A local folder with all of these images under their names, until this process ends.

        Raises:
            DatasetError: an image does not exist, or has an unsafe name.
            ArtifactError: an image is damaged.
            ConfigError, StoreError: see `ImageCache.view`.
        """

    @abstractmethod
    def state(self, folder: str, names: Iterable[str]) -> str:
        """A word that changes when the content of one of these images changes.

        Raises:
            ArtifactError: an image does not exist.
        """

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """All files below a folder, relative to it; hidden ones are left out."""

    @abstractmethod
    def sha256(self, files: Mapping[Key, tuple[str, str]]) -> dict[Key, str]:
        """The sha256 of each file (folder and name).

        Raises:
            DatasetError: a file does not exist, or a stored set has no index that knows it.
        """

    @abstractmethod
    def same_content(self, files: Mapping[Key, tuple[str, str]]) -> tuple[list[list[Key]], str]:
        """Groups of files (folder and name) with the same content, in the order given, and how they were compared.

        Raises:
            DatasetError: a file does not exist.
        """


def data_set(root: str) -> DataSet:
    """The data set at a folder or an s3:// address.

    Raises:
        ArtifactError: nothing exists there, or its index is damaged.
        StoreError: the store cannot be reached or refuses.
    """
    return _Stored(StoredSet(root)) if is_s3(root) else _Local(local(root))


class _Local(DataSet):
    def __init__(self, root: Path) -> None:
        self._root = root
        self._contents: dict[str, ContentDigests] = {}

    def annotations(self, name: str) -> Path:
        return self._root / name

    def in_place(self, folder: str) -> Path | None:
        return self._root / folder

    def images(self, folder: str, names: Iterable[str]) -> Path:
        return self._root / folder

    def state(self, folder: str, names: Iterable[str]) -> str:
        contents = self._contents.setdefault(folder, ContentDigests(self._root / folder, digests_folder()))
        return contents.digest(names)

    def names(self, folder: str) -> list[str]:
        place, found = self._root / folder, []
        for at, folders, names in os.walk(place):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [Path(at, name).relative_to(place).as_posix() for name in names if not name.startswith(".")]
        return sorted(found)

    def sha256(self, files: Mapping[Key, tuple[str, str]]) -> dict[Key, str]:
        try:
            return {key: file_sha256(self._root / folder / name) for key, (folder, name) in files.items()}
        except OSError as error:
            raise DatasetError(f"image file {error.filename} must be readable, got: {error.strerror}; put it back.") from None

    def same_content(self, files: Mapping[Key, tuple[str, str]]) -> tuple[list[list[Key]], str]:
        return same_files({key: os.path.join(self._root, folder, name) for key, (folder, name) in files.items()}), "content"


class _Stored(DataSet):
    def __init__(self, stored: StoredSet) -> None:
        self._set = stored

    def annotations(self, name: str) -> Path:
        return self._set.fetch(name, home() / "cache")

    def in_place(self, folder: str) -> Path | None:
        return None

    def images(self, folder: str, names: Iterable[str]) -> Path:
        files = self._set.files(folder, ("/".join(plain_parts(name)) for name in names))
        cache = ImageCache(home() / "cache" / "images", say=lambda text: say("images", text))
        return cache.view(files, self._set.read, f"the images of {self._set.uri}/{folder}")

    def state(self, folder: str, names: Iterable[str]) -> str:
        files = self._set.files(folder, names)
        return hashlib.sha256("\n".join(f"{name}\0{file.content}" for name, file in sorted(files.items())).encode()).hexdigest()

    def names(self, folder: str) -> list[str]:
        inside = f"{posixpath.normpath(folder)}/" if folder else ""
        below = (entry.name.removeprefix(inside) for entry in self._set if entry.name.startswith(inside))
        return [name for name in below if not any(part.startswith(".") for part in name.split("/"))]

    def sha256(self, files: Mapping[Key, tuple[str, str]]) -> dict[Key, str]:
        found: dict[Key, str] = {}
        for key, (folder, name) in files.items():
            known = self._set.files(folder, [name])[name].sha256
            if known is None:
                reason = "has no index, so its images cannot be compared with those of another place"
                raise DatasetError(f"{self._set.uri} {reason}; push it: detkds data push.")
            found[key] = known
        return found

    def same_content(self, files: Mapping[Key, tuple[str, str]]) -> tuple[list[list[Key]], str]:
        known: dict[str, dict[str, str]] = {}
        for folder in {folder for folder, _ in files.values()}:
            names = (name for inside, name in files.values() if inside == folder)
            known[folder] = {name: file.content for name, file in self._set.files(folder, names).items()}
        groups: dict[str, list[Key]] = defaultdict(list)
        for key, (folder, name) in files.items():
            groups[known[folder][name]].append(key)
        how = "the sha256 of the set's index" if self._set.indexed else "the store's tags (a pushed set: by sha256)"
        return [group for group in groups.values() if len(group) > 1], how
