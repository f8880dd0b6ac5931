"""Renormalize: the teacher sees the pixels that its own preprocessor would have made."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor

from detkds.detectors.normalization import Renormalize

STUDENT = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "bgr_to_rgb": True}
CAFFE = {"mean": [103.53, 116.28, 123.675], "std": [1.0, 1.0, 1.0], "bgr_to_rgb": False}
PLAIN: dict[str, Any] = {"mean": None, "std": None, "bgr_to_rgb": False, "pad_value": 114}


@pytest.mark.parametrize("student", [STUDENT, CAFFE, PLAIN])
@pytest.mark.parametrize("teacher", [STUDENT, CAFFE, PLAIN])
def test_as_the_teachers_own_preprocessor(make_batch: Callable[..., Any], student: dict[str, Any], teacher: dict[str, Any]) -> None:
    ours, theirs = (DetDataPreprocessor(pad_size_divisor=32, **settings) for settings in (student, teacher))
    expected = theirs(deepcopy(make_batch(size=90)), True)["inputs"]
    data = ours(make_batch(size=90), True)
    before = data["inputs"].clone()
    found = Renormalize(ours, theirs)(data["inputs"], data["data_samples"])
    assert found.shape == (2, 3, 96, 96)
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-3)
    assert torch.equal(data["inputs"], before)


def test_equal_settings_cost_nothing() -> None:
    inputs = torch.rand(1, 3, 4, 4)
    assert Renormalize(DetDataPreprocessor(**STUDENT), DetDataPreprocessor(**STUDENT))(inputs, []) is inputs


def test_by_hand() -> None:
    # a pixel of 100 in the first channel: (100 - 10) / 2 = 45 for the student, (100 - 20) / 4 = 20 for the teacher
    student = DetDataPreprocessor(mean=[10.0, 0.0, 0.0], std=[2.0, 1.0, 1.0])
    teacher = DetDataPreprocessor(mean=[20.0, 0.0, 0.0], std=[4.0, 1.0, 1.0])

    class Sample:
        img_shape = (1, 1)

    found = Renormalize(student, teacher)(torch.tensor([45.0, 7.0, 8.0])[None, :, None, None], [Sample()])
    assert found.flatten().tolist() == [20.0, 7.0, 8.0]
