"""Images that are in the training and in the test set, whatever their names: a test on them would flatter every detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detkds.errors import DatasetError
from detkds.pipeline.data_set import DataSet
from detkds.pipeline.progress import say
from detkds.pipeline.settings import Source

LISTED = 1000  # shared images that the log names


@dataclass(frozen=True, slots=True)
class Content:
    """What comparing the image files showed.

    Args:
        files: how many were compared, all of train and test.
        compared_by: content, or the store's tags where the images were not fetched.
        repeated_ids: ids of training images whose content an image of lower id has too.
        repeated_test_images: how many test images repeat another's content.
    """

    files: int
    compared_by: str
    repeated_ids: tuple[int, ...]
    repeated_test_images: int

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the summary."""
        return {
            "compared_files": self.files,
            "compared_by": self.compared_by,
            "in_train_and_test": 0,
            "repeated_train_images": list(self.repeated_ids),
            "repeated_test_images": self.repeated_test_images,
        }


def shared_content(place: DataSet, source: Source, train: Mapping[str, Any], test: Mapping[str, Any]) -> Content:
    """Compare the content of all image files of train and test; in a store by their checksums, for no image is fetched.

    Raises:
        DatasetError: an image is in both. The message counts them and names the first, the log names them all.
    """
    if (source.train_annotations, source.train_images) == (source.test_annotations, source.test_images):
        raise DatasetError(
            f"data.train and data.test both name {source.train_annotations}; a result on images that the student was trained on says "
            "nothing. Name other images as data.test."
        )
    files: dict[tuple[str, int], tuple[str, str]] = {}
    names: dict[tuple[str, int], str] = {}
    for kind, data, folder in (("train", train, source.train_images), ("test", test, source.test_images)):
        for image in sorted(data["images"], key=lambda image: int(image["id"])):
            names[kind, image["id"]] = f"{folder}/{image['file_name']}"
            files[kind, image["id"]] = folder, image["file_name"]
    groups, how = place.same_content(files)
    _require_apart(source, [[(kind, names[kind, id]) for kind, id in group] for group in groups])
    repeated = [key for group in groups for key in group[1:]]
    ids = tuple(sorted(id for kind, id in repeated if kind == "train"))
    return Content(len(files), how, ids, len(repeated) - len(ids))


def _require_apart(source: Source, groups: list[list[tuple[str, str]]]) -> None:
    shared = [(train, test) for group in groups for kind, test in group if kind == "test" for train in _trained(group)[:1]]
    for train, test in shared[:LISTED]:
        say("subset", f"{test} has the same content as {train}")
    if shared:
        raise DatasetError(
            f"the test set must not share images with the training set, but {len(shared)} are in both, first {shared[0][1]}, which has the "
            f"content of {shared[0][0]}; remove them from {source.train_annotations} or {source.test_annotations}."
        )


def _trained(group: list[tuple[str, str]]) -> list[str]:
    return [name for kind, name in group if kind == "train"]
