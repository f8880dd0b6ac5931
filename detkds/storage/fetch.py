"""Bring what an address names to this machine, once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from detkds.errors import ArtifactError, ConfigError
from detkds.storage.artifacts import locked, publishing, verify
from detkds.storage.keys import join
from detkds.storage.manifest import MANIFEST, Manifest
from detkds.storage.store import Store, StoredObject, in_parallel
from detkds.storage.uri import is_s3, open_store, split


def fetch(uri: str, cache: Path) -> Path:
    """The local path of what `uri` names: a file, or a folder with its files.

    A local path is returned as it is. An s3:// address is downloaded below `cache` and verified; a second fetch of the same content
    reads the cached copy, verifies it, and asks the store only whether it is still the same. A folder stored by DetKDS is known by
    its manifest, a single object or a folder copied there by other tools by the store's tags and sizes.

    Raises:
        ConfigError: an address of another scheme, or of a whole bucket.
        ArtifactError: nothing is there, or it is damaged.
        StoreError: the store cannot be reached or refuses.
    """
    if not is_s3(uri):
        if not Path(uri).exists():
            raise ArtifactError(f"{uri} does not exist; correct the path.")
        return Path(uri)
    bucket, key = split(uri)
    if not key:
        raise ConfigError(f"{uri} is a whole bucket; name a file or folder in it, as in {uri.rstrip('/')}/models/student.pth.")
    store = open_store(f"s3://{bucket}")
    manifest = store.manifest(key)
    if manifest is not None:
        return _artifact(store, key, cache / manifest.digest[:32], manifest)
    single = store.stat(key)
    if single is not None:
        name = key.rpartition("/")[2]
        return _objects(store, uri, {name: single}, cache) / name
    objects = {entry.key.removeprefix(f"{key}/"): entry for entry in store.list(key)}
    if not objects:
        raise ArtifactError(f"{uri} does not exist; correct the address, or put the file or folder there.")
    return _objects(store, uri, objects, cache)


def _artifact(store: Store, key: str, place: Path, manifest: Manifest) -> Path:
    with locked(place.with_suffix(".lock")):
        if not _intact(place, manifest.digest):
            store.get_folder(key, place)
    return place


def _objects(store: Store, uri: str, objects: dict[str, StoredObject], cache: Path) -> Path:
    """Objects without a manifest, kept as an artifact of their own so that the copy is verified from then on."""
    tags = [f"{name}\0{entry.size}\0{entry.etag}" for name, entry in sorted(objects.items())]
    place = cache / hashlib.sha256("\n".join([uri, *tags]).encode()).hexdigest()[:32]
    with locked(place.with_suffix(".lock")):
        if not _intact(place):
            with publishing(place, kind="fetched", meta={"uri": uri}) as folder:
                in_parallel(lambda name: _copy(store, objects[name], folder / join(name), uri), objects)
    return place


def _copy(store: Store, entry: StoredObject, path: Path, uri: str) -> None:
    store.get_file(entry.key, path)
    if path.stat().st_size != entry.size:
        sizes = f"must have {entry.size} bytes, got {path.stat().st_size}"
        raise ArtifactError(f"{uri}: object {entry.key} {sizes}; it changed meanwhile, fetch again.")


def _intact(place: Path, digest: str | None = None) -> bool:
    if not (place / MANIFEST).is_file():
        return False
    try:
        found = verify(place)
    except ArtifactError:
        return False  # a damaged copy is fetched anew
    return digest is None or found.digest == digest


def fingerprint(uri: str) -> str:
    """A text that changes when what lies at an s3:// address changes: the manifest's digest, or the store's tags and sizes.

    Raises:
        ArtifactError: nothing is there.
        StoreError: the store cannot be reached or refuses.
    """
    bucket, key = split(uri)
    store = open_store(f"s3://{bucket}")
    manifest = store.manifest(key)
    if manifest is not None:
        return manifest.digest
    single = store.stat(key)
    objects = [single] if single is not None else store.list(key)
    if not objects:
        raise ArtifactError(f"{uri} does not exist; correct the address, or put the file or folder there.")
    return hashlib.sha256("\n".join(f"{entry.key}\0{entry.size}\0{entry.etag}" for entry in objects).encode()).hexdigest()
