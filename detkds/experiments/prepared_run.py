"""What experiments stand on: a run.yaml with its store open, then its teacher, data and subset made ready."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from detkds.experiments.named_recipes import NamedRecipe, named_recipes
from detkds.genome import Genome, Knowledge, Recipe
from detkds.pipeline import run as launch
from detkds.pipeline import stage
from detkds.pipeline.run_config import RunConfig

if TYPE_CHECKING:
    from detkds.experiments.trainings import Trainings

_DRAWN_FROM = (
    *("dataset", "train_annotations", "train_images", "test_annotations", "test_images", "data_version", "seed"),
    *("subset_fraction", "search_val_fraction", "subset_sizes", "subset_crowd", "subset_empty"),
)
"""Values of a run that its subset depends on."""


@dataclass(frozen=True)
class Effort:
    """How much a verb of several trainings does.

    Args:
        seeds: how many, from the run's own on.
        epochs: of every training; 0: as the run says.
        jobs: trainings at a time; 0: one a GPU, or one on the CPU.
    """

    seeds: int = 3
    epochs: int = 0
    jobs: int = 0


@dataclass(frozen=True)
class PreparedRun:
    """A prepared run: its values as the pipeline takes them, and its subset artifact."""

    values: dict[str, Any]
    subset: Path
    home: Path
    console: Console
    show: Callable[[str], None]

    @property
    def name(self) -> str:
        """Of the run."""
        return str(self.values["run_name"])

    def seeds(self, effort: Effort) -> range:
        """The run's seed and those after it."""
        first = int(self.values["seed"])
        return range(first, first + effort.seeds)

    def trainings(self, effort: Effort) -> Trainings:
        """Where students of this run are trained."""
        from detkds.experiments.trainings import Trainings

        epochs = effort.epochs or int(self.values["epochs"])
        return Trainings(stage.pair(self.values), stage.schedule(self.values, epochs), self.subset)


@dataclass(frozen=True)
class OpenedRun:
    """A run.yaml that was read, with its store open. What the user named is looked up here, before a teacher is trained for nothing."""

    config: RunConfig
    home: Path
    trust: bool
    console: Console

    def named_recipes(self, texts: Iterable[str]) -> list[NamedRecipe]:
        """The recipes that texts name, see `named_recipes`."""
        return named_recipes(texts, self.config.search.semantics, self._of_run)

    def prepared_run(self) -> PreparedRun:
        """The teacher trained where there is none, the data checked and drawn, as `detkds run` does."""
        from detkds.pipeline.transcript import Transcript
        from detkds.pipeline.workplace import Workplace

        values = stage.values_of(self.config, self.home, self.trust, self.console)
        subset = Workplace("subset", {name: values[name] for name in _DRAWN_FROM}).folder / "subset"
        show = launch.shown(self.console)
        with Transcript(self.home / "logs" / "compare.log", show):
            stage.subset(values, out=subset)
        return PreparedRun(values, subset, self.home, self.console, show)

    def _of_run(self, name: str) -> Recipe:
        from detkds.pipeline import publish as results
        from detkds.pipeline.train import recipe_of

        launch.ensure_bucket(self.config.store.bucket)  # there is none yet where nothing was ever published
        return recipe_of(results.fetch(name, stage.results_of(self.config), self.home / "runs")[1])


@contextmanager
def opened_run(path: Path, home: Path, trust: bool, console: Console) -> Iterator[OpenedRun]:
    """A run.yaml with its store open.

    Args:
        path: the run.yaml.
        home, trust: as of `detkds run`.
        console: gets progress.
    """
    with stage.opened(path, home, console) as config:
        yield OpenedRun(config, home.resolve(), trust, console)


def refusal(genome: Genome, missing: Mapping[Knowledge, str]) -> str:
    """Why a pair that cannot share the knowledges `missing` cannot be trained with a loss; empty where it can."""
    responses = missing.get(Knowledge.LOGITS, "") if genome.needs_responses else ""
    return missing.get(genome.knowledge, "") or responses
