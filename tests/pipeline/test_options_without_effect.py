"""Options of a detector that would have no effect: misspelt keys, and a number of classes that the data set decides."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from detkds.errors import ConfigError
from detkds.pipeline.addresses import config_address
from detkds.pipeline.detector_options import misspelt, other_class_counts
from detkds.pipeline.run_config import Detector, Student, Teacher
from detkds.pipeline.run_config.detector import class_counts

CONFIG = {
    "model": {"backbone": {"depth": 18, "norm_cfg": {"type": "BN"}}, "bbox_head": {"num_classes": 4}},
    "train_dataloader": {"batch_size": 2, "dataset": {"pipeline": [{"type": "Resize", "scale": [96, 96]}]}},
}


@pytest.mark.parametrize(
    ("options", "wrong", "meant"),
    [
        ({"train_dataloader.batchsize": 4}, "train_dataloader.batchsize", "train_dataloader.batch_size"),
        ({"train_dataloader": {"batchsize": 4}}, "train_dataloader.batchsize", "train_dataloader.batch_size"),
        ({"model.bakbone.depth": 34}, "model.bakbone", "model.backbone"),
        ({"model": {"backbone.norm_cfgs.type": "GN"}}, "model.backbone.norm_cfgs", "model.backbone.norm_cfg"),
    ],
)
def test_a_key_close_to_one_of_the_config_is_named(options: dict[str, Any], wrong: str, meant: str) -> None:
    (fault,) = misspelt(CONFIG, options)
    assert f"no key {wrong}: did you mean {meant}?" in fault


@pytest.mark.parametrize(
    "options",
    [
        {"train_dataloader.batch_size": 4, "model.backbone": {"depth": 34}},
        {"model.backbone.conv_cfg": {"type": "DCN"}, "model.backbone.frozen_stages": 1},
        {"val_dataloader": {"batch_size": 1}, "optim_wrapper.clip_grad.max_norm": 1},
        {"model.backbone": {"_delete_": True, "typ": "PVT", "depths": [2, 2]}},
        {"train_dataloader.dataset.pipeline.0.scale": [64, 64]},
    ],
)
def test_known_and_new_keys_pass(options: dict[str, Any]) -> None:
    assert list(misspelt(CONFIG, options)) == []


def test_no_config_with_a_misspelt_option_goes_to_a_cluster(tmp_path: Path) -> None:
    config = Path(__file__).resolve().parents[2] / "examples" / "configs" / "demo_student.yaml"
    with pytest.raises(ConfigError, match=r"demo_student\.yaml, options: .* no key train_dataloader\.batchsize: did you mean"):
        config_address(Detector(config=str(config), options={"train_dataloader.batchsize": 2}), tmp_path, trust=False)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"model.bbox_head.num_classes": 4}, "model.bbox_head.num_classes"),
        ({"model": {"roi_head": {"bbox_head.num_classes": 4}}}, "model.roi_head.bbox_head.num_classes"),
        ({"model.roi_head.bbox_head": [{"num_classes": 4}]}, "model.roi_head.bbox_head.0.num_classes"),
    ],
)
@pytest.mark.parametrize("section", [Teacher, Student])
def test_a_number_of_classes_is_refused_before_the_data_is_known_so_submit_refuses_it_too(
    section: type[Detector], options: dict[str, Any], place: str
) -> None:
    with pytest.raises(ValueError, match=rf"{re.escape(place)} has no effect: the classes of the data set decide"):
        section(config="a", checkpoint="s3://b/a.pth", options=options)


@pytest.mark.parametrize(
    "options",
    [
        {"model.bbox_head": {"_delete_": True, "type": "FCOSHead", "num_classes": 4}},
        {"model.rpn_head.num_classes": 1, "model.roi_head.semantic_head.num_classes": 183},
        {"model.backbone.num_classes": 10},
    ],
)
def test_a_number_of_classes_that_a_head_needs_or_that_is_not_the_datas_passes(options: dict[str, Any]) -> None:
    assert list(class_counts(options)) == []


@pytest.mark.parametrize("options", [{"model.bbox_head.num_classes": 9}, {"model": {"bbox_head": {"num_classes": 9}}}])
def test_another_number_of_classes_than_the_data_sets_is_named(options: dict[str, Any]) -> None:
    (fault,) = other_class_counts(options, 4)
    assert fault.startswith("model.bbox_head.num_classes is 9, but the data set has 4 classes")
    assert list(other_class_counts(options, 9)) == list(other_class_counts({"model.rpn_head.num_classes": 1}, 9)) == []
