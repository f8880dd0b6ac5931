"""Artifacts, the stores that keep them, and a small S3 server for runs without one."""

from detkds.storage.artifacts import publishing, verify, write_atomic
from detkds.storage.fetch import fetch
from detkds.storage.folder import FolderStore
from detkds.storage.manifest import MANIFEST, FileEntry, Manifest
from detkds.storage.server import EmbeddedServer
from detkds.storage.store import Store, StoredObject
from detkds.storage.uri import open_store

__all__ = [
    "MANIFEST",
    "EmbeddedServer",
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
