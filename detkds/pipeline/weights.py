"""Stage 3, weights: how much each of the found losses counts (Alg. 1, lines 13-18)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from detkds.errors import ArtifactError
from detkds.genome import Genome, Recipe
from detkds.objective import scored_by
from detkds.pipeline.progress import report_errors, say
from detkds.pipeline.race import Raced, epochs, following, race
from detkds.pipeline.race import markdown as race_markdown
from detkds.pipeline.recipes import recipe_of
from detkds.pipeline.settings import Pair, RacePlan, Result, Schedule, WeightsPlan
from detkds.pipeline.studies import JOURNAL, Conducted, conduct, left_out, publish, read
from detkds.pipeline.task import LEADERBOARD, WEIGHTS, Task
from detkds.pipeline.workers import get_ready, hired
from detkds.processes import use_cpus
from detkds.search.rungs import racing
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.trial import Trial
from detkds.search.weights import WeightSearch
from detkds.storage.artifacts import publishing, verify

if TYPE_CHECKING:
    from detkds.pipeline.proxy import Proxy  # with torch and mmdet, see `run`

POOL_RATIO, TOP_K = 0.9, 5
"""r and k of Alg. 1; the paper gives none of their own to the weights."""


@report_errors
def run(
    studies: Sequence[Path],
    pair: Pair,
    plan: WeightsPlan,
    schedule: Schedule,
    *,
    subset: Path,
    out: Path,
    recipe_out: Path,
    final: RacePlan | None = None,
    work: str = "",
    workers: int = 0,
) -> Result:
    """Publish the search over weights at `out` and the best recipe of all at `recipe_out`, which may be no distillation.

    The best recipe is the winner of the `final` race, whose leaderboard is published beside the search; without a race, as in the paper,
    the one with the highest score. Trials of the five studies answer where the same recipe comes up again. A search that was killed goes
    on from its journals, which lie at `work` (see Workplace), with the same result. `workers` is how many candidates are measured at a
    time, see `hired`; beyond the first population Alg. 1 asks one after the other.

    Raises:
        DetKDSError: data, detectors or plan cannot be used; the message says which.
    """
    genomes, known, semantics = _found(studies, plan.score)
    raced: Raced | None = None
    if not genomes:
        say(WEIGHTS, "no loss was found that could be trained; the recipe is no distillation")
        inputs = {"studies": [verify(study).digest for study in studies], "plan": plan.identity}
        finished = left_out(WEIGHTS, Task(WEIGHTS), "no knowledge has a candidate with a score", inputs, work)
        recipe = Recipe(semantics=semantics)
    else:
        get_ready(workers)
        from detkds.pipeline.proxy import Proxy  # its imports take seconds, as long as those of the workers beside it

        use_cpus()
        build = partial(Proxy, pair, schedule, subset, early_stop=plan.early_stop, score=plan.score, repeats=plan.repeats, work=work)
        finished = _search(genomes, semantics, plan, schedule, build, known, work, workers, following(final))
        if final and final.candidates:
            tried = [*known.values(), *(trial for trial in finished.study.trials if not trial.borrowed)]
            longer = partial(_longer, pair, subset, plan.score, work)
            raced = race(final, schedule, tried, known, build, longer, repeats=plan.repeats, work=work, workers=workers, cohort=plan.cohort)
            recipe = raced.recipe
        else:
            best = finished.study.best
            recipe = Recipe(best.recipe.active, semantics) if best else Recipe(semantics=semantics)
    with publishing(recipe_out, kind="recipe", meta={}) as folder:
        (folder / "recipe.json").write_text(recipe.dumps())
        (folder / "recipe.txt").write_text(f"{recipe}\n")
    if raced is None or final is None:
        return publish(finished, out, recipe)
    board = raced.dumps(final, epochs(final, schedule))
    journals = {f"{one.study.name.replace(' ', '-')}.jsonl": (one.journal / JOURNAL).read_text() for one in raced.studies if one.journal}
    return publish(finished, out, recipe, {LEADERBOARD: board, **journals}, race_markdown(raced))


def _longer(pair: Pair, subset: Path, score: str, work: str, schedule: Schedule) -> Proxy:
    from detkds.pipeline.proxy import Proxy

    return Proxy(pair, schedule, subset, early_stop=False, score=score, work=work)


def candidates(plan: WeightsPlan, genomes: int) -> int:
    """How many candidates the search requests: no distillation, the first population (at least the known points), one per iteration."""
    return 1 + max(plan.population, genomes + 2) + plan.iterations


def _search(
    genomes: Sequence[Genome],
    semantics: str,
    plan: WeightsPlan,
    schedule: Schedule,
    build: Callable[[], Proxy],
    known: dict[str, Trial],
    work: str,
    workers: int,
    followed_by: tuple[str, ...],
) -> Conducted:
    settings = SearchSettings(plan.population, plan.iterations, POOL_RATIO, min(TOP_K, plan.population), plan.iterations_at_once)
    space = SearchSpace.preset(plan.space, semantics)
    designer = racing(WeightSearch(genomes, space, settings, schedule.seed), rungs=plan.rungs)
    proxy = build()
    identity = {"genomes": [str(genome) for genome in genomes], "plan": plan.identity, **proxy.identity}
    task = Task(WEIGHTS, candidates(plan, len(genomes)), followed_by=followed_by)
    with hired(workers, build, plan.cohort, proxy) as crew:
        return conduct(WEIGHTS, task, designer, proxy, identity, known=known, work=work, workers=crew)


def _found(studies: Sequence[Path], score: str) -> tuple[list[Genome], dict[str, Trial], str]:
    """The best genome of each study, all finished trials by id, and the semantics."""
    recipes: list[Recipe] = []
    known: dict[str, Trial] = {}
    for artifact in studies:
        _, history, _ = read(artifact)
        if history is not None:
            if (before := scored_by(history.settings)) != score:
                raise ArtifactError(
                    f"{artifact} has candidates scored by {before}, and the weights are scored by {score}; use one for both."
                )
            recipes.append(recipe_of(artifact))
            for trial_id, trial in history.finished().items():
                known.setdefault(trial_id, trial)
    active = [recipe for recipe in recipes if recipe.active]
    semantics = {recipe.semantics for recipe in active}
    if len(semantics) > 1:
        raise ArtifactError(f"all studies must have one semantics, got {', '.join(sorted(semantics))}; search them again with one.")
    return [recipe.genomes[0] for recipe in active], known, semantics.pop() if semantics else "paper"
