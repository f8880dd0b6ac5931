"""Time of the distillation losses, forward and backward, beside the plain reference: `python benchmarks/losses/bench.py`.

Fixed features of a batch of two images on five levels, ten boxes per image. Prints a table in Markdown: for each of the paper's
one-stage genomes and for all five together the milliseconds of both and their ratio, as medians over alternating runs.
"""

from __future__ import annotations

import argparse
import math
import platform
import time
from collections.abc import Callable
from statistics import median

import reference
import torch

from detkds.genome import Genome, Knowledge, Recipe
from detkds.losses import RecipeLoss, Response, Views

ONE_STAGE = Recipe.parse(
    """
    global: catt > scale_2 > norm_N | l1
    fgbg: none > local_4 > norm_HW | l1
    instance: catt > none > norm_C | smooth_l1
    logits: norm_batch | pearson
    localization: sigmoid | ciou
    """
)
"""Table 5, one-stage detectors."""

OTHERS = (
    "global: none > none > norm_batch | l2",
    "global: none > none > none | kl",
    "global: none > none > none | pearson",
    "global: none > none > none | ssim",
    "fgbg: satt > none > norm_C | cosine",
    "instance: none > none > none | pearson",
    "logits: none | cor",
)
"""PKD, CWD, SKD and what else differs in cost."""

STRIDES = (8, 16, 32, 64, 128)


def fixed_views(height: int, width: int, channels: int, classes: int = 80, boxes: int = 10) -> Views:
    """Two images: normal features, uniform scores and boxes; the student's side takes gradients."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(math.ceil(height / stride), math.ceil(width / stride)) for stride in STRIDES]
    levels = [tuple(torch.randn(2, channels, h, w, generator=generator) for h, w in sizes) for _ in range(2)]
    low = torch.rand(2, boxes, 2, generator=generator) * torch.tensor([width, height]) * 0.7
    high = low + (0.02 + 0.3 * torch.rand(2, boxes, 2, generator=generator)) * torch.tensor([width, height])
    truth = torch.cat([low, torch.minimum(high, torch.tensor([width, height]))], 2)
    responses = [_response(sizes, classes, generator) for _ in range(2)]
    for tensor in (*levels[0], *responses[0].scores, *responses[0].boxes):
        tensor.requires_grad_()
    return Views(levels[0], levels[1], STRIDES, tuple(truth), (height, width), *responses)


def _response(sizes: list[tuple[int, int]], classes: int, generator: torch.Generator) -> Response:
    scores, boxes, centres, units = [], [], [], []
    for (h, w), stride in zip(sizes, STRIDES, strict=True):
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        centre = ((torch.stack([x, y]) + 0.5) * stride)[None]
        sides = torch.rand(2, 4, h, w, generator=generator) * 4 * stride
        scores.append(torch.rand(2, classes, h, w, generator=generator) ** 4)
        boxes.append(torch.cat([centre - sides[:, :2], centre + sides[:, 2:]], 1))
        centres.append(centre)
        units.append(torch.full((1, 2, 1, 1), float(stride)))
    return Response(tuple(scores), tuple(boxes), tuple(centres), tuple(units))


def step_ms(losses: Callable[[], dict[Knowledge, torch.Tensor]]) -> float:
    """Milliseconds of one forward and backward pass."""
    start = time.perf_counter()
    torch.stack(list(losses().values())).sum().backward()
    return (time.perf_counter() - start) * 1e3


def compare(recipe: Recipe, views: Views, repeats: int) -> tuple[float, float]:
    """Median milliseconds of the library and of the reference, run in turn after one unmeasured round."""
    ours = RecipeLoss(recipe)
    rounds = [(step_ms(lambda: ours(views, 0)), step_ms(lambda: reference.recipe_loss(recipe, views, 0))) for _ in range(repeats + 1)][1:]
    return median(fast for fast, _ in rounds), median(plain for _, plain in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--height", type=int, default=320)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    views = fixed_views(args.height, args.width, args.channels)
    where = f"{torch.get_num_threads()} thread(s), torch {torch.__version__}, {platform.machine()}"
    print(f"2 x {args.channels} channels, {args.height}x{args.width}, {where}, median of {args.repeats}\n")
    print("| loss | ms | reference ms | ratio |\n|---|---:|---:|---:|")
    rows = [(str(genome), Recipe((genome,))) for genome in (*ONE_STAGE.genomes, *map(Genome.parse, OTHERS))]
    for name, recipe in [("all five (Table 5, one-stage)", ONE_STAGE), *rows]:
        fast, plain = compare(recipe, views, args.repeats)
        label = name.replace("|", "\\|")
        print(f"| `{label}` | {fast:.1f} | {plain:.1f} | {fast / plain:.2f} |")


if __name__ == "__main__":
    main()
