"""Stage 1, subset: validate the data set, draw search-train and search-val from its training images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from detkds.data.coco import load
from detkds.data.sampling.counting import Counting
from detkds.data.sampling.subset import Split, nested_name, split
from detkds.data.unlabelled import drawn as draw_unlabelled
from detkds.data.writing import write_coco
from detkds.errors import ArtifactError, DatasetError
from detkds.pipeline import unlabelled
from detkds.pipeline.data_set import DataSet, data_set
from detkds.pipeline.leakage import shared_content
from detkds.pipeline.progress import report_errors, say
from detkds.pipeline.settings import Result, Source
from detkds.pipeline.subset_markdown import markdown
from detkds.storage.artifacts import publishing, verify

KIND = "subset"
UNLABELLED = ("unlabelled", "search_unlabelled")
"""Names of the annotations without objects: of a training, and of a candidate's."""


@dataclass(frozen=True)
class Part:
    """One annotation file of the artifact, on this machine, and where its images are.

    Args:
        annotations: its path.
        root, folder: the data set's address, and the folder of the images in it.
        state: of the images when the subset was drawn; see `DataSet.state`.
    """

    annotations: Path
    root: str
    folder: str
    state: str

    @cached_property
    def images(self) -> Path:
        """The folder of the images; those of a store are fetched, and are here until this process ends.

        Raises:
            ArtifactError: an image is damaged, or another than when the subset was drawn.
            DetKDSError: see `DataSet.images`.
        """
        place = data_set(self.root)
        if (folder := place.in_place(self.folder)) is not None:
            return folder
        names = _names(json.loads(self.annotations.read_text()))
        if place.state(self.folder, names) != self.state:
            raise ArtifactError(
                f"images of {self.root}/{self.folder} changed since {self.annotations} was drawn; run the subset stage again."
            )
        return place.images(self.folder, names)


@report_errors
def run(
    source: Source,
    *,
    fraction: float,
    val_fraction: float,
    seed: int,
    out: Path,
    nested: Sequence[float] = (),
    counting: Counting | None = None,
) -> Result:
    """Publish train.json, search_train.json, search_val.json, test.json and summary.json at `out`. No image is moved.

    Of a set in a store only the annotations are fetched; that its images are there is known from its index or listing, and what is in
    them is looked at when a later stage fetches them.

    Where the source has images without labels, unlabelled.json holds them, without those that are labelled training images, and
    search_unlabelled.json the share `fraction` of them; they are looked at here, and so fetched from a store.

    Train and test images are compared by content: one that is in both is an error. Of training images with the same content only the
    one of lowest id may be drawn, so that search-train and search-val share none.

    Args:
        source: the data set.
        fraction, val_fraction, seed: of search-train and search-val, as in `split`.
        out: the artifact.
        nested: shares of the training images, at most `fraction`; search_train_SHARE.json is published for each, all within each other.
        counting: what counts as an object, how large it is, and which images may be drawn.

    Raises:
        DatasetError: a file breaks rules of the COCO format, the two files differ in classes, or share an image.
        ConfigError: a share or the seed is out of range.
    """
    place = data_set(source.root)
    train, test = _loaded(place, source)
    require_same_classes(source, train, test)
    content = shared_content(place, source, train, test)
    rules = counting or Counting()
    drawn = split(
        train, fraction=fraction, val_fraction=val_fraction, seed=seed, nested=nested, counting=rules, leave_out=content.repeated_ids
    )
    summary = drawn.summary | {"counting": asdict(rules), "content": content.to_json()}
    beside = unlabelled.found(place, source, train, test) if source.unlabelled else None
    parts = {"train": train} | _parts(drawn) | {"test": test}
    if beside:
        parts |= {"unlabelled": beside.content, "search_unlabelled": draw_unlabelled(beside.content, fraction, seed)}
        summary["unlabelled"] = beside.counts
    counts = {name: len(part["images"]) for name, part in parts.items()}
    folders = {name: source.test_images if name == "test" else source.train_images for name in parts}
    roots: dict[str, str] = {}
    if beside:
        folders |= dict.fromkeys(UNLABELLED, beside.folder)
        roots = dict.fromkeys(UNLABELLED, beside.root)
    places = {name: data_set(roots[name]) if roots.get(name, source.root) != source.root else place for name in parts}
    states = {name: places[name].state(folders[name], _names(part)) for name, part in parts.items()}
    summary["image_digests"] = states  # so that the artifact is another one, and with it the key of all work on it, where a picture changed
    meta: dict[str, Any] = {"root": source.root, "folders": folders, "states": states, "images": counts}
    meta |= {"roots": roots} if roots else {}
    with publishing(out, kind=KIND, meta=meta) as folder:
        for name, part in parts.items():
            write_coco(folder / f"{name}.json", part)
        write_coco(folder / "summary.json", summary)
    if beside:
        say("subset", f"unlabelled: {beside}")
    say("subset", ", ".join(f"{name.replace('_', '-')} {count} images" for name, count in counts.items()))
    return Result({**counts, "classes": len(train["categories"])}, markdown=markdown(parts, summary, drawn.seconds, drawn.equal_time))


def _loaded(place: DataSet, source: Source) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both annotation files, validated.

    Raises:
        DatasetError: every fault of either split, one line each. This is the first task that reads the data, before any task uses a GPU.
    """
    found, faults = [], []
    for file, images in ((source.train_annotations, source.train_images), (source.test_annotations, source.test_images)):
        try:
            found.append(load(place.annotations(file), place.in_place(images)))
        except (DatasetError, ArtifactError) as error:
            faults.append(str(error))
    if faults:
        raise DatasetError("\n".join(faults))
    return found[0], found[1]


def part(subset: Path, name: str) -> Part:
    """The annotations `name` of a subset artifact (train, search_train, search_val, test, unlabelled, search_unlabelled, or `nested_name`
    of a share), with the images they speak of.

    Raises:
        ArtifactError: the artifact is not whole, or has no such annotations.
    """
    meta = verify(subset, KIND).meta
    if name not in meta["folders"]:
        raise ArtifactError(f"subset {subset} has no {name.replace('_', ' ')} images; run the subset stage again.")
    return Part(subset / f"{name}.json", meta.get("roots", {}).get(name, meta["root"]), meta["folders"][name], meta["states"][name])


def _names(part: Mapping[str, Any]) -> list[str]:
    return [image["file_name"] for image in part["images"]]


def _parts(drawn: Split) -> dict[str, dict[str, Any]]:
    inner = {nested_name(share): part for share, part in drawn.nested.items()}
    return {"search_train": drawn.search_train, "search_val": drawn.search_val} | inner


def require_same_classes(source: Source, train: Mapping[str, Any], test: Mapping[str, Any]) -> None:
    """Refuse a test set of other classes than the training set. The order does not matter: detectors find theirs by name.

    Raises:
        DatasetError: the message names the classes that one of them alone has.
    """
    names = [{category["name"] for category in data["categories"]} for data in (train, test)]
    if apart := ", ".join(sorted(names[0] ^ names[1])):
        raise DatasetError(
            f"{source.train_annotations} and {source.test_annotations} must list the same classes, but {apart} "
            "are in one of them only; write the same categories into both."
        )
