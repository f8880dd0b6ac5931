"""Bring the file or artifact that an address names to this machine, once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from detkds.errors import ArtifactError, ConfigError
from detkds.storage.artifacts import locked, publishing, verify
from detkds.storage.manifest import MANIFEST
from detkds.storage.store import Store
from detkds.storage.uri import is_s3, open_store, split


def fetch(uri: str, cache: Path) -> Path:
    """The local path of what `uri` names: a local file or folder as it is, or the copy of a file in a bucket.

    An object is downloaded below `cache`; a second fetch of the same content reads the cached copy, verifies it, and asks the store only
    whether it is still the same, by its tag and size.

    Raises:
        ConfigError: an address of another scheme, or of a whole bucket.
        ArtifactError: nothing exists there, a folder is, or the object changed meanwhile.
        StoreError: the store cannot be reached or refuses.
    """
    if not is_s3(uri):
        if not Path(uri).exists():
            raise ArtifactError(f"{uri} does not exist; correct the path.")
        return Path(uri)
    bucket, key = split(uri)
    if not key:
        raise ConfigError(f"{uri} is a whole bucket; name a file in it, as in {uri.rstrip('/')}/models/student.pth.")
    store = open_store(f"s3://{bucket}")
    found = store.stat(key)
    if found is None:
        what = "is a folder; name a file in it" if store.list(key) else "does not exist; correct the address, or put the file there"
        raise ArtifactError(f"{uri} {what}.")
    place = cache / hashlib.sha256(f"{uri}\0{found.size}\0{found.etag}".encode()).hexdigest()[:32]
    name = key.rpartition("/")[2]
    with locked(place.with_suffix(".lock")):
        if not _intact(place):
            with publishing(place, kind="fetched", meta={"uri": uri}) as folder:
                store.get_file(key, folder / name)
                if (size := (folder / name).stat().st_size) != found.size:
                    raise ArtifactError(f"{uri} must have {found.size} bytes, got {size}; it changed meanwhile, fetch again.")
    return place / name


def fetch_folder(store: Store, key: str, cache: Path, kind: str) -> Path:
    """The local path of the artifact at `key`, fetched and verified once for all processes of this machine.

    Raises:
        ArtifactError: no artifact is there, of another kind, or damaged.
        StoreError: the store cannot be reached or refuses.
    """
    manifest = store.manifest(key)
    if manifest is None:
        raise ArtifactError(f"{store.uri(key)} holds no finished artifact; run the stage that makes it again.")
    whole = hashlib.sha256(manifest.to_text().encode()).hexdigest()  # the manifest's own digest leaves out what describes the files
    place = cache / f"{kind}-{whole[:32]}"
    with locked(place.with_suffix(".lock")):
        if not _intact(place):
            store.get_folder(key, place, kind)
    return place


def _intact(place: Path) -> bool:
    if not (place / MANIFEST).is_file():
        return False
    try:
        verify(place)
    except ArtifactError:
        return False  # a damaged copy is fetched again
    return True


def fingerprint(uri: str) -> str:
    """A text that changes when the content of an s3:// address changes: the manifest's digest, or the store's tags and sizes.

    Raises:
        ArtifactError: nothing exists there.
        StoreError: the store cannot be reached or refuses.
    """
    bucket, key = split(uri)
    store = open_store(f"s3://{bucket}")
    manifest = store.manifest(key)
    if manifest is not None:
        return manifest.digest
    single = store.stat(key) if key else None
    objects = [single] if single is not None else store.list(key)
    if not objects:
        raise ArtifactError(f"{uri} does not exist; correct the address, or put the file or folder there.")
    return hashlib.sha256("\n".join(f"{entry.key}\0{entry.size}\0{entry.etag}" for entry in objects).encode()).hexdigest()
