"""The images without labels of a run: found, held apart from those with labels, and looked at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkds.data.unlabelled import are_images, document
from detkds.errors import DatasetError
from detkds.pipeline.data_set import DataSet, data_set
from detkds.pipeline.settings import Source
from detkds.storage.uri import is_s3

Key = tuple[str, str]
"""train, test or unlabelled, and a file name in that folder."""


@dataclass(frozen=True)
class Found:
    """The images without labels of a run.

    Args:
        root, folder: the data set's address, and the folder in it.
        content: a COCO document of the images that are used, without annotations.
        labelled: how many were left out because they are labelled training images too.
        repeated: how many were left out because they repeat another unlabelled image.
        others: files that do not end like images.
    """

    root: str
    folder: str
    content: dict[str, Any]
    labelled: int
    repeated: int
    others: int

    @property
    def images(self) -> int:
        """How many are used."""
        return len(self.content["images"])

    @property
    def counts(self) -> dict[str, int]:
        """How many are used, and how many were left out for which reason."""
        return {"images": self.images, "labelled": self.labelled, "repeated": self.repeated, "others": self.others}

    def __str__(self) -> str:
        """For people: 165 images; left out: 40 labelled for training."""
        left_out = {"labelled for training": self.labelled, "repeated": self.repeated, "not named like an image": self.others}
        told = ", ".join(f"{count} {what}" for what, count in left_out.items() if count)
        return f"{self.images} images" + (f"; left out: {told}" if told else "")


def found(place: DataSet, source: Source, train: Mapping[str, Any], test: Mapping[str, Any]) -> Found:
    """The images of `source.unlabelled`, without those that are labelled training images: the student sees these with all losses.

    Images are compared by content, whatever their names. Those in a store are fetched, since their sizes are read from the files.

    Args:
        place: of the labelled images.
        source: names the folder.
        train, test: the labelled images, as parsed.

    Raises:
        DatasetError: no image was found, one is a test image, or a file breaks rules of labelled images; one line.
        ArtifactError, StoreError: the store has not what is named, or cannot be reached.
    """
    root, folder = address(source.root, source.unlabelled)
    own = place if root == source.root else data_set(root)
    names, others = are_images(own.names(folder))
    if not names:
        raise DatasetError(f"data.unlabelled.images: {source.unlabelled} holds no image; correct the folder, or leave data.unlabelled out.")
    groups = _same_content(place, source, own, folder, names, {"train": train, "test": test})
    _require_apart(source, groups)
    labelled = {name for group in groups if any(kind == "train" for kind, _ in group) for kind, name in group if kind == "unlabelled"}
    alike = {name for group in groups for name in [name for kind, name in group if kind == "unlabelled"][1:]}
    used = [name for name in names if name not in labelled | alike]
    if not used:
        reason = f"all {len(names)} images of {source.unlabelled} are labelled training images"
        raise DatasetError(f"data.unlabelled.images: {reason}; leave data.unlabelled out.")
    images = own.in_place(folder) or own.images(folder, used)
    return Found(root, folder, document(images, used, train["categories"]), len(labelled), len(alike - labelled), others)


def address(root: str, images: str) -> tuple[str, str]:
    """The data set and the folder in it of `data.unlabelled.images`: relative to the root, or an address of its own."""
    inside = f"{root.rstrip('/')}/"
    if images.startswith(inside):
        return root, images.removeprefix(inside)
    return (images, "") if is_s3(images) or (is_s3(root) and Path(images).is_absolute()) else (root, images)


def _same_content(
    place: DataSet, source: Source, own: DataSet, folder: str, names: Sequence[str], labelled: Mapping[str, Mapping[str, Any]]
) -> list[list[Key]]:
    """Groups of files with the same content that have an unlabelled one."""
    folders = {"train": source.train_images, "test": source.test_images}
    files: dict[Key, tuple[str, str]] = {("unlabelled", name): (folder, name) for name in names}
    known: dict[Key, tuple[str, str]] = {
        (kind, image["file_name"]): (folders[kind], image["file_name"]) for kind, data in labelled.items() for image in data["images"]
    }
    if own is place:
        groups, _ = place.same_content({**files, **known})
    else:
        words: dict[str, list[Key]] = defaultdict(list)
        for at, keys in ((own, files), (place, known)):
            for key, word in at.sha256(keys).items():
                words[word].append(key)
        groups = [group for group in words.values() if len(group) > 1]
    return [group for group in groups if any(kind == "unlabelled" for kind, _ in group)]


def _require_apart(source: Source, groups: Sequence[Sequence[Key]]) -> None:
    shared = [(own, test) for group in groups for kind, test in group if kind == "test" for of, own in group if of == "unlabelled"]
    if shared:
        raise DatasetError(
            f"unlabelled images must not be test images, but {len({own for own, _ in shared})} of {source.unlabelled} are, first "
            f"{shared[0][0]}, which has the content of {source.test_images}/{shared[0][1]}; remove them from {source.unlabelled}."
        )
