"""Semantics `sound`: statistics over enough positions, an ε that follows the teacher, no padding, levels that count by their cells."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from detkds.genome import Recipe
from detkds.losses.distill import RecipeLoss
from detkds.losses.padding import without_padding
from detkds.losses.relative import ENOUGH, grid, relative
from detkds.losses.views import Response, Views


def levels(seed: int, sizes: tuple[tuple[int, int], ...], channels: int = 8, images: int = 4) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(images, channels, *size, generator=generator) for size in sizes)


def views(
    sizes: tuple[tuple[int, int], ...] = ((8, 8), (4, 4)), batch_shape: tuple[int, int] = (64, 64), scale: float = 1.0, images: int = 4
) -> Views:
    """Neck levels and class scores of strides 8 and 16, with one box an image."""
    strides = tuple(batch_shape[0] // size[0] for size in sizes)
    ours, theirs = (tuple(level * scale for level in levels(seed, sizes, images=images)) for seed in (0, 1))
    heads = []
    for seed in (2, 3):
        scores = tuple(level.sigmoid() for level in levels(seed, sizes, 3, images))
        centres = tuple(torch.zeros(1, 2, *size) for size in sizes)
        units = tuple(torch.full((1, 2, 1, 1), float(stride)) for stride in strides)
        boxes = tuple(torch.tensor([0.0, 0.0, 8.0 + seed, 8.0])[None, :, None, None].expand(images, 4, *size) for size in sizes)
        heads.append(Response(scores, boxes, centres, units))
    return Views(ours, theirs, strides, (torch.tensor([[4.0, 4.0, 40.0, 40.0]]),) * images, batch_shape, heads[0], heads[1])


def loss_and_gradients(text: str, given: Views, semantics: str = "sound") -> tuple[float, list[Tensor]]:
    student = [level.clone().requires_grad_() for level in given.student_levels]
    assert given.student_response is not None
    scores = [level.clone().requires_grad_() for level in given.student_response.scores]
    boxes = [level.clone().requires_grad_() for level in given.student_response.boxes]
    answer = replace(given.student_response, scores=tuple(scores), boxes=tuple(boxes))
    total = sum(
        RecipeLoss(Recipe.parse(text, semantics))(replace(given, student_levels=tuple(student), student_response=answer), 0).values()
    )
    assert isinstance(total, Tensor)
    leaves = [*student, *scores, *boxes]
    gradients = torch.autograd.grad(total, leaves, allow_unused=True)
    return float(total.detach()), [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, gradients, strict=True)]


FEATURES = ("norm_HW", "norm_C", "norm_N", "norm_batch", "norm_minmax")


@pytest.mark.parametrize("norm", FEATURES)
def test_a_norm_does_not_see_the_unit_of_the_features(norm: str) -> None:
    """ε follows the teacher, so features a thousand times smaller give the same loss; under `paper` they drown in ε = 1e-6."""
    text = f"global: none > none > {norm} | l2"
    large, small = (loss_and_gradients(text, views(scale=scale))[0] for scale in (1.0, 1e-3))
    assert small == pytest.approx(large, rel=1e-4)
    assert loss_and_gradients(text, views(scale=1e-3), "paper")[0] < 0.95 * loss_and_gradients(text, views(), "paper")[0]


def test_what_hardly_varies_is_not_enlarged_a_thousandfold() -> None:
    """One of two channels varies by 1e-4 of the other: standardised it would weigh the same. ε = .1 · (1 + 1e-8) / 2, so its variance after
    the norm is 1e-8 / (.05 + 1e-8), and that of the other 1 / 1.05."""
    f = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1) * torch.tensor([1.0, 1e-4]).view(1, 2, 1, 1)
    variance = relative(f, f, (0, 2, 3)).square().mean((0, 2, 3))
    assert variance.tolist() == pytest.approx([1 / 1.05, 1e-8 / (0.05 + 1e-8)], rel=1e-4)


@pytest.mark.parametrize(("size", "n", "parts"), [((8, 8), 4, 2), ((12, 12), 4, 4), ((3, 3), 4, 1), ((2, 3), 2, 1), ((6, 6), 2, 2)])
def test_patches_and_pools_keep_enough_cells(size: tuple[int, int], n: int, parts: int) -> None:
    """8 x 8 in 4 x 4 parts leaves 2 x 2 cells, in 3 x 3 parts 3 x 3: ⌈8/3⌉ = 3."""
    found = grid(n, torch.zeros(1, 1, *size))
    assert found == (3 if (size, n) == ((8, 8), 4) else parts)
    assert found == 1 or -(-size[0] // found) * -(-size[1] // found) >= ENOUGH


def test_a_small_map_is_not_standardised_to_signs() -> None:
    """Two cells a map: over H, W only signs would be left, without gradient. Over the batch too the loss still has one."""
    tiny = views(((1, 2),), (64, 128), images=8)
    text = "global: none > none > norm_HW | l2"
    signs, sound = (loss_and_gradients(text, tiny, semantics)[1][0].abs().median() for semantics in ("paper", "sound"))
    assert signs < 1e-6
    assert sound > 1e-3


def test_class_scores_of_all_levels_count_by_their_cells() -> None:
    """64 cells and 16: the loss is the mean over 80 cells, not the mean of two means."""
    given = views()
    assert given.student_response is not None
    assert given.teacher_response is not None
    pairs = zip(given.student_response.scores, given.teacher_response.scores, strict=True)
    squares = torch.cat([(ours - theirs).square().flatten() for ours, theirs in pairs])
    assert loss_and_gradients("logits: none | l2", given)[0] == pytest.approx(float(squares.mean()), rel=1e-5)


WORDS = (
    *(f"global: none > none > {norm} | l2" for norm in ("none", *FEATURES)),
    *("global: satt > scale_2 > none | kl", "global: none > local_2 > none | ssim", "fgbg: none > none > norm_C | l1"),
    *("logits: norm_batch | pearson", "logits: none | kl", "localization: none | giou"),
)


@pytest.mark.parametrize("text", WORDS)
def test_padding_has_no_say(text: str) -> None:
    """Images of 40 x 64 in a batch of 64 x 64: what lies below row 5 of stride 8 (row 3 of 16) changes nothing and has no gradient."""
    given = replace(views(), image_shapes=((40, 64),) * 4)
    wild = tuple(level.clone() for level in given.student_levels)
    wild[0][:, :, 5:], wild[1][:, :, 3:] = 100.0, -100.0
    value, gradients = loss_and_gradients(text, given)
    assert loss_and_gradients(text, replace(given, student_levels=wild))[0] == pytest.approx(value, rel=1e-6)
    for level, rows in zip(gradients, (5, 3) * 3, strict=True):
        assert not level[:, :, rows:].any()


def test_where_images_differ_the_smaller_ones_padding_has_no_gradient() -> None:
    given = replace(views(), image_shapes=((64, 64), (40, 64), (64, 40), (64, 64)))
    _, gradients = loss_and_gradients("global: none > none > norm_batch | l2", given)
    assert not gradients[0][1, :, 5:].any()
    assert not gradients[0][2, :, :, 5:].any()
    assert gradients[0][0, :, 5:].any()


def test_views_without_padding_are_the_same_views() -> None:
    given = views()
    assert without_padding(given) is given
    assert without_padding(full := replace(given, image_shapes=((64, 64),) * 4)) is full
