"""What the memory for a teacher's answers holds, and that all of it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from detkds.detectors.detected import _with_objects
from detkds.detectors.teacher_pass import TeacherLevels, TeacherPass, _bytes

INPUTS = torch.ones(2, 3, 8, 8)
LEVELS = 2 * 4 * 8 * 8 * 4 + 2 * 4 * 4 * 4 * 4
"""Bytes of two levels of 4 channels, of two images, in float32."""


def objects(count: int) -> InstanceData:
    """Detections: 16 bytes a box, 8 a label, 4 a score."""
    return InstanceData(bboxes=torch.rand(count, 4), labels=torch.zeros(count, dtype=torch.long), scores=torch.rand(count))


def answer(counts: tuple[int, int], masks: bool) -> tuple[TeacherLevels, list[Any]]:
    """What `looked_at` gives for two images with so many detections."""
    levels, found = TeacherLevels((torch.rand(2, 4, 8, 8), torch.rand(2, 4, 4, 4))), [objects(count) for count in counts]
    levels.found = found
    sample = DetDataSample(metainfo={"batch_input_shape": (8, 8), "img_path": "a.jpg"})
    return levels, [_with_objects(sample, one, masks) for one in found]


@pytest.mark.parametrize("masks", [False, True])
def test_detections_and_the_masks_that_stand_for_them_count(masks: bool) -> None:
    """5 detections of 28 bytes, whose boxes and labels samples share with them; a mask is a polygon of 8 numbers in float64, 64 bytes."""
    assert _bytes(answer((3, 2), masks)) == LEVELS + 5 * 28 + (5 * 64 if masks else 0)


def test_what_a_head_of_its_own_kind_answers_counts_and_the_detector_does_not() -> None:
    @dataclass
    class Answer:
        scores: Tensor
        seen: dict[str, np.ndarray[Any, Any]]
        detector: torch.nn.Module

    levels = TeacherLevels((torch.zeros(1, 1, 2, 2),))
    levels.answered(lambda: Answer(torch.zeros(10), {"boxes": np.zeros((4, 4))}, torch.nn.Linear(100, 100)))
    assert _bytes(levels) == 4 * 4 + 10 * 4 + 16 * 8


def test_a_view_counts_as_the_whole_that_it_keeps_once() -> None:
    whole = torch.zeros(1000)
    assert _bytes([whole[:2], whole[2:4], {"again": whole}]) == 4000


@pytest.mark.parametrize(("limit", "looks"), [(LEVELS + 200 * 28, 2), (LEVELS + 200 * (28 + 64), 1)])
def test_a_step_whose_masks_do_not_fit_is_not_kept(limit: int, looks: int) -> None:
    """Two students see the steps 0 and 1; the teacher looks at step 0 again where it was not kept."""
    shared, seen = TeacherPass(limit), []

    def look() -> tuple[TeacherLevels, list[Any]]:
        seen.append(0)
        return answer((100, 100), masks=True)

    for _ in range(2):
        shared.unlabelled(0, INPUTS, True, look)
        shared.unlabelled(1, INPUTS, True, lambda: answer((0, 0), masks=True))
    assert len(seen) == looks
