"""Trainings: the same student trained under several recipes and seeds, each training a trial of one journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detkds import plugins
from detkds.experiments.pool import finished_trials
from detkds.experiments.training import (
    DETECTIONS,
    Training,
    TrainingContext,
    evaluate_teacher,
    read_detections,
    train_and_evaluate,
    unsupported,
)
from detkds.genome import Knowledge, Recipe
from detkds.pipeline import pair as pairs
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.subset import part
from detkds.pipeline.train import content
from detkds.pipeline.workplace import Workplace, digest
from detkds.search.history import History
from detkds.search.journal import Journal
from detkds.search.trial import Trial
from detkds.storage.manifest import file_sha256

JOURNAL = "trainings.jsonl"
Show = Callable[[str], None]


@dataclass(frozen=True)
class Entry:
    """One training of an experiment.

    Args:
        name: of the recipe, for people.
        recipe: the losses.
        seed: of first weights, order and augmentations; equal seeds are alike in all three, whatever the recipe.
        inherit: whether neck and head start from the teacher's.
        unlabelled: whether the schedule's images without labels are used, where it has some.
    """

    name: str
    recipe: Recipe
    seed: int
    inherit: bool
    unlabelled: bool = True

    @property
    def id(self) -> str:
        """What makes it this training; the name does not."""
        how = {} if self.unlabelled else {"unlabelled": False}
        return digest({"recipe": self.recipe.digest, "inherit": self.inherit, "seed": self.seed, **how})


class Trainings:
    """Trainings of one student on one data set with one schedule. A training made for one experiment is reused by another.

    Everything is in one folder: a journal with one trial per recipe and seed, and the model and detections of each. An experiment
    that was interrupted resumes from the last checkpoint of the training that was running, with the same results.

    Args:
        pair: teacher and student; its `inherit` is each entry's own.
        schedule: of every training; its seed is each entry's own.
        subset: artifact of the subset stage; trained on its `train`, measured on its `test`.
        loggers: services that receive the figures of every training, see `pipeline.loggers`.
    """

    def __init__(self, pair: Pair, schedule: Schedule, subset: Path, loggers: Sequence[str] = ()) -> None:
        self.context = TrainingContext(pair, schedule, subset, tuple(loggers))
        names = ("train", "test", "unlabelled") if schedule.unlabelled else ("train", "test")
        data = {name: file_sha256(part(subset, name).annotations) for name in names}
        pair_of = {name: content(value) for name, value in asdict(pair).items() if name != "inherit"}
        how = {name: value for name, value in schedule.to_json().items() if name != "seed"}
        self.settings: dict[str, Any] = {"pair": pair_of, "schedule": how, "data": data, **plugins.identity()}
        self.settings |= pairs.identity(pair.teacher_config)
        self.folder = Workplace("trainings", self.settings).folder

    def run(self, entries: Sequence[Entry], *, jobs: int = 1, show: Show = print) -> dict[str, Trial]:
        """Train and measure what was not before.

        Args:
            entries: those of one id are one training.
            jobs: how many at a time, each in a process of its own, with a GPU of its own where there are some.
            show: called with each progress line.

        Returns:
            A trial for each entry's id. Its score is AP on the test images, of masks where the student has some; one that could not be
            trained is REJECTED.

        Raises:
            StudyHeldError: another process is running these trainings.
            Interrupted: SIGTERM came, or a process was killed; the same call resumes from there.
        """
        wanted = {entry.id: entry for entry in entries}
        with Journal(self.folder / JOURNAL, self.settings) as journal:
            history = History.of(journal)
            done = {name: trial for name, trial in history.finished().items() if name in wanted}
            left = sorted((entry for entry in wanted.values() if entry.id not in done), key=lambda entry: entry.seed)
            narrate = _narrator(len(wanted), len(done), show)
            began = time.monotonic()
            with closing(self._finished_trials(journal, history, left, jobs, show)) as outcomes:
                for entry, trial in outcomes:
                    journal.append("end", trial.to_json())
                    journal.note_time(trial.number, time.monotonic() - began)
                    began = time.monotonic()
                    done[entry.id] = trial
                    narrate(entry, trial)
        return done

    def detections(self, entry: Entry) -> list[dict[str, Any]]:
        """What the trained student found in the test images.

        Raises:
            ArtifactError: they do not exist, or were altered.
        """
        return read_detections(self._place(entry) / DETECTIONS)

    def unsupported(self) -> dict[Knowledge, str]:
        """Knowledges that this pair cannot share, and why."""
        return unsupported(self.context)

    def teacher(self) -> list[dict[str, Any]] | None:
        """What the teacher finds in the test images; looked for once. None where it is a backbone or a moving average."""
        if pairs.not_measured(self.context.pair.teacher_config):
            return None
        place = self.folder / "teacher"
        evaluate_teacher(self.context, place)
        return read_detections(place)

    def _finished_trials(
        self, journal: Journal, history: History, left: Iterable[Entry], jobs: int, show: Show
    ) -> Generator[tuple[Entry, Trial]]:
        numbers = {started.trial_id: number for number, started in history.started.items()}

        def trainings() -> Iterator[tuple[Entry, Training]]:
            """Each is recorded when it starts; one that was started before keeps its number."""
            for entry in left:
                if entry.id not in numbers:
                    numbers[entry.id] = len(numbers)
                    start = {"number": numbers[entry.id], "id": entry.id, "recipe": entry.recipe.to_json()}
                    how = {} if entry.unlabelled else {"unlabelled": False}
                    journal.append("start", {**start, "seed": entry.seed, "inherit": entry.inherit, **how})
                title = f"{entry.name}, seed {entry.seed}"
                place, beside = self._place(entry), entry.unlabelled
                yield entry, Training(numbers[entry.id], title, entry.recipe, entry.seed, entry.inherit, place, beside)

        if jobs == 1:
            yield from ((entry, train_and_evaluate(self.context, training, show)) for entry, training in trainings())
        else:
            yield from finished_trials(self.context, trainings(), jobs)

    def _place(self, entry: Entry) -> Path:
        return self.folder / entry.id[:16]


def _narrator(total: int, done: int, show: Show) -> Callable[[Entry, Trial], None]:
    began, before = time.monotonic(), done
    if done:
        show(f"[compare] {done}/{total}  trained before")

    def narrate(entry: Entry, trial: Trial) -> None:
        nonlocal done
        done += 1
        spent = (time.monotonic() - began) / 60
        left = spent / (done - before) * (total - done)
        found = f"AP {100 * trial.score:.1f}" if trial.score is not None else f"{trial.state}: {trial.reason}"
        show(f"[compare] {done}/{total}  {entry.name}, seed {entry.seed}: {found}  {spent:.1f} min, {left:.1f} left")

    return narrate
