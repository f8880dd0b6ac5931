"""`detkds export --fiftyone`: the folder has the layout of FiftyOne's COCODetectionDataset, and pycocotools reads in it what was found.

FiftyOne itself needs a database and is not installed here; docs/following.md says which version ran the printed lines.
The facts are those of its user guide, "Importing data", and of
fiftyone/utils/coco.py: images below data/, labels.json with images, categories and annotations, and `score` as the confidence. Without
`label_types` the importer of 1.22.1 offers boxes, masks and keypoints as three fields, and asks for pycocotools; with it, the boxes alone.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from rich.console import Console

from detkds.errors import ArtifactError, ConfigError
from detkds.pipeline import publish as published
from detkds.pipeline import published_detections
from detkds.pipeline.export_fiftyone import export, loading
from detkds.pipeline.subset import Part
from detkds.storage.artifacts import publishing

TRUTH = {
    "images": [{"id": 7, "file_name": "a.png", "width": 40, "height": 30}, {"id": 9, "file_name": "deep/b.png", "width": 40, "height": 30}],
    "categories": [{"id": 3, "name": "cell"}, {"id": 5, "name": "platelet"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 10], "area": 100, "iscrowd": 0},
        {"id": 2, "image_id": 9, "category_id": 5, "bbox": [5, 5, 4, 3], "area": 12, "iscrowd": 0},
    ],
}
FOUND = {
    "teacher": [{"image_id": 7, "category_id": 3, "bbox": [1, 2, 9, 11], "score": 0.9}],
    "distilled": [
        {"image_id": 7, "category_id": 3, "bbox": [1, 2, 8, 8], "score": 0.8},
        {"image_id": 9, "category_id": 3, "bbox": [5, 5, 4, 4], "score": 0.25},
    ],
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Of this test alone."""
    return tmp_path / "home"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "set" / "test"
    (folder / "deep").mkdir(parents=True)
    for image in TRUTH["images"]:
        (folder / str(image["file_name"])).write_bytes(str(image["id"]).encode())
    return folder


@pytest.fixture
def store(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A published run in a folder that stands for a bucket."""
    publish(tmp_path, str(images.parent), "cells")
    monkeypatch.delenv("DETKDS_S3_ENDPOINT", raising=False)
    return "s3://detkds"


def publish(tmp_path: Path, root: str, run: str) -> None:
    test, evaluation = tmp_path / f"{run}.json", tmp_path / f"evaluation-{run}"
    test.write_text(json.dumps(TRUTH))
    evaluation.mkdir()
    for name, detections in FOUND.items():
        (evaluation / f"detections_{name}.json").write_text(json.dumps(detections))
    part = Part(test, root, "test", "state")
    with publishing(tmp_path / f"results-{run}", kind=published.KIND, meta={"run": run, **published_detections.place_of(part)}) as inside:
        published_detections.write(inside, part, evaluation)
    published.publish(tmp_path / f"results-{run}", run, str(tmp_path / "home" / "store" / "detkds" / "runs"))


def take(to: Path, store: str, home: Path, run: str = "cells", images: Path | None = None) -> str:
    out = io.StringIO()
    export(run, store, to, images, home, Console(file=out, width=200))
    return out.getvalue()


def boxes(path: Path) -> list[tuple[Any, ...]]:
    read = COCO(str(path))
    names = {category["id"]: category["name"] for category in read.loadCats(read.getCatIds())}
    found = read.loadAnns(read.getAnnIds())
    return [(one["image_id"], names[one["category_id"]], one["bbox"], one.get("score")) for one in found]


def test_the_folder_has_images_objects_and_what_each_detector_found(tmp_path: Path, store: str, home: Path) -> None:
    said = take(tmp_path / "out", store, home)
    assert boxes(tmp_path / "out" / "labels.json") == [(7, "cell", [1, 2, 10, 10], None), (9, "platelet", [5, 5, 4, 3], None)]
    assert boxes(tmp_path / "out" / "teacher.json") == [(7, "cell", [1, 2, 9, 11], 0.9)]
    assert boxes(tmp_path / "out" / "distilled.json") == [(7, "cell", [1, 2, 8, 8], 0.8), (9, "cell", [5, 5, 4, 4], 0.25)]
    for image in TRUTH["images"]:
        assert (tmp_path / "out" / "data" / str(image["file_name"])).read_bytes() == str(image["id"]).encode()
    assert loading(tmp_path / "out", ["distilled", "teacher"]) in said


def test_the_lines_that_load_it_are_python(tmp_path: Path) -> None:
    lines = [line.removeprefix("  ") for line in loading(tmp_path, ["teacher"]).splitlines()]
    compile("\n".join(lines), "loading", "exec")


def test_images_that_lie_elsewhere_are_named(tmp_path: Path, store: str, home: Path, images: Path) -> None:
    moved = images.rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match=r"image .*a\.png does not exist; name the folder of the test images with --images\."):
        take(tmp_path / "out", store, home)
    take(tmp_path / "other", store, home, images=moved)
    publish(tmp_path, "pvc://claim/set", "volume")
    with pytest.raises(ConfigError, match="not where this machine can read them; name their folder with --images"):
        take(tmp_path / "third", store, home, "volume")


def test_what_is_there_is_not_replaced(tmp_path: Path, store: str, home: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    with pytest.raises(ConfigError, match="is not an empty folder; name another one"):
        take(tmp_path / "out", store, home)


def test_results_of_before_say_so(tmp_path: Path, store: str, home: Path) -> None:
    with publishing(tmp_path / "old", kind=published.KIND, meta={"run": "old"}) as inside:
        (inside / "recipe.txt").write_text("")
    published.publish(tmp_path / "old", "old", str(home / "store" / "detkds" / "runs"))
    with pytest.raises(ArtifactError, match="the results of old hold no detections"):
        take(tmp_path / "out", store, home, "old")
