"""How well a teacher does on what it is shown in distillation, beside what it does with its own pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import get_box_tensor
from mmengine.config import Config
from torch import Tensor, nn

from detkds.detectors.device import resolve
from detkds.detectors.normalization import TeacherView, enlarged
from detkds.detectors.predict import detections
from detkds.detectors.training.batches import Samples, Source
from detkds.evaluation.coco import evaluate

Size = tuple[int, int]


@dataclass(frozen=True)
class Teaching:
    """A teacher's AP of boxes on the same images in two ways, in [0, 1].

    Args:
        own: by its own test pipeline.
        taught: on the student's training batches, augmentations included, as in distillation.
        images: how many.
        own_size, shown_size: (height, width) of the first image as each way shows it.
    """

    own: float
    taught: float
    images: int
    own_size: Size
    shown_size: Size

    @property
    def scale(self) -> float:
        """How many times as large the teacher's own images are."""
        return max(self.own_size) / max(self.shown_size)


def teaching(teacher: nn.Module, config: Config, student: Config, source: Source, *, batch_size: int, device: str = "auto") -> Teaching:
    """Measure a teacher as it teaches, through the same code as the training.

    Args:
        teacher: with its weights; moved to the device, left in evaluation mode.
        config: its config, adapted to the data.
        student: the student's config, adapted to the same classes.
        source: images that are not those of the final test.
        batch_size: images per batch, as in training.
        device: see `device.resolve`.
    """
    own = Samples(config, source, training=False)
    figure = evaluate(own.truth, detections(teacher, own, device=device)).figures["AP"]
    shown = Samples(student, source, training=True)
    place = resolve(device)
    preprocessor: Any = MODELS.build(student.model.data_preprocessor).to(place)
    model: Any = teacher.to(place).eval()
    view = TeacherView(preprocessor, model.data_preprocessor)
    truth = _Truth(shown.classes)
    found: list[dict[str, Any]] = []
    for batch in shown.training_batches(batch_size, 1):
        data = preprocessor(batch, True)
        samples = data["data_samples"]
        with torch.no_grad():
            results = model.predict(view(data["inputs"], samples), enlarged(samples, view.scale), rescale=False)
        for sample, result in zip(samples, results, strict=True):
            found += truth.answers(sample, result, view.scale)
    first = own[0, 0]["inputs"].shape[-2:]
    sizes = tuple(round(side * view.scale) for side in shown[0, 0]["inputs"].shape[-2:])
    taught = evaluate(truth.content, found).figures["AP"]
    return Teaching(figure, taught, len(shown), (int(first[0]), int(first[1])), (sizes[0], sizes[1]))


class _Truth:
    """The objects of training batches as a COCO object, image by image, each in the frame of the batch."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        categories = [{"id": number + 1, "name": name} for number, name in enumerate(classes)]
        self.content: dict[str, Any] = {"images": [], "annotations": [], "categories": categories}

    def answers(self, sample: Any, result: Any, scale: float) -> Iterator[dict[str, Any]]:
        """Take up an image with its objects, and give the teacher's detections in it as COCO results."""
        number = len(self.content["images"]) + 1
        height, width = sample.img_shape[:2]
        self.content["images"].append({"id": number, "width": width, "height": height})
        for instances, crowd in ((sample.gt_instances, 0), (sample.get("ignored_instances"), 1)):
            for box, label in _entries(instances):
                entry = {"id": len(self.content["annotations"]) + 1, "image_id": number, "category_id": label + 1, "iscrowd": crowd}
                self.content["annotations"].append({**entry, "bbox": box, "area": box[2] * box[3]})
        scores = result.pred_instances.scores.tolist()
        for (box, label), score in zip(_entries(result.pred_instances, 1 / scale), scores, strict=True):
            yield {"image_id": number, "category_id": label + 1, "bbox": box, "score": score}


def _entries(instances: Any, scale: float = 1.0) -> Iterator[tuple[list[float], int]]:
    """Boxes [x, y, width, height] times `scale`, and labels."""
    if instances is None or "bboxes" not in instances:
        return
    boxes: Tensor = get_box_tensor(instances.bboxes) * scale
    for (left, top, right, bottom), label in zip(boxes.tolist(), instances.labels.tolist(), strict=True):
        yield [left, top, right - left, bottom - top], label
