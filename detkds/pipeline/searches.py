"""Searches: the studies of a run as anyone may read them, while they are conducted or after. Nothing is held and nothing is written."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from detkds.errors import ArtifactError
from detkds.genome import Knowledge
from detkds.objective import scored_by
from detkds.pipeline.task import FILE, JOURNAL, TIMINGS, WEIGHTS, Task, run_name
from detkds.pipeline.task_progress import RunProgress
from detkds.search.history import History, Started
from detkds.search.journal import timings
from detkds.search.study import Study
from detkds.search.trial import Trial
from detkds.storage.store import Store, StoredObject

SUMMARY = "study.json"
"""A published study has it, one in work has not."""
ORDER = (*map(str, Knowledge), WEIGHTS)


@dataclass(frozen=True)
class StudyView:
    """A study as it stands.

    Args:
        place: its address.
        task: what it is.
        history: its trials, none where it has not begun.
        seconds: how long a trial took, by number; those that were answered took none.
        changed: when it last wrote something, in Unix time of the store.
    """

    place: str
    task: Task
    history: History = field(default_factory=History)
    seconds: Mapping[int, float] = field(default_factory=dict)
    changed: float = 0.0

    @cached_property
    def study(self) -> Study:
        """Its finished trials."""
        trials, settings = tuple(self.history.trials.values()), self.history.settings
        return Study(trials, self.task.name, self.seconds, self.task.reason, scored_by(settings))

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The finished trials by number."""
        return self.study.trials

    @property
    def running(self) -> Started | None:
        """The candidate in work, if one is."""
        left = self.history.started.keys() - self.history.trials.keys()
        return self.history.started[max(left)] if left and not self.task.finished else None

    @property
    def expected(self) -> int:
        """How many candidates there will be; the present number if it was not recorded."""
        return len(self.trials) if self.task.finished else max(self.task.expected, len(self.trials))

    @property
    def pace_s(self) -> float | None:
        """Seconds per candidate, over all that are finished; None before the first."""
        spent = self.study.total_seconds
        return spent / len(self.trials) if spent else None

    @property
    def left_s(self) -> float | None:
        """Seconds until the study is finished, at the pace so far."""
        return None if self.pace_s is None else self.pace_s * (self.expected - len(self.trials))


class NotBegun(ArtifactError):
    """No search of that name has written anything yet."""


class Searches:
    """The studies below an address.

    Args:
        store: of the address: a place of work, the folder of a study, or any folder above some.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[tuple[str, ...], StudyView] = {}

    def progress(self, run: str) -> RunProgress:
        """How far the tasks of a run are, as far as they say so here.

        Raises:
            StoreError: the store cannot be reached or refuses.
        """
        return RunProgress.read(self._store, run) if run else RunProgress()

    def studies(self, run: str = "") -> list[StudyView]:
        """The studies of a run, in the order of the search; of several with one name, that which changed last.

        Args:
            run: its name; empty takes the run that wrote something last.

        Raises:
            NotBegun: there is no such run.
            ArtifactError: a journal is damaged.
            StoreError: the store cannot be reached or refuses.
        """
        places: dict[str, dict[str, StoredObject]] = {}
        for entry in self._store.list():
            folder, _, name = entry.key.rpartition("/")
            if name in (FILE, JOURNAL, TIMINGS, SUMMARY):
                places.setdefault(folder, {})[name] = entry
        views = [self._view(folder, files) for folder, files in places.items() if FILE in files or JOURNAL in files]
        return _of_run(sorted(views, key=lambda view: view.changed), run_name(run), self._store.uri())

    def _view(self, folder: str, files: Mapping[str, StoredObject]) -> StudyView:
        state = (folder, *(f"{name} {entry.etag}" for name, entry in sorted(files.items())))
        if state not in self._read:
            self._read[state] = self._load(folder, files)
        return self._read[state]

    def _load(self, folder: str, files: Mapping[str, StoredObject]) -> StudyView:
        history = self._history(files[JOURNAL]) if JOURNAL in files else History()
        if FILE in files:
            task = Task.loads(self._store.get_bytes(files[FILE].key), self._store.uri(files[FILE].key))
        else:
            task = Task(_name(history), len(history.trials), finished=SUMMARY in files)
        seconds = timings(self._store.get_bytes(files[TIMINGS].key)) if TIMINGS in files else {}
        return StudyView(self._store.uri(folder), task, history, seconds, max(entry.modified for entry in files.values()))

    def _history(self, journal: StoredObject) -> History:
        data = self._store.get_bytes(journal.key)
        if b"\n" not in data:
            return History()  # the header is being written
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / JOURNAL
            path.write_bytes(data)
            try:
                return History.read(path)
            except ArtifactError as error:
                raise ArtifactError(str(error).replace(str(path), self._store.uri(journal.key))) from None


def is_finished(studies: Sequence[StudyView], *, alone: bool) -> bool:
    """Whether nothing more will come: a search ends with its weights and what follows them; studies that are looked at `alone` end with
    themselves."""
    ends = any(study.task.name == WEIGHTS for study in studies) and not _following(studies)
    return all(study.task.finished for study in studies) and (alone or ends)


def awaited(studies: Sequence[StudyView]) -> list[str]:
    """Names of the studies that the run will conduct and that have not begun, as far as those that have begun know."""
    known = {study.task.name for study in studies}
    searched = {name for study in studies for name in study.task.searched}
    return [name for name in ORDER if name not in known and (name in searched or (name == WEIGHTS and searched))] + _following(studies)


def _following(studies: Sequence[StudyView]) -> list[str]:
    known = {study.task.name for study in studies}
    return [name for study in studies for name in study.task.followed_by if name not in known]


def _of_run(views: Sequence[StudyView], run: str, place: str) -> list[StudyView]:
    if not views:
        raise NotBegun(f"no search has begun in {place}: start one, or name its run, its folder or its s3:// address.")
    runs = {name: None for view in views for name in view.task.runs}
    if run and run not in runs:
        raise NotBegun(f"no run {run!r} searched in {place}; there are: {', '.join(runs) or 'none with a name'}.")
    newest = views[-1].task.runs
    wanted = run or (newest[-1] if newest else "")
    chosen = {view.task.name: view for view in views if (wanted in view.task.runs if wanted else not view.task.runs)}
    return [chosen[name] for name in sorted(chosen, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))]


def _name(history: History) -> str:
    """The knowledge, or "weights", of a study without a recorded name."""
    return str(history.settings.get("knowledge", WEIGHTS))
