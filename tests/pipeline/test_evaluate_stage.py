"""The evaluate stage and the measurements that it shares with `detkds evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from detkds.errors import ArtifactError, DatasetError
from detkds.evaluation.scores import Cost
from detkds.genome import Recipe
from detkds.pipeline import evaluate, train
from detkds.pipeline.measurement import Measurement, conclude, has_masks, read, write
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.thumbnails import SIDE, write_thumbnail
from detkds.storage import verify

BOX, SQUARE = [2, 2, 20, 20], [[2, 2, 22, 2, 22, 22, 2, 22]]


@pytest.fixture(scope="session")
def evaluated(
    pair: Pair, schedule: Schedule, subset: Path, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, float], dict[str, Any]]:
    """One model in two roles, so that every difference is 0."""
    folder = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETKDS_HOME", str(home))
        train.run(pair, schedule, Recipe(), subset=subset, out=folder / "model")
        students = {"student": folder / "model", "distilled": folder / "model"}
        result = evaluate.run(
            pair.teacher_config, pair.teacher_checkpoint, students, subset=subset, batch_size=2, out=folder / "evaluation"
        )
    return folder / "evaluation", dict(result.metrics), dict(result.metadata)


def test_the_artifact_tells_what_each_detector_is_costs_and_reaches(evaluated: tuple[Path, dict[str, float], dict[str, Any]]) -> None:
    analysis, meta = evaluate.read(evaluated[0])
    assert list(analysis.detectors) == ["teacher", "student", "distilled"]
    assert analysis.images == 4
    assert meta["seconds"] > 0
    for name, detector in analysis.detectors.items():
        assert list(detector.kinds) == ["bbox"]  # the demo's pictures have masks, its detectors do not
        assert detector.description.startswith("RetinaNet, ")
        assert detector.cost is not None
        assert detector.cost.parameters > 0
        found = json.loads((evaluated[0] / f"detections_{name}.json").read_text())
        assert {detection["image_id"] for detection in found} <= {1, 2, 3, 4}
    assert [(test.a, test.b, test.kind) for test in analysis.comparisons if test.figure == "AP"] == [
        ("distilled", "student", "bbox"),
        ("distilled", "teacher", "bbox"),
    ]
    assert analysis.comparisons[0].difference == 0.0
    assert analysis.examples == ()  # equal detectors differ nowhere


def test_flat_metrics_keep_their_names(evaluated: tuple[Path, dict[str, float], dict[str, Any]]) -> None:
    _, metrics, metadata = evaluated
    analysis, _ = evaluate.read(evaluated[0])
    for name in ("teacher", "student", "distilled"):
        result = analysis.detectors[name].kinds["bbox"]
        assert metrics[f"{name}_AP"] == metadata[f"{name}_AP"] == result.figures["AP"]
        assert metrics[f"{name}_AP_low"] <= metrics[f"{name}_AP"] + 1e-9
        assert result.interval is not None
        assert metrics[f"{name}_AP50_high"] == result.interval.bounds["AP50"][1]
    assert metrics["distilled_vs_student_AP"] == 0.0
    assert metrics["distilled_vs_student_AP_low"] <= 0.0 <= metrics["distilled_vs_student_AP_high"]
    assert metrics["distilled_vs_student_AP_p"] == 1.0
    assert all(value == value for value in metrics.values())  # no nan, which KFP cannot show


def test_an_altered_or_foreign_artifact_is_refused(evaluated: tuple[Path, dict[str, float], dict[str, Any]], subset: Path) -> None:
    with pytest.raises(ArtifactError, match="must be of kind 'evaluation'"):
        read(subset)
    assert verify(evaluated[0], "evaluation")


def _truth(folder: Path) -> dict[str, Any]:
    """Two images with one object each, 60 x 40 pixels."""
    folder.mkdir()
    for number in (1, 2):
        Image.new("RGB", (60, 40), (200, 10 * number, 0)).save(folder / f"{number}.jpg")
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 60, "height": 40} for number in (1, 2)]
    known = {"category_id": 1, "bbox": BOX, "area": 400, "iscrowd": 0, "segmentation": SQUARE}
    annotations = [{"id": number, "image_id": number, **known} for number in (1, 2)]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "square"}]}


def _found(*images: int, mask: bool = False) -> list[dict[str, Any]]:
    from pycocotools import mask as run_lengths

    code = run_lengths.merge(run_lengths.frPyObjects(SQUARE, 40, 60))
    shape = {"segmentation": {"size": code["size"], "counts": code["counts"].decode()}} if mask else {}
    return [{"image_id": image, "category_id": 1, "bbox": BOX, "score": 0.9, **shape} for image in images]


def test_masks_are_evaluated_for_the_detectors_that_predict_them(tmp_path: Path) -> None:
    truth = _truth(tmp_path / "images")
    measured = {"boxes": Measurement(_found(1)), "masks": Measurement(_found(1, 2, mask=True))}
    analysis = conclude(truth, measured, [("masks", "boxes")], samples=100)
    assert list(analysis.detectors["boxes"].kinds) == ["bbox"]
    assert analysis.detectors["masks"].kinds["segm"].figures["AP"] == pytest.approx(1.0)
    # One object of two is found, with precision 1 up to recall .5: 51 of the 101 recall points.
    assert analysis.detectors["boxes"].kinds["bbox"].figures["AP"] == pytest.approx(51 / 101)
    assert {test.kind for test in analysis.comparisons} == {"bbox"}
    bare = {**truth, "annotations": [{**truth["annotations"][0], "segmentation": []}, truth["annotations"][1]]}
    assert has_masks(truth)
    assert not has_masks(bare)
    assert list(conclude(bare, measured, [], samples=100).detectors["masks"].kinds) == ["bbox"]


def test_examples_come_with_their_pictures(tmp_path: Path) -> None:
    truth = _truth(tmp_path / "images")
    cost = Cost(1000, 2000, {"median": 2.0, "low": 1.0, "high": 3.0}, "CPU", (32, 64))
    measured = {"distilled": Measurement(_found(1, 2), description="mine", cost=cost), "student": Measurement(_found(1))}
    analysis = conclude(truth, measured, [("distilled", "student")], samples=100)
    assert [example.image_id for example in analysis.examples] == [2]  # image 1 looks alike to both
    assert analysis.detectors["distilled"].description == "mine"
    assert analysis.detectors["distilled"].cost == cost
    folder = tmp_path / "out"
    folder.mkdir()
    write(folder, analysis, measured, truth, tmp_path / "images")
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == {"evaluation.json", "detections_distilled.json", "detections_student.json", analysis.examples[0].file}
    assert json.loads((folder / "detections_student.json").read_text()) == _found(1)
    with Image.open(folder / analysis.examples[0].file) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (60, 40)


def test_thumbnails_are_small_upright_and_without_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: upright it is 600 wide and 1200 high
    exif[0x010F] = "a camera"
    Image.new("RGB", (1200, 600), (0, 0, 250)).save(tmp_path / "turned.jpg", exif=exif)
    write_thumbnail(tmp_path, "turned.jpg", tmp_path / "examples" / "1.jpg")
    with Image.open(tmp_path / "examples" / "1.jpg") as picture:
        assert picture.size == (SIDE // 2, SIDE)
        assert not picture.getexif()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_thumbnails_of_any_kind_of_picture(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (30, 20)).save(tmp_path / "some.png")
    write_thumbnail(tmp_path, "some.png", tmp_path / "1.jpg")
    with Image.open(tmp_path / "1.jpg") as picture:
        assert (picture.mode, picture.size) == ("RGB", (30, 20))


def test_thumbnails_are_made_of_images_in_the_folder_only(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "text.jpg").write_text("no image")
    Image.new("RGB", (9, 9)).save(tmp_path / "outside.jpg")
    with pytest.raises(DatasetError, match="climbs"):
        write_thumbnail(folder, "../outside.jpg", tmp_path / "1.jpg")
    with pytest.raises(DatasetError, match=r"text\.jpg cannot be read as an image"):
        write_thumbnail(folder, "text.jpg", tmp_path / "1.jpg")
    assert not (tmp_path / "1.jpg").exists()
