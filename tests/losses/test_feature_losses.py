"""Global, fgbg and instance losses, by hand and by their invariants."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from detkds.genome import Genome
from detkds.losses import DistillLoss, Views

# Two levels of one channel over a batch of 16 x 16 pixels: 2 x 2 cells of 8 pixels and one cell of 16.
STUDENT = (torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.tensor([[[[5.0]]]]))
TEACHER = (torch.tensor([[[[2.0, 4.0], [6.0, 8.0]]]]), torch.tensor([[[[9.0]]]]))
# |differences|: 1, 2, 3, 4 and 4


def views(*boxes: tuple[float, float, float, float]) -> Views:
    return Views(STUDENT, TEACHER, (8, 16), (torch.tensor(boxes).reshape(-1, 4),), (16, 16))


def loss(text: str, of: Views, semantics: str = "paper") -> float:
    return float(DistillLoss(Genome.parse(text), semantics)(of, 0))


def test_global_is_the_mean_over_levels():
    # (1 + 2 + 3 + 4) / 4 = 2.5 and 4
    assert loss("global: none > none > none | l1", views()) == pytest.approx((2.5 + 4) / 2)


def test_global_released_is_the_sum_over_levels():
    assert loss("global: none > none > none | l1", views(), "released") == pytest.approx(2.5 + 4)


def test_the_weight_multiplies():
    assert loss("global: none > none > none | l1 x 8", views()) == pytest.approx(8 * 3.25)


def test_fgbg_is_foreground_plus_half_of_background():
    # The box touches the left column of the fine level and the one cell of the coarse level, which leaves no background there.
    # fine: foreground (1 + 3) / 2, background (2 + 4) / 2; coarse: foreground 4, background 0
    box = (0.0, 0.0, 8.0, 16.0)
    assert loss("fgbg: none > none > none | l1", views(box)) == pytest.approx(((2 + 0.5 * 3) + 4) / 2)


def test_fgbg_gives_small_boxes_more_weight():
    # a: the upper left cell, area 1; b: the left column, area 2, so its lower cell weighs 1/2: (1 * 1 + 3 / 2) / (3 / 2) = 5 / 3
    boxes = ((0.0, 0.0, 8.0, 8.0), (0.0, 0.0, 8.0, 16.0))
    assert loss("fgbg: none > none > none | l1", views(*boxes)) == pytest.approx(((5 / 3 + 0.5 * 3) + 4) / 2)


def test_fgbg_released_multiplies_features_by_the_weights():
    # The authors' boxes extend one cell further: on the fine level over columns 0 to 1 and rows 0 to 2, an area of 2 * 3 cells, so every
    # cell weighs 1/6 and there is no background. Coarse: columns and rows 0 to 1, an area of 4, and the one cell weighs 1/4.
    box = (0.0, 0.0, 8.0, 16.0)
    assert loss("fgbg: none > none > none | l1", views(box), "released") == pytest.approx((1 + 2 + 3 + 4) / 6 / 4 + 4 / 4)


def test_fgbg_masks_before_the_transforms_and_scales_the_mask_with_the_features():
    # Both regions reach the single cell of scale_2. Foreground (left column): max(1, 3) = 3 against max(2, 6) = 6;
    # background: 4 against 8. The coarse level as before: 4, no background.
    box = (0.0, 0.0, 8.0, 16.0)
    assert loss("fgbg: none > scale_2 > none | l1", views(box)) == pytest.approx(((3 + 0.5 * 4) + 4) / 2)


def test_instance_takes_each_crop_from_the_level_of_its_size():
    # 16 pixels map to the finest level. Student and teacher are proportional there, so crops are too: the ramp of the student over the
    # whole map has mean 2.5, the difference is the student's value itself.
    assert loss("instance: none > none > none | l1", views((0.0, 0.0, 16.0, 16.0))) == pytest.approx(2.5)


def test_instance_released_crops_every_level_and_adds_up():
    # Without the half-cell shift 14 bins over two cells read at (2p + 1) / 14, and beyond 1 the last cell: .75 on average. The student
    # is 1 + x + 2y there, 3.25, and as large is the difference. The coarse level differs by 4 everywhere.
    assert loss("instance: none > none > none | l1", views((0.0, 0.0, 16.0, 16.0)), "released") == pytest.approx(3.25 + 4)


def test_instance_released_does_not_rescale_boxes_after_pooling():
    # scale_2 leaves one cell, 4 against 8, but the box still covers two: 7 of 14 bins along each side lie outside the map, where both
    # are 0. The coarse level has one cell before and after: 5 against 9.
    assert loss("instance: none > scale_2 > none | l1", views((0.0, 0.0, 16.0, 16.0)), "released") == pytest.approx(4 / 4 + 4)


def test_the_boxes_are_the_batch_of_the_instance_transforms():
    # norm_N over four boxes that are alike: no variance, so nothing is left of either side
    same = views(*[(0.0, 0.0, 16.0, 16.0)] * 4)
    assert loss("instance: none > none > norm_N | l1", same) == pytest.approx(0, abs=1e-6)
    assert loss("instance: none > none > norm_C | l1", same) == pytest.approx(0, abs=1e-6)  # one channel
    assert loss("instance: none > none > none | l1", same) == pytest.approx(2.5)


@pytest.mark.parametrize("semantics", ["paper", "released"])
@pytest.mark.parametrize("distance", ["l1", "pearson"])
@pytest.mark.parametrize("knowledge", ["fgbg", "instance"])
def test_a_batch_without_boxes_gives_zero_with_gradient_zero(knowledge: str, distance: str, semantics: str):
    student = tuple(level.clone().requires_grad_() for level in STUDENT)
    empty = replace(views(), student_levels=student)
    result = DistillLoss(Genome.parse(f"{knowledge}: satt > scale_2 > norm_HW | {distance}"), semantics)(empty, 0)
    result.backward()
    assert float(result.detach()) == 0
    for level in student:
        assert level.grad is not None
        assert_close(level.grad, torch.zeros_like(level))


def test_fgbg_counts_the_background_of_an_image_without_boxes():
    student = torch.zeros(2, 1, 2, 2)
    teacher = torch.ones(2, 1, 2, 2)
    teacher[1] = 3
    boxes = (torch.tensor([[0.0, 0.0, 16.0, 16.0]]), torch.zeros(0, 4))
    # foreground: image 0, difference 1; background: image 1 only, difference 3
    of = Views((student,), (teacher,), (8,), boxes, (16, 16))
    assert loss("fgbg: none > none > none | l1", of) == pytest.approx(1 + 0.5 * 3)


def test_padded_cells_of_patches_do_not_count():
    student, teacher = torch.zeros(1, 1, 3, 3), torch.arange(1.0, 10).view(1, 1, 3, 3)
    of = Views((student,), (teacher,), (8,), (torch.zeros(0, 4),), (24, 24))
    assert loss("global: none > local_2 > none | l1", of) == pytest.approx(5)
