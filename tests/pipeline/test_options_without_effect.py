"""Options of a detector that would have no effect: misspelt keys, and a number of classes that the data set decides."""

from __future__ import annotations

from typing import Any

import pytest

from detkds.pipeline.preflight.options import misspelt, other_class_counts

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


@pytest.mark.parametrize("options", [{"model.bbox_head.num_classes": 9}, {"model": {"bbox_head": {"num_classes": 9}}}])
def test_another_number_of_classes_than_the_data_sets_is_named(options: dict[str, Any]) -> None:
    (fault,) = other_class_counts(options, 4)
    assert fault.startswith("model.bbox_head.num_classes is 9, but the data set has 4 classes")
    assert list(other_class_counts(options, 9)) == []
