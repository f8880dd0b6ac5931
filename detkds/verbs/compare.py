"""Train the same student under several recipes, and tell what they are worth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from detkds.errors import ConfigError
from detkds.genome import Recipe
from detkds.verbs import stage
from detkds.verbs.entrants import DEFAULT, Entrant, entrants

if TYPE_CHECKING:
    from detkds.search.trial import Trial
    from detkds.stages.comparison import Comparison
    from detkds.stages.contest import Contest, Entry

RESULT = "comparison"
"""Kind of the artifact that holds compare.json and compare.md."""


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
class Ground:
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

    def contest(self, effort: Effort) -> Contest:
        """Where students of this run are trained."""
        from detkds.stages.contest import Contest

        epochs = effort.epochs or int(self.values["epochs"])
        return Contest(stage.pair(self.values), stage.schedule(self.values, epochs), self.subset)


@contextmanager
def ground(path: Path, home: Path, trust: bool, console: Console) -> Iterator[Ground]:
    """A run.yaml made ready: the teacher trained where there is none, the data checked and drawn, as `detkds run` does."""
    from detkds.launch import shown
    from detkds.stages.transcript import Transcript
    from detkds.stages.workplace import Workplace

    with stage.prepared(path, home, trust, console) as values:
        names = ("dataset", "train_annotations", "train_images", "test_annotations", "test_images", "data_version")
        inputs = {name: values[name] for name in (*names, "subset_fraction", "search_val_fraction", "seed")}
        subset = Workplace("subset", inputs).folder / "subset"
        show = shown(console)
        with Transcript(home.resolve() / "logs" / "compare.log", show):
            stage.subset(values, out=subset)
        yield Ground(values, subset, home.resolve(), console, show)


def compare(path: Path, recipes: Sequence[str], effort: Effort, *, home: Path, trust: bool, console: Console, out: Path | None) -> None:
    """Train the student of a run under each recipe with each seed, print the table and publish it.

    Args:
        path: the run.yaml.
        recipes: see `entrants`; none: DEFAULT.
        effort: how much.
        home, trust: as of `detkds run`.
        console: gets progress and the table.
        out: the artifact with compare.json and compare.md; None: compare/NAME below `home`.

    Raises:
        DetKDSError: run, recipes, data or detectors cannot be used; the message says which.
    """
    with ground(path, home, trust, console) as made:
        contest = made.contest(effort)
        able, left_out = _parted(chosen(made, recipes or DEFAULT), contest)
        entries = _entries(able, made.seeds(effort), inherit=made.values["inherit"])
        result = hold(made, contest, entries, effort, left_out)
        publish(out or made.home / "compare" / made.name, result, console)


def chosen(made: Ground, recipes: Sequence[str]) -> list[Entrant]:
    """The recipes that texts name, see `entrants`."""
    return entrants(recipes, made.values["semantics"], _of_run(made))


def hold(made: Ground, contest: Contest, entries: Sequence[Entry], effort: Effort, left_out: dict[str, str] | None = None) -> Comparison:
    """Hold a contest and conclude it."""
    from detkds.stages.comparison import conclude

    return conclude(made.name, contest, entries, train(made, contest, entries, effort), left_out)


def train(made: Ground, contest: Contest, entries: Sequence[Entry], effort: Effort) -> dict[str, Trial]:
    """Train what was not trained before; a trial for each entry's id."""
    from detkds.processes import gpus

    return contest.hold(entries, jobs=effort.jobs or max(1, len(gpus())), show=made.show)


def publish(out: Path, result: Comparison, console: Console, files: Mapping[str, str] | None = None) -> None:
    """Print the table; write compare.json, compare.md and further files."""
    from detkds.storage.artifacts import publishing
    from detkds.verbs.standings import markdown, show

    with publishing(out, kind=RESULT, meta={"run": result.run}) as folder:
        (folder / "compare.json").write_text(json.dumps(result.to_json(), indent=1, allow_nan=False))
        (folder / "compare.md").write_text(markdown(result))
        for name, text in (files or {}).items():
            (folder / name).write_text(text)
    show(result, console)
    console.print(f"written to {out}", markup=False, soft_wrap=True)


def _entries(able: Sequence[Entrant], seeds: range, *, inherit: bool) -> list[Entry]:
    from detkds.stages.contest import Entry

    return [Entry(one.name, one.recipe, seed, inherit if one.inherit is None else one.inherit) for one in able for seed in seeds]


def _parted(given: Sequence[Entrant], contest: Contest) -> tuple[list[Entrant], dict[str, str]]:
    """Those that the pair can be trained with, and why the others cannot.

    Raises:
        ConfigError: none can.
    """
    missing = contest.unsupported()
    reasons = {
        one.name: "; ".join(missing[genome.knowledge] for genome in one.recipe.active if genome.knowledge in missing) for one in given
    }
    left_out = {name: reason for name, reason in reasons.items() if reason}
    able = [one for one in given if one.name not in left_out]
    if not able:
        raise ConfigError(f"no recipe can be trained with this pair: {'; '.join(f'{name}: {why}' for name, why in left_out.items())}")
    return able, left_out


def _of_run(made: Ground) -> Callable[[str], Recipe]:
    def recipe_of_run(name: str) -> Recipe:
        from detkds import results
        from detkds.stages.train import recipe_of

        return recipe_of(results.fetch(name, made.values["results"], made.home / "runs")[1])

    return recipe_of_run
