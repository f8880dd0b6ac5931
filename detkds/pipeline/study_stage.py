"""A study of either kind, a knowledge or the weights, by one call: what a task does in its pod and the first node of a search does too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detkds.pipeline import evolve, weights
from detkds.pipeline.settings import Result
from detkds.pipeline.values import Values


def run(study: str, told: Values, studies: Sequence[Path], *, subset: Path, out: Path, recipe_out: Path | None = None) -> Result:
    """Publish a study at `out`, as the stages evolve and weights do.

    Args:
        study: a knowledge, or "weights".
        told: pair, plans, schedule and unfinished work.
        studies: those that a search over weights starts from.
        subset, out: as of the stages.
        recipe_out: where a search over weights publishes the recipe; None for a knowledge.

    Raises:
        DetKDSError: as the stages.
    """
    pair, schedule, work = told.pair, told.proxy, told.work
    if recipe_out is None:
        return evolve.run(study, pair, told.search_plan, schedule, searched=told.searched, subset=subset, out=out, work=work)
    plan, final = told.weights_plan, told.race_plan
    return weights.run(studies, pair, plan, schedule, final=final, subset=subset, out=out, recipe_out=recipe_out, work=work)
