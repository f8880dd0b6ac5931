"""What losses do, as numbers by which candidates of equal effect are recognised."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from detkds.genome import Genome, Recipe, canonical
from detkds.genome.genome import ON_LABELLED
from detkds.losses.filter import Signature, signature
from detkds.losses.views import Views


class Effects:
    """What each loss does: its value and its gradient to the student on the probe batch, rounded.

    Args:
        views: of the probe batch; called where a loss is first looked at.
        unlabelled: candidates are trained on images without labels too, so that a loss of labelled images alone does another thing.
    """

    def __init__(self, views: Callable[[], Views], *, unlabelled: bool) -> None:
        self._views, self._unlabelled = views, unlabelled
        self._signatures: dict[Recipe, Signature | None] = {}

    def of(self, recipe: Recipe) -> list[Any]:
        """Of each loss, as plain values for JSON."""
        return [self._effect(genome, recipe.semantics) for genome in recipe.active]

    def _effect(self, genome: Genome, semantics: str) -> list[Any] | str:
        if genome.labelled and self._unlabelled:  # the probe batch has labels, so it shows nothing of that
            return [self._effect(genome.with_labelled(False), semantics), ON_LABELLED]
        form = Recipe((genome.with_weight(1.0).with_unit(1.0),), semantics)
        if form not in self._signatures:
            self._signatures[form] = self._sign(form)
        found = self._signatures[form]
        if found is None:
            return f"{semantics} {canonical(genome, semantics)}"
        length, loss = genome.factor * found.size, genome.factor * found.size * found.loss
        # Equal effects differ by rounding, and different losses by far more than these steps; the direction has length 1.
        return [float(f"{length:.3g}"), float(f"{loss:.3g}"), *(round(entry, 3) + 0.0 for entry in found.direction)]

    def _sign(self, form: Recipe) -> Signature | None:
        """The form's signature; None where there is nothing to compare. The loss filter, which comes next, says why."""
        views = self._views()
        try:
            found = signature(form, views)
        except Exception:  # a loss that raises is a rejected candidate, and rejecting is not this method's business
            return None
        usable = found.size > 0 and all(map(math.isfinite, (found.size, found.loss, *found.direction)))
        return found if usable else None
