"""Masks on their way into training and out of prediction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mask_pictures import HEIGHT, WIDTH, annotation, make_mask_config, make_mask_source, polygon, runs, write
from pictures import make_config, make_source
from pycocotools import mask as run_lengths

from detkds.detectors import adapt, build_detector
from detkds.detectors.objective import ProxyObjective
from detkds.detectors.predict import Found, detections
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import TrainSettings
from detkds.detectors.training.masks import encode, measured_kind, predicts_masks
from detkds.detectors.training.train import load_detector, train
from detkds.errors import DatasetError
from detkds.evaluation.coco import evaluate
from detkds.genome import Recipe
from detkds.objective import Goal

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # pycocotools

WIDE, TALL = (10, 8, 24, 12), (40, 16, 12, 24)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_mask_source(tmp_path_factory.mktemp("masks") / "train")


def rectangle(x: int, y: int, w: int, h: int, *, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    bitmap = np.zeros((height, width), bool)
    bitmap[y : y + h, x : x + w] = True
    return bitmap


def sample(samples: Samples, place: int) -> Any:
    return samples[0, place]["data_samples"]


@pytest.mark.parametrize("image", [0, 1], ids=["polygons", "run-length codes"])
def test_masks_of_every_form_reach_training(source: Source, image: int) -> None:
    instances = sample(Samples(make_mask_config(flip=0.0), source, training=True), image).gt_instances
    assert instances.labels.tolist() == [0, 1]
    assert (instances.masks.masks[0].astype(bool) == rectangle(*WIDE)).all()
    assert (instances.masks.masks[1].astype(bool) == rectangle(*TALL)).all()


@pytest.mark.parametrize("image", [0, 1], ids=["polygons", "run-length codes"])
def test_masks_are_flipped_with_their_boxes(source: Source, image: int) -> None:
    instances = sample(Samples(make_mask_config(flip=1.0), source, training=True), image).gt_instances
    # A flip of an image of 64 pixels takes x … x + w to 64 - x - w … 64 - x: wide 10 … 34 to 30 … 54, tall 40 … 52 to 12 … 24.
    assert instances.bboxes.tensor.tolist() == [[30, 8, 54, 20], [12, 16, 24, 40]]
    assert (instances.masks.masks[0].astype(bool) == rectangle(30, 8, 24, 12)).all()
    assert (instances.masks.masks[1].astype(bool) == rectangle(12, 16, 12, 24)).all()


def test_masks_are_resized_with_their_boxes(source: Source) -> None:
    # The longer side 64 becomes 128: everything twice as large.
    instances = sample(Samples(make_mask_config(flip=0.0, scale=(128, 128)), source, training=True), 0).gt_instances
    assert instances.bboxes.tensor.tolist() == [[20, 16, 68, 40], [80, 32, 104, 80]]
    assert instances.masks.masks.shape == (2, 96, 128)
    assert (instances.masks.masks[0].astype(bool) == rectangle(20, 16, 48, 24, height=96, width=128)).all()


def test_crowds_are_ignored_instances(source: Source) -> None:
    samples = Samples(make_mask_config(flip=0.0), source, training=True)
    assert len(samples) == 4
    both, alone = sample(samples, 2), sample(samples, 3)
    assert both.gt_instances.labels.tolist() == [0]
    assert both.ignored_instances.bboxes.tensor.tolist() == [[40, 16, 52, 40]]
    assert (both.ignored_instances.masks.masks[0].astype(bool) == rectangle(*TALL)).all()
    assert len(alone.gt_instances) == 0
    assert len(alone.ignored_instances) == 1


def test_run_length_codes_are_kept_where_a_config_asks_for_polygons(tmp_path: Path) -> None:
    coded = write(tmp_path / "coded", [annotation(1, 1, WIDE, runs(*WIDE, text=True)), annotation(2, 1, TALL, polygon(*TALL), kind=1)])
    drawn = write(tmp_path / "drawn", [annotation(1, 1, WIDE, polygon(*WIDE)), annotation(2, 1, TALL, runs(*TALL, text=True), crowd=1)])
    config = make_mask_config(flip=0.0)
    config.train_dataloader.dataset.pipeline[1].poly2mask = False
    instances = sample(Samples(config, coded, training=True), 0).gt_instances
    assert (instances.masks.masks[0].astype(bool) == rectangle(*WIDE)).all()  # mmdet alone ignores this object
    assert len(instances) == 2
    polygons = sample(Samples(config, drawn, training=True), 0).gt_instances.masks
    assert [part.tolist() for part in polygons.masks[0]] == polygon(*WIDE)  # polygons stay what they are, a crowd changes nothing


@pytest.mark.parametrize("empty", [None, []], ids=["absent", "empty"])
def test_an_object_without_a_mask_stops_only_a_detector_of_masks(tmp_path: Path, empty: Any) -> None:
    source = write(tmp_path / "data", [annotation(1, 1, WIDE, polygon(*WIDE)), annotation(2, 1, TALL, empty, kind=1)])
    with pytest.raises(DatasetError, match=r"but 1 of 2 have no segmentation, first annotation 2"):
        Samples(make_mask_config(), source, training=True)
    assert len(Samples(make_mask_config(), source, training=False)) == 1
    assert len(sample(Samples(make_config(flip=0.0), source, training=True), 0).gt_instances) == 2


def test_detectors_of_boxes_load_and_give_no_masks(tmp_path: Path, source: Source) -> None:
    config = make_config(flip=0.0)
    assert "masks" not in sample(Samples(config, source, training=True), 0).gt_instances
    detector = build_detector(config, seed=0)
    assert not predicts_masks(detector)
    assert measured_kind(detector) == "bbox"
    found = detections(detector, Samples(config, make_source(tmp_path / "boxes", 2), training=False), device="cpu")
    assert found
    assert all("segmentation" not in detection for detection in found)


def test_masks_are_encoded_as_coco_does() -> None:
    # Columns first: H = 2, W = 3, the mask is the right column and the lower left pixel.
    # Down the columns: 0 1 | 0 0 | 1 1, which is 1 zero, 1 one, 2 zeros, 2 ones.
    mask = torch.tensor([[[0, 0, 1], [1, 0, 1]]], dtype=torch.bool)
    # As text: a number n < 16 is the character 48 + n; from the fourth on, the difference from the one two places before: 2 - 1 = 1.
    assert encode(mask) == [{"size": [2, 3], "counts": "1121"}]
    assert encode(torch.zeros(0, 2, 3, dtype=torch.bool)) == []


@pytest.mark.parametrize("name", ["mask_rcnn", "cascade_mask_rcnn"])
def test_predicted_masks_have_the_size_of_the_original_image(source: Source, name: str) -> None:
    config = make_mask_config(name, scale=(96, 96))  # not the image's own 64 pixels
    detector = build_detector(config, seed=0)
    assert measured_kind(detector) == "segm"
    # A mask head that is sure of every pixel: a mask then is its box, to the pixel grid.
    heads = detector.roi_head.mask_head
    for head in heads if isinstance(heads, torch.nn.ModuleList) else [heads]:
        torch.nn.init.zeros_(head.conv_logits.weight)
        torch.nn.init.constant_(head.conv_logits.bias, 9.0)
    found = detections(detector, Samples(config, source, training=False), device="cpu")
    assert found
    assert all(detection["segmentation"]["size"] == [HEIGHT, WIDTH] for detection in found)
    large = [detection for detection in found if min(detection["bbox"][2:]) > 12]
    assert large
    for detection in large:
        x, y, w, h = detection["bbox"]
        bitmap = run_lengths.decode(detection["segmentation"])
        covered = bitmap[int(np.ceil(y)) + 1 : int(y + h) - 1, int(np.ceil(x)) + 1 : int(x + w) - 1]
        assert covered.all()
        assert bitmap.sum() <= (w + 2) * (h + 2)
    json.dumps(found)
    assert evaluate(source.annotations, found, kind="segm").detections == len(found)


@pytest.mark.parametrize("name", ["mask_rcnn", "cascade_mask_rcnn"])
def test_a_detector_of_masks_trains(tmp_path: Path, source: Source, name: str) -> None:
    config = make_mask_config(name)
    seen: list[dict[str, float]] = []
    settings = TrainSettings(epochs=2, batch_size=2, device="cpu")
    train(config, source, settings, tmp_path / "out.pth", progress=lambda step, total, losses: seen.append(dict(losses)))
    assert len(seen) == 4  # two epochs of four images in batches of two, the image with a crowd alone among them
    masks = [value for losses in seen for key, value in losses.items() if key.endswith("loss_mask")]
    assert max(masks) > 0
    assert np.isfinite(masks).all()
    assert predicts_masks(load_detector(config, tmp_path / "out.pth"))


def test_the_search_scores_a_student_of_masks_by_mask_ap(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = Samples(make_mask_config(), source, training=False)
    found = []
    for entry in samples.truth["annotations"]:
        if not entry["iscrowd"]:
            x, y, w, h = entry["bbox"]
            half = encode(torch.from_numpy(rectangle(x, y, w // 2, h))[None])[0]
            found.append({**{key: entry[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.9, "segmentation": half})
    monkeypatch.setattr("detkds.detectors.validation.predict", lambda *args, **options: [Found((1, 2, 3, 4), tuple(found))])
    scores = []
    for config in (make_mask_config(flip=0.0), make_config(flip=0.0)):
        settings = TrainSettings(epochs=1, batch_size=4, device="cpu")
        objective = ProxyObjective(config, build_detector(config, seed=1), source, source, settings, early_stop=False)
        scores.append(objective(Recipe(), Goal()).score)
    # The boxes are exact, AP 1. Each mask is half of its object, IoU .5: right at the first of the ten thresholds .50 … .95 only.
    assert scores == pytest.approx([0.1, 1.0])


def test_the_search_needs_masks_to_score_masks(tmp_path: Path, source: Source) -> None:
    bare = write(tmp_path / "bare", [annotation(1, 1, WIDE, None)])
    config = make_mask_config()
    with pytest.raises(DatasetError, match=r"bare/annotations\.json: every annotation must have a mask for a detector of masks"):
        ProxyObjective(config, build_detector(config, seed=1), source, bare, TrainSettings(epochs=1, batch_size=4, device="cpu"))


def test_real_crowds_and_masks(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "coco_ccby"
    truth = json.loads((folder / "annotations" / "instances_train2017.json").read_text())
    chosen = {entry["image_id"] for entry in truth["annotations"] if entry["iscrowd"]}
    for part in ("images", "annotations"):
        truth[part] = [entry for entry in truth[part] if entry.get("image_id", entry["id"]) in chosen]
    file = tmp_path / "crowded.json"
    file.write_text(json.dumps(truth))
    config = make_mask_config(flip=0.0)
    config.train_dataloader.dataset.pipeline = [step for step in config.train_dataloader.dataset.pipeline if step.type != "Resize"]
    config = adapt(config, tuple(str(category["name"]) for category in truth["categories"])).config
    samples = Samples(config, Source(file, folder / "train2017"), training=True)
    ignored = 0
    for looked in (sample(samples, place) for place in range(len(samples))):
        entries = [entry for entry in truth["annotations"] if entry["image_id"] == looked.img_id]
        areas = [entry["area"] for entry in entries if not entry["iscrowd"]]
        # COCO's area is the polygon's; mmdet's bitmap holds the pixels whose centres lie inside. Both differ along the outline only.
        found = looked.gt_instances.masks.masks.sum(axis=(1, 2)).tolist()
        assert found == pytest.approx(areas, rel=0.1, abs=20)
        ignored += len(looked.ignored_instances)
    assert ignored == 9  # SOURCE.txt there counts them too
