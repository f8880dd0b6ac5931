"""The final race of a search, and its leaderboard. The rules are in `detkds.search.race`; each of its trainings is a trial of a journal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from detkds.genome import Recipe
from detkds.genome.presets import preset, readable
from detkds.objective import SCORES
from detkds.pipeline.progress import say
from detkds.pipeline.settings import RacePlan, Schedule
from detkds.pipeline.studies import Conducted, conduct
from detkds.pipeline.task import KNOWN, RACE, Task
from detkds.pipeline.workers import hired
from detkds.search.listed import Listed
from detkds.search.race import BASELINE, LEVEL, Ranked, finalists, leaderboard, remaining
from detkds.search.settings import KNOWN_RUNNERS
from detkds.search.trial import Trial

if TYPE_CHECKING:
    from detkds.pipeline.proxy import Proxy  # it needs torch, a race does not

SCHEMA = "detkds.leaderboard/1"


@dataclass(frozen=True)
class Raced:
    """A finished race.

    Args:
        table: the leaderboard, the chosen first.
        studies: the known distillers, and one for each seed.
        scored_by: what scores are, a key of `objective.SCORES`.
    """

    table: tuple[Ranked, ...]
    studies: tuple[Conducted, ...]
    scored_by: str = "ap"

    @property
    def recipe(self) -> Recipe:
        """What the student is trained with; no distillation where nothing beats it."""
        return self.table[0].finalist.recipe

    def dumps(self, plan: RacePlan, epochs: int) -> str:
        """leaderboard.json, an object: `schema`; `score`, what scores are; `level` of the intervals; `epochs` of a training; `seeds`, how
        many trainings the best have; and `rows`, the chosen one first, the others by their means, those that could not be trained last. A
        row has

        * `name`, `recipe` (genome text, a loss a line, or "no distillation"), `chosen`;
        * `seeds`, how many of its own; `scores`, on search-val, of each; `AP` or `score`, their mean, adjusted for the seeds that it lacks;
        * `low`, `high`: interval of that mean over seeds; `gain`, `gain_low`, `gain_high`: over no distillation;
        * `short`, `short_error`: what the search estimated for the short training;
        * `rejected`: why it could not be trained, or "".

        Scores and gains are in [0, 1]; what is not known is null.
        """
        rows = [_row(standing, SCORES[self.scored_by]) for standing in self.table]
        how = {"score": self.scored_by, "level": LEVEL, "epochs": epochs, "seeds": plan.seeds}
        return json.dumps({"schema": SCHEMA, **how, "rows": rows}, indent=1) + "\n"


def race(
    plan: RacePlan,
    schedule: Schedule,
    trials: Sequence[Trial],
    known: Mapping[str, Trial],
    build: Callable[[], Proxy],
    longer: Callable[[Schedule], Proxy],
    *,
    repeats: int = 1,
    work: str = "",
    workers: int = 0,
    cohort: int = 1,
) -> Raced:
    """Run the race from wherever its journals stand.

    Args:
        plan: with one candidate or more.
        schedule: of a candidate's short training.
        trials: of all studies of the search, at least one.
        known: the same by id; their scores are used for known distillers that the search has tried.
        build: makes the proxy of the search.
        longer: makes the proxy of a schedule; both pickle.
        repeats: trainings of a candidate in the search; the seeds of the race come after theirs.
        work, workers: as of a stage.
        cohort: candidates that are trained side by side.
    """
    short = build()
    semantics = trials[0].recipe.semantics
    distillers = {name: recipe for name, recipe in _presets(plan).items() if readable(recipe.semantics, semantics)}
    studies = [_study(KNOWN, list(distillers.values()), short, build, {}, known, work, workers, cohort)]
    scored = [*trials, *(trial for trial in studies[0].study.trials[1:])]
    entered = finalists(scored, distillers, plan.candidates, short.identify)
    rounds: list[Mapping[str, Trial]] = []
    for place in range(plan.seeds):
        seeded = replace(schedule, epochs=epochs(plan, schedule), seed=schedule.seed + repeats + place)
        recipes = [runner.recipe for runner in remaining(entered, rounds) if runner.name != BASELINE]
        again = partial(longer, seeded)
        studies.append(_study(f"{RACE} {place + 1}", recipes, again(), again, {"plan": plan}, {}, work, workers, cohort))
        rounds.append({trial.recipe.digest: trial for trial in studies[-1].study.trials})
    table = tuple(leaderboard(entered, rounds))
    _tell(table)
    return Raced(table, tuple(studies), studies[-1].study.scored_by)


def following(plan: RacePlan | None) -> tuple[str, ...]:
    """Names of the studies that come after the search over weights."""
    return (KNOWN, *(f"{RACE} {place + 1}" for place in range(plan.seeds))) if plan and plan.candidates else ()


def runners(plan: RacePlan) -> int:
    """How many enter the race at most, no distillation included."""
    return 1 + KNOWN_RUNNERS + plan.candidates


def epochs(plan: RacePlan, schedule: Schedule) -> int:
    """Of a training in the race."""
    return plan.epochs or 2 * schedule.epochs


def _presets(plan: RacePlan) -> dict[str, Recipe]:
    return {name.strip(): preset(name.strip()) for name in plan.known.split(",") if name.strip()}


def _study(
    name: str,
    recipes: Sequence[Recipe],
    proxy: Proxy,
    build: Callable[[], Proxy],
    how: Mapping[str, Any],
    known: Mapping[str, Trial],
    work: str,
    workers: int,
    cohort: int,
) -> Conducted:
    """Train recipes, each a trial; candidate 0 is no distillation."""
    settings = {"study": name, "recipes": [str(recipe) for recipe in recipes], **how, **proxy.identity}
    with hired(workers, build, cohort, proxy) as crew:
        task = Task(name, 1 + len(recipes))
        return conduct(name, task, Listed(recipes, name), proxy, settings, known=known, work=work, workers=crew)


def _tell(table: Sequence[Ranked]) -> None:
    """A line for each finalist, and what follows."""
    for one in table:
        outcome = f"rejected: {one.rejected}" if one.rejected else "  ".join(filter(None, (_points(one.mean), _gain(one))))
        seeds = "1 seed" if len(one.scores) == 1 else f"{len(one.scores)} seeds"
        say(RACE, f"{one.finalist.name}: {outcome}, {seeds}" + ("  chosen" if one.chosen else ""))
    if not table[0].finalist.recipe.active:
        say(RACE, "no recipe is clearly better than no distillation: the student is trained without distillation")


def markdown(raced: Raced) -> str:
    """The leaderboard as the UI's Markdown view shows it."""
    word = SCORES[raced.scored_by]
    head = ["**final race**", "", f"| name | recipe | search-val {word} | gain over no distillation | seeds |", "|---|---|---:|---:|---:|"]
    return "\n".join([*head, *map(_line, raced.table), ""])


def _line(one: Ranked) -> str:
    recipe = str(one.finalist.recipe).replace("\n", "; ").replace("|", "\\|")
    name = f"**{one.finalist.name}**, chosen" if one.chosen else one.finalist.name
    return f"| {name} | `{recipe}` | {_points(one.mean)} | {one.rejected or _gain(one)} | {len(one.scores)} |"


def _points(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.1f}"


def _gain(one: Ranked) -> str:
    if one.finalist.name == BASELINE or math.isnan(one.gain):
        return ""
    bounds = "" if math.isnan(one.gain_low) else f" ({100 * one.gain_low:+.1f} to {100 * one.gain_high:+.1f})"
    return f"{100 * one.gain:+.1f}{bounds}"


def _row(one: Ranked, word: str) -> dict[str, Any]:
    figures = {name: getattr(one, name) for name in ("low", "high", "gain", "gain_low", "gain_high")}
    short = one.finalist.estimate
    return {
        "name": one.finalist.name,
        "recipe": str(one.finalist.recipe),
        "seeds": len(one.scores),
        "scores": [one.scores[seed] for seed in sorted(one.scores)],
        word: _null(one.mean),
        **{name: _null(value) for name, value in figures.items()},
        "short": short and short.mean,
        "short_error": short and short.error,
        "rejected": one.rejected,
        "chosen": one.chosen,
    }


def _null(value: float) -> float | None:
    return None if math.isnan(value) else value
