"""What experiments start from: an open run whose teacher, data and subset are ready."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from detkds.experiments.named_recipes import NamedRecipe, named_recipes
from detkds.genome import Genome, Knowledge
from detkds.pipeline import stage
from detkds.pipeline.run import Run
from detkds.pipeline.values import Values

if TYPE_CHECKING:
    from detkds.experiments.trainings import Trainings


@dataclass(frozen=True)
class Effort:
    """How much a verb of several trainings does.

    Args:
        seeds: how many, from the run's own on.
        epochs: of every training; 0: as the run says.
        jobs: trainings at a time; 0: one per GPU, or without a GPU one per CPU as far as the memory allows.
    """

    seeds: int = 3
    epochs: int = 0
    jobs: int = 0


@dataclass(frozen=True)
class PreparedRun:
    """A prepared run: its values as the pipeline takes them, its subset artifact, and why its student would inherit nothing, if so."""

    values: dict[str, Any]
    subset: Path
    home: Path
    console: Console
    show: Callable[[str], None]
    nothing_inherited: str = ""

    @property
    def name(self) -> str:
        """Of the run."""
        return str(self.values["run_name"])

    def seeds(self, effort: Effort) -> range:
        """The run's seed and those after it."""
        first = int(self.values["seed"])
        return range(first, first + effort.seeds)

    @property
    def inherit(self) -> bool:
        """Whether students start with something of the teacher's where a recipe does not say otherwise."""
        return bool(self.values["inherit"]) and not self.nothing_inherited

    def trainings(self, effort: Effort) -> Trainings:
        """Where students of this run are trained."""
        from detkds.experiments.trainings import Trainings

        epochs = effort.epochs or int(self.values["epochs"])
        loggers = Values.read(self.values).services
        return Trainings(stage.pair(self.values), stage.schedule(self.values, epochs), self.subset, loggers)


def recipes_of(run: Run, texts: Iterable[str]) -> list[NamedRecipe]:
    """The recipes that texts name, see `named_recipes`; looked up before a teacher is trained for nothing."""
    return named_recipes(texts, run.config.search.semantics, run.recipe_of)


def prepared_run(run: Run, *, searched: bool = True) -> PreparedRun:
    """The run looked at, the teacher trained where there is none, the data checked and drawn, as `detkds run` does; `searched`: with the
    plan of its search."""
    run.look()
    if not searched:
        run.leave_budget()
    return PreparedRun(run.values, run.subset, run.home, run.console, run.show, run.nothing_inherited)


def refusal(genome: Genome, missing: Mapping[Knowledge, str]) -> str:
    """Why a pair that cannot share the knowledges `missing` cannot be trained with a loss; empty where it can."""
    responses = missing.get(Knowledge.LOGITS, "") if genome.needs_responses else ""
    return missing.get(genome.knowledge, "") or responses
