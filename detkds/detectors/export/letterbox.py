"""The fixed input image of an exported detector, from the test pipeline of its config."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from detkds.data.checking import reading
from detkds.detectors.export.onnx_detector import Letterbox, Pixels
from detkds.detectors.normalization import Normalization
from detkds.errors import ConfigError, DatasetError

_SILENT = ("LoadImageFromFile", "LoadAnnotations", "PackDetInputs", "Resize", "Pad")
"""Steps of a test pipeline that a letterbox stands in for."""


def letterbox_of(config: Config, detector: nn.Module, size: tuple[int, int] | None = None) -> Letterbox:
    """The letterbox of a config's test pipeline.

    Args:
        config: a full detector config.
        detector: built from it.
        size: height and width, multiples of what the detector's preprocessor pads to; None takes that of the pipeline, rounded up.

    Raises:
        ConfigError: there is no test pipeline or one with other steps, or the size does not suit.
    """
    steps = {str(step["type"]).removeprefix("mmdet."): step for step in _pipeline(config)}
    if unknown := next((name for name in steps if name not in _SILENT), None):
        raise ConfigError(f"a test pipeline of {', '.join(_SILENT)} can be exported, but this one has {unknown}; export without it.")
    resize, pad = steps.get("Resize", {}), steps.get("Pad", {})
    divisor = max(int(getattr(detector.data_preprocessor, "pad_size_divisor", 1)), int(pad.get("size_divisor") or 1))
    height, width = _checked(size, divisor) if size else _size(resize, pad, divisor)
    return Letterbox(height, width, _padding(pad, detector), bool(resize.get("keep_ratio", False)))


def read_image(path: Path) -> Pixels:
    """The image of a file, (H, W, 3), uint8, RGB, as training read it: turned where OpenCV turns it.

    Raises:
        DatasetError: it is not an image.
    """
    try:
        return reading.read(path)[:, :, ::-1]
    except (OSError, reading.UnreadError):
        raise DatasetError(f"image {path} cannot be read as an image; leave it out.") from None


def _pipeline(config: Config) -> list[dict[str, Any]]:
    dataset: Any = config.get("test_dataloader", {}).get("dataset", {})
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    if not isinstance(dataset.get("pipeline"), list):
        raise ConfigError("the detector config must have a test_dataloader with a pipeline, but has none; add one as mmdet's configs do.")
    return list(dataset["pipeline"])


def _size(resize: dict[str, Any], pad: dict[str, Any], divisor: int) -> tuple[int, int]:
    """Height and width; mmcv writes width first."""
    scale = pad.get("size") or resize.get("scale")
    if scale is None:
        raise ConfigError("the test pipeline must say the size of its images, but has no Resize with a scale; give --size HEIGHTxWIDTH.")
    width, height = (max(scale),) * 2 if pad.get("pad_to_square") else scale
    return ceil(height / divisor) * divisor, ceil(width / divisor) * divisor


def _checked(size: tuple[int, int], divisor: int) -> tuple[int, int]:
    if min(size) < divisor or any(side % divisor for side in size):
        raise ConfigError(f"the sides of the input must be multiples of {divisor}, got {size[0]}x{size[1]}; choose such ones.")
    return size


def _padding(pad: dict[str, Any], detector: nn.Module) -> tuple[float, float, float]:
    """Of the pipeline, in BGR; else of the preprocessor, which pads what is normalised already."""
    value = pad.get("pad_val", 0)
    value = value.get("img", 0) if isinstance(value, dict) else value
    if pad:
        blue, green, red = value if isinstance(value, (list, tuple)) else (value,) * 3
        return float(red), float(green), float(blue)
    known = Normalization(detector.data_preprocessor)
    colours = (known.mean + known.pad_value * known.std).tolist()
    red, green, blue = colours if known.swapped else colours[::-1]
    return red, green, blue
