"""Stage 1: what it publishes, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from detkds.errors import DatasetError
from detkds.stages import subset as stage
from detkds.stages.plans import Source
from detkds.storage import verify


def images(path: Path) -> set[str]:
    return {image["file_name"] for image in json.loads(path.read_text())["images"]}


def test_the_parts_are_disjoint_and_speak_of_the_same_folder(subset: Path, pictures: Path) -> None:
    parts = {name: stage.part(subset, name) for name in ("train", "search_train", "search_val", "test")}
    assert parts["search_train"].images == parts["train"].images == pictures / "train"
    assert parts["test"].images == pictures / "test"
    search_train, search_val, train = (images(parts[name].annotations) for name in ("search_train", "search_val", "train"))
    assert (len(search_train), len(search_val)) == (6, 6)
    assert not search_train & search_val
    assert search_train | search_val == train
    assert verify(subset, "subset").meta["images"] == {"train": 12, "search_train": 6, "search_val": 6, "test": 4}


def test_the_same_seed_gives_the_same_artifact(source: Source, subset: Path, tmp_path: Path) -> None:
    stage.run(source, fraction=0.5, val_fraction=0.5, seed=0, out=tmp_path / "again")
    stage.run(source, fraction=0.5, val_fraction=0.5, seed=5, out=tmp_path / "other")
    assert verify(tmp_path / "again").digest == verify(subset).digest != verify(tmp_path / "other").digest


def test_a_test_set_of_training_images_is_refused(source: Source, tmp_path: Path) -> None:
    same = replace(source, test_annotations=source.train_annotations, test_images=source.train_images)
    with pytest.raises(DatasetError, match="must not share images with the training set, but 12 are in both"):
        stage.run(same, fraction=0.5, val_fraction=0.5, seed=0, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_annotation_outside_its_image_is_named_and_nothing_is_written(source: Source, pictures: Path, tmp_path: Path) -> None:
    content = json.loads((pictures / source.train_annotations).read_text())
    content["annotations"][0]["bbox"] = [60, 60, 30, 30]
    broken = pictures / "annotations" / "broken.json"
    broken.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=f"annotation {content['annotations'][0]['id']}"):
        stage.run(
            replace(source, train_annotations="annotations/broken.json"), fraction=0.5, val_fraction=0.5, seed=0, out=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_other_classes_in_the_test_set_are_refused(source: Source, pictures: Path, tmp_path: Path) -> None:
    content = json.loads((pictures / source.test_annotations).read_text())
    content["categories"][0]["name"] = "something else"
    (pictures / "annotations" / "renamed.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="must list the same classes in the same order"):
        stage.run(
            replace(source, test_annotations="annotations/renamed.json"), fraction=0.5, val_fraction=0.5, seed=0, out=tmp_path / "out"
        )
