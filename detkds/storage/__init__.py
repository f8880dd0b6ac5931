"""Artifacts and the stores that keep them. The embedded S3 server is detkds.storage.server, for those who ask for it."""

from detkds.storage.artifacts import publishing, verify, write_atomic
from detkds.storage.fetch import fetch
from detkds.storage.folder import FolderStore
from detkds.storage.manifest import MANIFEST, FileEntry, Manifest
from detkds.storage.store import Store, StoredObject
from detkds.storage.uri import open_store

__all__ = [
    "MANIFEST",
    "FileEntry",
    "FolderStore",
    "Manifest",
    "Store",
    "StoredObject",
    "fetch",
    "open_store",
    "publishing",
    "verify",
    "write_atomic",
]
