"""Trained detectors and the classes they speak of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mask_pictures import make_mask_config, make_mask_source
from mmengine.config import Config
from pictures import CLASSES, make_config, make_source

from detkds.detectors import build_detector, load_config, save_student
from detkds.detectors.configs.classes import named_classes
from detkds.detectors.trained_detector import trained_detector
from detkds.detectors.training.batches import Samples, Source
from detkds.errors import ArtifactError, ConfigError
from detkds.pipeline.measure import measure
from detkds.pipeline.measurement import conclude


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_source(tmp_path_factory.mktemp("data") / "test", 4)  # lists category 7, wide, before category 3, tall


def checkpoint(folder: Path, config: Config, classes: tuple[str, ...]) -> Path:
    save_student(build_detector(config, seed=0), folder / "weights.pth", classes=classes)
    return folder / "weights.pth"


@pytest.mark.parametrize(("classes", "ids"), [(CLASSES, (7, 3)), (CLASSES[::-1], (3, 7))], ids=["in order", "turned round"])
def test_labels_are_those_of_the_checkpoint(source: Source, tmp_path: Path, classes: tuple[str, ...], ids: tuple[int, ...]) -> None:
    config = make_config()
    ready = trained_detector(config, checkpoint(tmp_path, config, classes), json.loads(source.annotations.read_text()))
    assert ready.category_ids == ids
    # A head that sees its label 0 everywhere finds the category that comes first in the checkpoint.
    with torch.no_grad():
        ready.detector.bbox_head.retina_cls.weight.zero_()
        ready.detector.bbox_head.retina_cls.bias.copy_(torch.tensor([3.0, -9.0]).repeat(2))
    samples = Samples(ready.config, source, training=False)
    seen: list[tuple[int, int]] = []
    measured = measure(ready.detector, samples, device="cpu", category_ids=ready.category_ids, progress=lambda *done: seen.append(done))
    assert {found["category_id"] for found in measured.detections if found["score"] > 0.5} == {ids[0]}
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert measured.description.startswith("RetinaNet, 0.2 million parameters")


def test_without_names_in_the_checkpoint_the_config_tells(source: Source, tmp_path: Path) -> None:
    config = make_config()
    path = tmp_path / "plain.pth"
    torch.save(build_detector(config, seed=0).state_dict(), path)
    truth = json.loads(source.annotations.read_text())
    turned = {**truth, "categories": truth["categories"][::-1]}
    assert trained_detector(config, path, turned).category_ids == (7, 3)
    for loader in ("train_dataloader", "test_dataloader"):
        config[loader].dataset.metainfo = None
    assert trained_detector(config, path, turned).category_ids == (3, 7)  # nobody tells: the file's order


def test_names_of_a_config() -> None:
    coco = load_config("yolox/yolox_nano_8xb8-300e_coco", trust=False)
    names = named_classes(coco)
    assert names is not None
    assert (len(names), names[0], names[-1]) == (80, "person", "toothbrush")
    coco.model.bbox_head.num_classes = 3
    assert named_classes(coco) is None  # the data set's 80 names are not those of its 3 classes


def test_other_classes_are_refused(source: Source, tmp_path: Path) -> None:
    config, truth = make_config(), json.loads(source.annotations.read_text())
    path = checkpoint(tmp_path, config, ("wide", "round"))
    with pytest.raises(
        ConfigError, match=r"are 2 and 2; only checkpoint .* has round; only the annotation file has tall; name the categories"
    ):
        trained_detector(config, path, truth)
    with pytest.raises(ArtifactError, match="does not exist"):
        trained_detector(config, tmp_path / "absent.pth", truth)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # pycocotools
def test_a_detector_of_masks_is_evaluated_with_masks(tmp_path: Path) -> None:
    data, config = make_mask_source(tmp_path / "masks"), make_mask_config()
    ready = trained_detector(config, checkpoint(tmp_path, config, CLASSES), json.loads(data.annotations.read_text()))
    samples = Samples(ready.config, data, training=False)
    analysis = conclude(samples.truth, {"mine": measure(ready.detector, samples, device="cpu")}, [], samples=100)
    assert list(analysis.detectors["mine"].kinds) == ["bbox", "segm"]
