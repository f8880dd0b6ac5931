"""What a detector is trained on, and what the filters of its config leave out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from detkds.errors import ConfigError

PLURAL = re.compile(r"\((e?s)\)")
RULES = ("filter_empty_gt", "min_size")
"""What mmdet's CocoDataset reads of `filter_cfg`."""
NARROW = "box(es) under 1 pixel or outside its image"
IGNORED = "crowd(s) or object(s) marked `ignore`"


@dataclass(frozen=True)
class Kept:
    """Images and objects that training uses, of those of a file.

    Args:
        images, all_images: how many are used, and how many there are.
        objects, all_objects: the same of objects.
        left_out: how many were left out, by rule.
    """

    images: int
    all_images: int
    objects: int
    all_objects: int
    left_out: Mapping[str, int]

    @classmethod
    def of(cls, truth: Mapping[str, Any], filters: Mapping[str, Any]) -> Kept:
        """Count what mmdet's CocoDataset keeps of a COCO object.

        Args:
            truth: a checked COCO object.
            filters: the `filter_cfg` of a config: `filter_empty_gt` leaves out images without annotations, `min_size` images with a
                shorter side under so many pixels.

        Raises:
            ConfigError: a filter that mmdet's CocoDataset does not have, or one of the wrong type.
        """
        _require_known(filters)
        left_out: Counter[str] = Counter()
        annotated = {annotation["image_id"] for annotation in truth["annotations"]}
        smallest = filters.get("min_size", 0)
        used = {}
        for image in truth["images"]:
            if filters.get("filter_empty_gt") and image["id"] not in annotated:
                left_out["image(s) without objects (filter_cfg.filter_empty_gt)"] += 1
            elif min(image["width"], image["height"]) < smallest:
                left_out[f"image(s) under {smallest} pixels (filter_cfg.min_size)"] += 1
            else:
                used[image["id"]] = image
        objects = 0
        for annotation in truth["annotations"]:
            if annotation["image_id"] not in used:
                left_out["object(s) of these images"] += 1
            elif annotation.get("ignore") or annotation["iscrowd"]:
                left_out[IGNORED] += 1
            elif _narrow(annotation, used[annotation["image_id"]]):
                left_out[NARROW] += 1
            else:
                objects += 1
        return cls(len(used), len(truth["images"]), objects, len(truth["annotations"]), dict(left_out))

    @classmethod
    def of_config(cls, config: Config, truth: Mapping[str, Any]) -> Kept:
        """The same by the filters of a config's train loader."""
        dataset: Any = config.train_dataloader.dataset
        while "dataset" in dataset:
            dataset = dataset["dataset"]
        return cls.of(truth, dataset.get("filter_cfg") or {})

    def __str__(self) -> str:
        """For people: 14 of 16 images and 30 of 30 objects are trained on; left out: 2 images without objects (…)."""
        text = f"{self.images} of {self.all_images} images and {self.objects} of {self.all_objects} objects are trained on"
        listed = ", ".join(f"{count} {_counted(rule, count)}" for rule, count in self.left_out.items())
        return f"{text}; left out: {listed}" if listed else text


def _counted(rule: str, count: int) -> str:
    """`image(s) under 32 pixels` in the singular or the plural."""
    return re.sub(PLURAL, "" if count == 1 else r"\1", rule)


def _require_known(filters: Mapping[str, Any]) -> None:
    for key, value in filters.items():
        if key not in RULES:
            raise ConfigError(
                f"filter_cfg of the config has the key {key!r}, which mmdet's CocoDataset does not read; it reads {' and '.join(RULES)}."
            )
        kind, words = (bool, "true or false") if key == "filter_empty_gt" else (int, "a number of pixels")
        if not isinstance(value, kind):
            raise ConfigError(f"filter_cfg.{key} of the config must be {words}, got {value!r}.")


def _narrow(annotation: Mapping[str, Any], image: Mapping[str, Any]) -> bool:
    """What CocoDataset.parse_data_info passes over."""
    x, y, width, height = annotation["bbox"]
    inside = (min(x + width, image["width"]) - max(x, 0), min(y + height, image["height"]) - max(y, 0))
    return bool(min(inside) <= 0 or annotation["area"] <= 0 or width < 1 or height < 1)
