"""A data set of many small files into the store and back: `python benchmarks/storage/bench.py`. The baseline is a plain client's loop.

Server and client share this machine, so the rates are those of the two programs and not of a line.
"""

from __future__ import annotations

import io
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from minio import Minio

from detkds.storage import open_store
from detkds.storage.image_cache import ImageCache, release
from detkds.storage.push import push
from detkds.storage.server import EmbeddedServer
from detkds.storage.set_files import set_files
from detkds.storage.stored_set import StoredSet

FILES, FILE_BYTES = 2000, 50_000
BUCKET = "bench"


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def plain_client(server: EmbeddedServer) -> Minio:
    names = server.environment()
    host = server.endpoint.partition("://")[2]
    keys = names["DETKDS_S3_ACCESS_KEY"], names["DETKDS_S3_SECRET_KEY"]
    return Minio(host, access_key=keys[0], secret_key=keys[1], secure=False, region="us-east-1")


def plain_puts(client: Minio, folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        client.put_object(BUCKET, f"plain/{path.name}", io.BytesIO(data), len(data))


def plain_gets(client: Minio, folder: Path) -> None:
    folder.mkdir()
    for number in range(FILES):
        with client.get_object(BUCKET, f"plain/{number:05}.jpg") as response:
            (folder / f"{number:05}.jpg").write_bytes(response.read())


def measure(scratch: Path, server: EmbeddedServer) -> dict[str, float]:
    folder = scratch / "set"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:05}.jpg").write_bytes(secrets.token_bytes(FILE_BYTES))
    store, client = open_store(f"s3://{BUCKET}/set"), plain_client(server)
    store.ensure_bucket()

    def pushed() -> None:
        push(folder, set_files(folder), store, lambda meter, tenth: None)

    def viewed() -> None:
        stored = StoredSet(store.uri())
        files = stored.files("", (f"{number:05}.jpg" for number in range(FILES)))
        release(ImageCache(scratch / "cache", limit=10**9).view(files, stored.read, "the images"))

    return {
        "push": seconds(pushed),
        "plain puts, one after another": seconds(lambda: plain_puts(client, folder)),
        "push again, nothing to send": seconds(pushed),
        "fetch into the cache": seconds(viewed),
        "plain gets, one after another": seconds(lambda: plain_gets(client, scratch / "plain")),
        "from the cache, every sha256 checked": seconds(viewed),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, EmbeddedServer(Path(scratch) / "s3") as server:
        os.environ.update(server.environment())
        times = measure(Path(scratch), server)
    print(f"\n### Storage: {FILES:,} files of {FILE_BYTES / 1000:g} kB\n\n| what | s | files/s | MB/s |\n|---|---:|---:|---:|")
    for name, spent_s in times.items():
        print(f"| {name} | {spent_s:.2f} | {FILES / spent_s:,.0f} | {FILES * FILE_BYTES / spent_s / 1e6:.1f} |")
    put, get = (
        times[f"plain {verb}, one after another"] / times[own] for verb, own in (("puts", "push"), ("gets", "fetch into the cache"))
    )
    print(f"\nOf the plain client's time, push takes 1/{put:.1f} and fetching 1/{get:.1f}.")


if __name__ == "__main__":
    main()
