"""How strong a loss is beside the detection loss: the unit of calibrated weights, and the second look of the loss filter."""

from __future__ import annotations

import math

from detkds.detectors.diagnosis import Diagnosis
from detkds.errors import Rejected
from detkds.genome import Recipe
from detkds.genome.genome import MAX_UNIT

LOOK = 0.4
"""Share of a candidate's training after which its losses are looked at again."""
OVERWHELMING = 100.0
"""A gradient so many times as long as the detection loss's leaves nothing of it."""
GROWTH = 10.0
"""How many times as long it must be than with the student's first weights to count as exploded. Losses that are strong from the start are
left to the score; so are those that grow because the detection loss shrinks, which is less than this."""


def unit(found: Diagnosis) -> float:
    """What a loss that was looked at with weight 1 has to be multiplied by, so that its gradient is as long as the detection loss's.

    Three digits; at most MAX_UNIT, which `reject_idle` rejects; 1 where there is no number: the loss filter rejects such a loss.
    """
    if not (math.isfinite(found.ratio) and found.ratio > 0):
        return 1.0
    return min(float(f"{1 / found.ratio:.3g}"), MAX_UNIT)


def reject_idle(recipe: Recipe) -> None:
    """
    Raises:
        Rejected: zero-gradient: a loss has the largest unit, so its gradient is hardly any.
    """
    for genome in recipe.active:
        if genome.unit == MAX_UNIT:
            share = f"{1 / MAX_UNIT:g} of the detection loss's, or less"
            raise Rejected("zero-gradient", f"the gradient of `{genome}` to the student's first weights is {share}.")


def look_step(steps: int) -> int:
    """After how many of a training's steps its losses are looked at again."""
    return max(1, round(LOOK * steps))


def reject_exploded(recipe: Recipe, first: Diagnosis, now: Diagnosis, step: int) -> None:
    """The loss filter's second look.

    Args:
        recipe: with losses.
        first: what they did to the student with its first weights.
        now: what they do on the same batch after some steps.
        step: how many.

    Raises:
        Rejected: exploding: the losses' gradient has become 100 times as long as the detection loss's, and 10 times as long as it was.
    """
    if now.ratio > OVERWHELMING and now.ratio > GROWTH * first.ratio:
        losses = "; ".join(map(str, recipe.active))
        raise Rejected(
            "exploding",
            f"the gradient of `{losses}` is {now.ratio:.3g} times the detection loss's after {step} steps, {first.ratio:.3g} times before.",
            step,
        )
