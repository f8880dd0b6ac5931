"""TrainedModules: the modules of every word of a recipe that has some."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from detkds.losses.trained.generator import Generator
from detkds.losses.trained.global_context import GlobalContexts
from detkds.losses.trained.non_local import NonLocals
from detkds.losses.views import Generated

MODULES: dict[str, Callable[[int, int], nn.Module]] = {"generate": Generator, "gcblock": GlobalContexts, "nonlocal": NonLocals}
"""Word to what makes its module for one level: (channels of both sides, place of the level, 0 the finest) -> a module that turns the levels
(N, C, H, W) of student and teacher and a CPU generator of the step into both sides as they are compared."""


class TrainedModules(nn.ModuleDict):
    """The modules of the words of a recipe, one for each neck level.

    They are trained with the student and no part of it. The modules of a word start from a seed of their own, so that building them changes
    no other random draw and a word's modules start alike whatever other words a recipe has.

    Args:
        words: names of `MODULES`.
        channels: of each level, the teacher's.
    """

    def __init__(self, words: Iterable[str], channels: Sequence[int]) -> None:
        super().__init__()
        for word in words:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(0)
                self[word] = nn.ModuleList(MODULES[word](width, place) for place, width in enumerate(channels))

    def forward(self, student_levels: Sequence[Tensor], teacher_levels: Sequence[Tensor], step: int) -> dict[str, Generated]:
        """Views.generated: word to both sides' levels (N, C, H, W) in float32, outside any autocast like the losses, since dot products of
        features overflow half precision; `step` seeds what is drawn."""
        sides = [[level.float() for level in side] for side in (student_levels, teacher_levels)]
        made: dict[str, Generated] = {}
        with torch.autocast(student_levels[0].device.type, enabled=False):
            for word, levels in self.items():
                draws = torch.Generator().manual_seed(step)
                assert isinstance(levels, nn.ModuleList)
                pairs = [make(*pair, draws) for make, *pair in zip(levels, *sides, strict=True)]
                made[word] = Generated(tuple(ours for ours, _ in pairs), tuple(theirs for _, theirs in pairs))
        return made
