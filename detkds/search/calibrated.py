"""Calibrated: a designer whose weights are shares of the detection loss's gradient, by units that are measured once and written down."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from detkds.genome import Genome, Recipe
from detkds.genome.genome import MAX_WEIGHT
from detkds.objective import Goal
from detkds.search.designer import Designer
from detkds.search.trial import Trial

Unit = Callable[[Genome, str], float]
"""(genome, semantics) -> what a weight of 1 has to multiply its loss by, so that its gradient is as long as the detection loss's."""

MEANINGS = ("paper", "calibrated")
"""What the weights of a search may mean."""


class Calibrated:
    """Asks what another designer asks, each genome with the unit of its loss; so journals and recipes hold all that a training needs.

    The other designer sees its own candidates, without units. It compares them by their canonical forms, in which a loss that is twice
    another counts double, so of two such losses it may ask one weight fewer than their shares allow.

    Args:
        designer: the other one.
        unit: measures a unit; asked once for each loss.
    """

    def __init__(self, designer: Designer, unit: Unit) -> None:
        self._designer, self._unit = designer, unit
        self._units: dict[tuple[Genome, str], float] = {}

    def remember(self, recipes: Iterable[Recipe]) -> None:
        """Take the units of these recipes, which a journal holds, instead of measuring them again."""
        for recipe in recipes:
            for genome in recipe.genomes:
                self._units.setdefault((form(genome), recipe.semantics), genome.unit)

    def ask(self) -> Sequence[Recipe]:
        """As the other designer's, in units."""
        return tuple(self._in_units(recipe) for recipe in self._designer.ask())

    def goal(self) -> Goal:
        """The other designer's."""
        return self._designer.goal()

    def tell(self, trials: Sequence[Trial]) -> None:
        """The answers to the last ask, in its order; what answers something else is left to the other designer to refuse."""
        asked = dict(zip(self.ask(), self._designer.ask(), strict=True))
        self._designer.tell([replace(trial, recipe=asked.get(trial.recipe, trial.recipe)) for trial in trials])

    @property
    def best(self) -> Trial | None:
        """The best trial so far, in units."""
        best = self._designer.best
        return best and replace(best, recipe=self._in_units(best.recipe))

    def _in_units(self, recipe: Recipe) -> Recipe:
        return Recipe(tuple(self._measured(genome, recipe.semantics) for genome in recipe.genomes), recipe.semantics)

    def _measured(self, genome: Genome, semantics: str) -> Genome:
        """The genome in the unit of its loss; one that has a unit already keeps it."""
        if genome.unit != 1:
            return genome
        place = form(genome), semantics
        if place not in self._units:
            self._units[place] = self._unit(*place)
        return genome.with_unit(self._units[place])


def form(genome: Genome) -> Genome:
    """The genome with weight 1 in the unit 1."""
    return genome.with_weight(1).with_unit(1)


def share(genome: Genome, unit: float) -> Genome | None:
    """A genome whose weight is a factor, such as a published one, with that weight as a share instead, to three digits; None where it is
    beyond what a weight may be."""
    found = float(f"{genome.factor / unit:.3g}")
    return genome.with_weight(found).with_unit(1) if math.isfinite(found) and 0 < found <= MAX_WEIGHT else None
