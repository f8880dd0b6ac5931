"""DistillLoss: one genome as a loss (Eq. 2, 3). RecipeLoss: all of a recipe's (Eq. 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from detkds.errors import ConfigError
from detkds.genome import Genome, Knowledge, Recipe
from detkds.losses.features import FEATURE_LOSSES, FeaturePass
from detkds.losses.needs import missing
from detkds.losses.padding import without_padding
from detkds.losses.responses import response_levels
from detkds.losses.views import Views

_KNOWLEDGES = tuple(Knowledge)


class DistillLoss:
    """L = W x D(T<S, T>) of one genome; stateless.

    Args:
        genome: the words.
        semantics: "paper", "released" or "sound", which gives them meaning.
    """

    def __init__(self, genome: Genome, semantics: str = "paper") -> None:
        self.genome = genome
        self.semantics = semantics
        self._features = FeaturePass(genome, semantics) if genome.knowledge.is_feature else None

    def __call__(self, views: Views, step: int) -> Tensor:
        """The weighted loss.

        Args:
            views: in float32 (`Views.in_float32`), without autocast.
            step: number of the training step; seeds the random masks, each knowledge with a stream of its own.

        Returns:
            Scalar float32 with gradient to the student's side.

        Raises:
            ConfigError: the views lack what the knowledge compares.
        """
        if reason := missing(self.genome, views):
            raise ConfigError(reason)
        if self.semantics == "sound":
            views = without_padding(views)
        return self.genome.factor * (self._response(views) if self._features is None else self._feature(self._features, views, step))

    def _feature(self, words: FeaturePass, views: Views, step: int) -> Tensor:
        knowledge = self.genome.knowledge
        generator = torch.Generator().manual_seed(step * len(_KNOWLEDGES) + _KNOWLEDGES.index(knowledge))
        return FEATURE_LOSSES[self.semantics][knowledge](words, views, generator)

    def _response(self, views: Views) -> Tensor:
        student, teacher = views.crossed_response if self.genome.crosses else views.student_response, views.teacher_response
        assert student is not None
        assert teacher is not None
        return response_levels(self.genome, self.semantics, student, teacher)


class RecipeLoss:
    """The distillation terms of Eq. 1; stateless, so the same views and step give the same losses.

    Args:
        recipe: genomes and semantics; genomes of weight 0 are left out.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._losses = [DistillLoss(genome, recipe.semantics) for genome in recipe.active]

    def __call__(self, views: Views, step: int) -> dict[Knowledge, Tensor]:
        """Weighted scalar float32 losses of the active genomes; add them to the student's own.

        Args:
            views: one batch, any floating dtypes. Everything is computed in float32, outside any autocast.
            step: number of the training step, 0 or more; seeds the random masks.

        Returns:
            Knowledge to loss, in the order of Knowledge; where several genomes share a knowledge, their sum.

        Raises:
            ConfigError: the views lack what a genome compares.
        """
        if not self._losses:
            return {}
        with torch.autocast(_device_type(views), enabled=False):
            in_float32 = views.in_float32()
            total: dict[Knowledge, Tensor] = {}
            for loss in self._losses:
                knowledge, value = loss.genome.knowledge, loss(in_float32, step)
                total[knowledge] = total[knowledge] + value if knowledge in total else value
            return total


def _device_type(views: Views) -> str:
    response = views.student_response.scores if views.student_response else ()
    return next((tensor.device.type for tensor in (*views.student_levels, *response)), "cpu")
