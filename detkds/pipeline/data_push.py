"""A data set of this machine into the store."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from detkds.data.checking.folders import annotation_files
from detkds.data.coco import inspect, summary
from detkds.errors import ConfigError, DatasetError
from detkds.pipeline.local_store import local_store
from detkds.storage.meter import Meter, in_words
from detkds.storage.push import push
from detkds.storage.set_files import set_files
from detkds.storage.uri import ENDPOINT, is_s3, open_store, split


def data_push(folder: Path, address: str, *, check: bool, home: Path, console: Console, embedded_s3: bool = False) -> None:
    """Check a COCO-format data set and store it with an index; what exists already is not sent again.

    Args:
        folder: of the set.
        address: s3://bucket/prefix.
        check: look at annotations and image headers first.
        home: the folder of the store where DETKDS_S3_ENDPOINT names none; the bucket is made there.
        console: where progress is shown.
        embedded_s3: push to the embedded server instead.

    Raises:
        DatasetError: the set has faults, or files that cannot be stored; nothing is sent then.
        ConfigError: the address is none of a place in a bucket.
        StoreError: the store cannot be reached or refuses; the same call resumes from there.
    """
    if not is_s3(address) or not split(address)[1]:
        raise ConfigError(f"{address} must be a place in a bucket, as s3://detkds/data/coco; correct it.")
    found = set_files(folder, split(address)[1])
    if check:
        _check(folder, console)
    if found.left_out:
        console.print(f"left out {len(found.left_out)} hidden files, first {found.left_out[0]}", markup=False, style="dim")
    with local_store(home, console, embedded=embedded_s3):
        store = open_store(address)
        if embedded_s3 or not os.environ.get(ENDPOINT):
            store.ensure_bucket()  # of our own folder or server; in any other store a missing bucket is a mistake
        with console.status("looking at what is there") as status:

            def show(meter: Meter, tenth: bool) -> None:
                status.update(str(meter))
                if tenth and not console.is_terminal:
                    console.print(str(meter), markup=False)

            done = push(folder, found, store, show)
    console.print(
        f"{store.uri()} holds {len(found.sizes):,} files, {in_words(sum(found.sizes.values()))}; sent {done.sent:,} of them, "
        f"{in_words(done.sent_size)}",
        markup=False,
        soft_wrap=True,
    )
    if done.strangers:
        console.print(f"{done.strangers:,} other objects are there too; they stay, and are not part of the set", markup=False)


def _check(folder: Path, console: Console) -> None:
    """Refuse a set with faults, or with annotations whose images are not below the folder."""
    for path in annotation_files(folder):
        with console.status(f"checking {path.name}"):
            found = inspect(path, near=True)
        if not found.findings.sound or found.document is None:
            raise DatasetError(summary(found.findings))
        if found.images is None or not found.images.resolve().is_relative_to(folder.resolve()):
            raise DatasetError(f"{path} names images that are not below {folder}; put them there, or push without a check: --no-check.")
        counts = f"{len(found.document['images']):,} images, {len(found.document['annotations']):,} objects"
        console.print(f"{path.relative_to(folder)}: good, {counts}", markup=False, soft_wrap=True)
