"""What is trained on is what the config says, as mmdet's own CocoDataset takes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mmdet.datasets import CocoDataset
from pictures import make_config, make_source

from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.kept import Kept
from detkds.errors import ConfigError, DatasetError


def source_of_every_kind(folder: Path) -> Source:
    """Six images of 64 x 48: one without objects, one with a crowd alone, boxes under a pixel and without area; and one of 28 x 28."""
    source = make_source(folder)
    content = json.loads(source.annotations.read_text())
    content["images"][0] |= {"width": 28, "height": 28}
    (folder / "0.png").unlink()
    from PIL import Image

    Image.new("RGB", (28, 28)).save(folder / "0.png")
    for number, annotation in enumerate(content["annotations"]):
        if annotation["image_id"] == 10:
            annotation["bbox"] = [1, 1, 20, 20]
        if annotation["image_id"] == 12:
            annotation.update(iscrowd=1, segmentation={"size": [48, 64], "counts": [0, 3072]})
        if number == 1:
            annotation.update(bbox=[1, 1, 0.5, 20], area=10)
    source.annotations.write_text(json.dumps(content))
    return source


FILTERS: list[dict[str, Any] | None] = [
    None,
    {},
    {"filter_empty_gt": False},
    {"filter_empty_gt": True},
    {"min_size": 32},
    {"filter_empty_gt": True, "min_size": 32},
    {"filter_empty_gt": False, "min_size": 28},
]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_the_filters_of_the_config_hold_as_in_mmdet(tmp_path: Path, filters: dict[str, Any] | None) -> None:
    source = source_of_every_kind(tmp_path / "data")
    config = make_config()
    config.train_dataloader.dataset.filter_cfg = filters
    samples = Samples(config, source, training=True)
    stock = CocoDataset(
        ann_file=str(source.annotations),
        data_prefix={"img": str(source.images)},
        metainfo={"classes": ("wide", "tall")},
        filter_cfg=filters,
        pipeline=[],
    )
    kept = [info for index in range(len(stock)) for info in stock.get_data_info(index)["instances"] if not info["ignore_flag"]]
    assert len(samples) == samples.kept.images == len(stock)
    assert samples.kept.objects == len(kept)
    assert samples.kept.all_objects - samples.kept.objects == sum(
        count for rule, count in samples.kept.left_out.items() if not rule.startswith("image")
    )


def test_what_is_left_out_is_said_with_its_rule(tmp_path: Path) -> None:
    truth = json.loads(source_of_every_kind(tmp_path / "data").annotations.read_text())
    # 8 objects: 1 in the small image, 1 a crowd, 1 of half a pixel
    assert str(Kept.of(truth, {"filter_empty_gt": True, "min_size": 32})) == (
        "4 of 6 images and 4 of 7 objects are trained on; left out: 1 image under 32 pixels (filter_cfg.min_size), "
        "1 image without objects (filter_cfg.filter_empty_gt), 1 object of these images, 1 box under 1 pixel or outside its image, "
        "1 crowd or object marked `ignore`"
    )
    assert str(Kept.of({**truth, "annotations": truth["annotations"][-1:]}, {})) == "6 of 6 images and 1 of 1 objects are trained on"


def test_filters_that_leave_nothing_are_named(tmp_path: Path) -> None:
    config = make_config()
    config.train_dataloader.dataset.filter_cfg.min_size = 100
    with pytest.raises(DatasetError, match=r"leaves no image to use: 0 of 6 images .* left out: 5 images under 100 pixels"):
        Samples(config, make_source(tmp_path / "data"), training=True)


@pytest.mark.parametrize(
    ("filters", "words"), [({"min_box": 3}, "has the key 'min_box'"), ({"min_size": "32"}, "must be a number of pixels, got '32'")]
)
def test_a_filter_that_mmdet_would_pass_over_is_refused(tmp_path: Path, filters: dict[str, Any], words: str) -> None:
    config = make_config()
    config.train_dataloader.dataset.filter_cfg = filters
    with pytest.raises(ConfigError, match=words):
        Samples(config, make_source(tmp_path / "data"), training=True)
