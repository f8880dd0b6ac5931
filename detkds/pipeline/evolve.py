"""Stage 2, evolve: the search of one knowledge (Alg. 1, lines 1-12)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from detkds.genome import Genome, Knowledge, Recipe
from detkds.genome.presets import preset, readable
from detkds.pipeline.progress import report_errors, say
from detkds.pipeline.settings import Pair, Result, Schedule, SearchPlan
from detkds.pipeline.studies import Conducted, conduct, left_out, publish
from detkds.pipeline.task import Task
from detkds.pipeline.workers import get_ready, hired
from detkds.processes import use_cpus
from detkds.search.algorithms import single_search
from detkds.search.calibrated import Calibrated, form, share
from detkds.search.designer import Designer, SingleSearch
from detkds.search.rungs import racing
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.study import Study

if TYPE_CHECKING:
    from detkds.pipeline.proxy import Proxy  # with torch and mmdet, see `run`


@report_errors
def run(
    knowledge: str,
    pair: Pair,
    plan: SearchPlan,
    schedule: Schedule,
    *,
    searched: str,
    subset: Path,
    out: Path,
    work: str = "",
    workers: int = 0,
) -> Result:
    """Publish the journal of the search and the best genome of one knowledge at `out`.

    A search that was killed resumes from its journal, which lies at `work` (see Workplace), with the same result. A knowledge that is not
    `searched` (comma-separated), or that this pair of detectors cannot share, gives an empty study with the reason. `workers` is how many
    candidates are measured at a time, see `hired`; the journal is the same for any number.

    Raises:
        DetKDSError: data, detectors or plan cannot be used; the message says which.
    """
    wanted = Knowledge(knowledge)
    title = f"evolve {wanted}"
    if wanted not in searched.split(","):
        return publish(Conducted(Study(name=str(wanted), reason="not searched in this run")), out)
    get_ready(workers)
    from detkds.pipeline.proxy import Proxy  # its imports take seconds: only where something is searched
    from detkds.pipeline.teaching import require_teaching

    use_cpus()
    build = partial(Proxy, pair, schedule, subset, early_stop=plan.early_stop, score=plan.score, repeats=plan.repeats, work=work)
    proxy = build()
    settings = {"knowledge": wanted, "plan": plan.identity, **proxy.identity}
    task = Task(str(wanted), candidates(plan), tuple(searched.split(",")))
    if reason := proxy.unsupported(wanted):
        say(title, f"left out: {reason}")
        return publish(left_out(title, task, reason, settings, work), out)
    say(title, f"search-train: {proxy.kept}")
    if plan.score == "loss" and (remark := proxy.of_loss):
        say(title, remark)
    require_teaching(title, pair, schedule, subset, work)
    searcher = in_units(racing(designer(wanted, plan, schedule.seed, proxy), rungs=plan.rungs), plan, proxy)
    with hired(workers, build, plan.cohort, proxy) as crew:
        finished = conduct(title, task, searcher, proxy, settings, work=work, workers=crew)
    return publish(finished, out)


def candidates(plan: SearchPlan) -> int:
    """How many candidates Alg. 1 requests: no distillation, the first population, two per iteration."""
    return 1 + plan.population + 2 * plan.iterations


def designer(knowledge: Knowledge, plan: SearchPlan, seed: int, proxy: Proxy) -> SingleSearch:
    """The designer, which requests the candidates of one knowledge. If weights are calibrated, the proxy measures the shares that the
    published weights of the warm starts have.

    Raises:
        ConfigError: no such algorithm or space.
    """
    settings = SearchSettings(plan.population, plan.iterations, plan.sample_ratio, plan.top_k, plan.iterations_at_once)
    starts = warm_start(plan, knowledge)
    if plan.weights_are == "calibrated":
        shares = (share(genome, proxy.unit(form(genome), plan.semantics)) for genome in starts)
        starts = [genome for genome in shares if genome is not None]
    return single_search(plan.algorithm, space_of(plan), knowledge, settings, seed, starts[: plan.population])


def space_of(plan: SearchPlan) -> SearchSpace:
    """The genomes that a plan may try."""
    space = SearchSpace.preset(plan.space, plan.semantics)
    return replace(space, labelled=(False, True)) if plan.unlabelled_search else space


def in_units(designer: Designer, plan: SearchPlan, proxy: Proxy) -> Designer:
    """The designer, with the units of its weights where they are calibrated."""
    return Calibrated(designer, proxy.unit) if plan.weights_are == "calibrated" else designer


def warm_start(plan: SearchPlan, knowledge: Knowledge) -> list[Genome]:
    """The genomes of one knowledge in the presets that the plan names; presets of another semantics have none."""
    recipes: list[Recipe] = [preset(name.strip()) for name in plan.warm_start.split(",") if name.strip()]
    return [
        genome
        for recipe in recipes
        if readable(recipe.semantics, plan.semantics)
        for genome in recipe.genomes
        if genome.knowledge is knowledge
    ]
