"""Stage 1, subset: validate the data set, draw search-train and search-val from its training images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkds.data.coco import load
from detkds.data.document import to_json
from detkds.data.subset import split
from detkds.errors import DatasetError
from detkds.stages.plans import Result, Source
from detkds.stages.progress import say, told
from detkds.stages.workplace import local
from detkds.storage.artifacts import publishing, verify

KIND = "subset"


@dataclass(frozen=True, slots=True)
class Part:
    """One annotation file of the artifact and the folder of its images, both on this machine."""

    annotations: Path
    images: Path


@told
def run(source: Source, *, fraction: float, val_fraction: float, seed: int, out: Path) -> Result:
    """Publish train.json, search_train.json, search_val.json and test.json at `out`. No image is moved.

    Raises:
        DatasetError: a file breaks rules of the COCO format, the two files differ in classes, or share an image.
    """
    root = local(source.root)
    train = load(root / source.train_annotations, root / source.train_images)
    test = load(root / source.test_annotations, root / source.test_images)
    _require_comparable(source, train, test)
    drawn = split(train, fraction=fraction, val_fraction=val_fraction, seed=seed)
    parts = {"train": train, "search_train": drawn.search_train, "search_val": drawn.search_val, "test": test}
    counts = {name: len(part["images"]) for name, part in parts.items()}
    meta = {"root": source.root, "train_images": source.train_images, "test_images": source.test_images, "images": counts}
    with publishing(out, kind=KIND, meta=meta) as folder:
        for name, part in parts.items():
            (folder / f"{name}.json").write_text(to_json(part))
        (folder / "summary.json").write_text(to_json(drawn.summary))
    say("subset", ", ".join(f"{name.replace('_', '-')} {count} images" for name, count in counts.items()))
    return Result({**counts, "classes": len(train["categories"])}, markdown=_markdown(parts))


def part(subset: Path, name: str) -> Part:
    """The annotations `name` (train, search_train, search_val or test) of a subset artifact, with the images they speak of.

    Raises:
        ArtifactError: the artifact is not whole.
    """
    meta = verify(subset, KIND).meta
    images = meta["test_images"] if name == "test" else meta["train_images"]
    return Part(subset / f"{name}.json", local(meta["root"]) / images)


def _require_comparable(source: Source, train: Mapping[str, Any], test: Mapping[str, Any]) -> None:
    classes = [[category["name"] for category in data["categories"]] for data in (train, test)]
    if classes[0] != classes[1]:
        raise DatasetError(
            f"{source.train_annotations} and {source.test_annotations} must list the same classes in the same order, "
            f"got {classes[0]} and {classes[1]}."
        )
    paths = [
        {f"{folder}/{image['file_name']}" for image in data["images"]}
        for folder, data in ((source.train_images, train), (source.test_images, test))
    ]
    if shared := sorted(paths[0] & paths[1]):
        raise DatasetError(f"the test set must not share images with the training set, but {len(shared)} are in both, first {shared[0]}.")


def _markdown(parts: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [f"| {name.replace('_', '-')} | {len(part['images'])} | {len(part['annotations'])} |" for name, part in parts.items()]
    return "\n".join(["| part | images | annotations |", "|---|---:|---:|", *rows, ""])
