"""Addresses of stored things: s3://bucket/key, or the path of a folder."""

from __future__ import annotations

import os
from pathlib import Path

from detkds.errors import ConfigError
from detkds.storage.folder import FolderStore
from detkds.storage.keys import safe_key
from detkds.storage.store import Store

S3 = "s3://"
ENDPOINT = "DETKDS_S3_ENDPOINT"
FOLDER = "DETKDS_S3_FOLDER"
"""The folder that stands for S3 where no endpoint is named: s3://bucket/key is FOLDER/bucket/key. Commands on one machine set it for
their tasks; a pod of a cluster has none, so a missing endpoint is an error there."""


def is_s3(uri: str) -> bool:
    """Whether `uri` names something in a bucket; otherwise it is a local path.

    Raises:
        ConfigError: another scheme.
    """
    if "://" in uri and not uri.startswith(S3):
        raise ConfigError(f"{_shown(uri)} must be a path or s3://bucket/key; other schemes are not supported.")
    return uri.startswith(S3)


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of an s3:// address; the key is "" for the bucket itself.

    Raises:
        ConfigError: no bucket.
    """
    bucket, _, key = uri.removeprefix(S3).partition("/")
    if not bucket:
        raise ConfigError(f"{_shown(uri)} must name a bucket as in s3://bucket/key; add it.")
    return bucket, key.removesuffix("/")


def open_store(uri: str) -> Store:
    """The store at `uri`: a bucket and prefix, with endpoint and keys from the environment (see `S3Settings`), or a folder.

    Where the environment names no endpoint but DETKDS_S3_FOLDER, buckets are folders below that one.

    Nothing is made and nothing is asked of a server yet; see `Store.ensure_bucket`.

    Raises:
        ConfigError: another scheme, no bucket, or the environment does not name endpoint and keys.
    """
    if not is_s3(uri):
        return FolderStore(Path(uri))
    bucket, key = split(uri)
    if (folder := os.environ.get(FOLDER)) and not os.environ.get(ENDPOINT):
        return FolderStore(Path(folder) / safe_key(bucket), key)
    from detkds.storage.s3 import S3Store  # the minio client costs a quarter of a second, and only addresses in buckets need it
    from detkds.storage.s3_settings import S3Settings

    return S3Store(S3Settings.from_environment(), bucket, key)


def _shown(uri: str) -> str:
    return repr(uri.rpartition("@")[2][:120])  # without a user and password, should someone have written them
