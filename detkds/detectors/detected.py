"""A batch without labels as distillation needs it: the teacher's neck levels, and its own detections in the place of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures.bbox import get_box_tensor
from mmdet.structures.mask import PolygonMasks
from mmengine.structures import InstanceData
from torch import Tensor

from detkds.detectors.normalization import TeacherView, enlarged
from detkds.detectors.taps import tap
from detkds.detectors.teacher_pass import TeacherLevels


def looked_at(
    teacher: Any, view: TeacherView, inputs: Tensor, samples: Sequence[Any], *, boxes: bool, min_score: float, masks: bool
) -> tuple[TeacherLevels, list[Any]]:
    """Run the teacher over a batch without labels, once and without gradient.

    Args:
        teacher: in evaluation mode.
        view: what it is shown of the student's batch.
        inputs: (N, 3, H, W) as the student's preprocessor gives them.
        samples: mmdet's samples of the batch; they stay as they are.
        boxes: whether the teacher's detections are wanted; else it runs to its neck only, and the samples have no object.
        min_score: detections below it are left out.
        masks: whether the student wants masks of its objects too; it gets their boxes as masks.

    Returns:
        The teacher's neck levels, with the detections as `found` if `boxes`, and samples whose `gt_instances` are these detections, in
        pixels of the student's batch.
    """
    with torch.no_grad(), tap(teacher) as tapped:
        shown = view(inputs, samples)
        if boxes:
            results = teacher.predict(shown, enlarged([sample.new() for sample in samples], view.scale), rescale=False)
        else:
            teacher.extract_feat(shown)
    levels = TeacherLevels(tapped.levels)
    found = [_nothing(inputs)] * len(samples)
    if boxes:
        found = levels.found = [_objects(result.pred_instances, min_score, view.scale) for result in results]
    return levels, [_with_objects(sample, objects, masks) for sample, objects in zip(samples, found, strict=True)]


def _objects(predicted: Any, min_score: float, scale: float) -> InstanceData:
    sure = predicted.scores >= min_score
    boxes = get_box_tensor(predicted.bboxes)[sure].float() / scale
    return InstanceData(bboxes=boxes, labels=predicted.labels[sure], scores=predicted.scores[sure].float())


def _nothing(inputs: Tensor) -> InstanceData:
    return InstanceData(bboxes=inputs.new_zeros(0, 4), labels=torch.zeros(0, dtype=torch.long, device=inputs.device))


def _with_objects(sample: Any, objects: InstanceData, masks: bool) -> Any:
    """A copy of a sample that has these objects and no others."""
    height, width = sample.batch_input_shape
    given = sample.new()
    given.gt_instances = InstanceData(bboxes=objects.bboxes, labels=objects.labels)
    if masks:
        polygons = [[np.array([x1, y1, x2, y1, x2, y2, x1, y2])] for x1, y1, x2, y2 in objects.bboxes.tolist()]
        given.gt_instances.masks = PolygonMasks(polygons, height, width)
    return given
