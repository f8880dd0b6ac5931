"""From the student's batch to what the teacher is shown of it: its own pixel values, and if wanted its own image size."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Renormalize:
    """Undo one detector's image normalisation and apply another's, so that each sees the same pixels as in its own training.

    Args:
        student: the data preprocessor that made the batch.
        teacher: the data preprocessor that the teacher was trained with.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module) -> None:
        ours, theirs = Normalization(student), Normalization(teacher)
        self.swap = ours.swapped != theirs.swapped
        self.pad_value = theirs.pad_value
        mean = ours.mean.flip(0) if self.swap else ours.mean
        std = ours.std.flip(0) if self.swap else ours.std
        # ((x std + mean) - mean') / std' = x scale + shift
        self.scale = (std / theirs.std).float()
        self.shift = ((mean - theirs.mean) / theirs.std).float()
        same = torch.equal(self.scale, torch.ones(3)) and torch.equal(self.shift, torch.zeros(3)) and ours.pad_value == theirs.pad_value
        self.identity = same and not self.swap

    def __call__(self, inputs: Tensor, data_samples: Any) -> Tensor:
        """The batch (N, 3, H, W) as the teacher wants it; the very same tensor where nothing differs.

        Args:
            inputs: as the student's preprocessor gives it.
            data_samples: whose `img_shape` (height, width) tells image from padding.
        """
        if self.identity:
            return inputs
        images = inputs.flip(1) if self.swap else inputs
        images = images * self.scale.to(inputs)[:, None, None] + self.shift.to(inputs)[:, None, None]
        for image, sample in zip(images, data_samples, strict=True):
            height, width = sample.img_shape[:2]
            image[:, height:] = self.pad_value
            image[:, :, width:] = self.pad_value
        return images


class TeacherView:
    """What a teacher is shown of a student's batch: its own pixel values, and the batch `shown_scale` times as large.

    Args:
        student, teacher: their data preprocessors.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module) -> None:
        self.values = Renormalize(student, teacher)
        self.scale = shown_scale(teacher)

    def __call__(self, inputs: Tensor, data_samples: Any) -> Tensor:
        """(N, 3, H, W) as the student's preprocessor gives it to (N, 3, scale H, scale W)."""
        images = self.values(inputs, data_samples)
        if self.scale == 1:
            return images
        size = tuple(round(side * self.scale) for side in images.shape[-2:])
        return nn.functional.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=self.scale < 1)


def show_scaled(teacher: Any, scale: float) -> None:
    """Have a teacher shown a student's images `scale` times as large from now on."""
    teacher.data_preprocessor.shown_scale = scale


def shown_scale(preprocessor: Any) -> float:
    """How many times as large as the student's a teacher's images are."""
    return float(getattr(preprocessor, "shown_scale", 1.0))


def enlarged(samples: Any, scale: float) -> Any:
    """The samples of a batch that was enlarged; the very same where it was not."""
    if scale == 1:
        return samples
    enlarged = copy.deepcopy(samples)
    for sample in enlarged:
        shapes: Mapping[str, Any] = {name: sample.metainfo[name] for name in ("img_shape", "pad_shape", "batch_input_shape")}
        sample.set_metainfo({name: tuple(round(side * scale) for side in shape[:2]) for name, shape in shapes.items()})
    return enlarged


class Normalization:
    """Mean and std (3,) in the channel order of the output, in float64; whether channels are swapped; the value of padding."""

    def __init__(self, preprocessor: Any) -> None:
        active = getattr(preprocessor, "_enable_normalize", False)
        self.mean = preprocessor.mean.double().cpu().flatten().expand(3) if active else torch.zeros(3, dtype=torch.double)
        self.std = preprocessor.std.double().cpu().flatten().expand(3) if active else torch.ones(3, dtype=torch.double)
        self.swapped = bool(getattr(preprocessor, "_channel_conversion", False))
        self.pad_value = float(getattr(preprocessor, "pad_value", 0))
