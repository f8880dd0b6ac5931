"""How far the tasks of a run are: one small file for each, which a terminal and `detkds watch` read. Nothing of it changes a result.

The files lie at the place of work (see Workplace) below `progress/RUN/`: one for each task, and `stages.json`, which names the stages of
the run and when it began. What was written before that is of an earlier run of the same name.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detkds.errors import ArtifactError, StoreError
from detkds.pipeline.progress import say
from detkds.pipeline.stages import TEACHER
from detkds.pipeline.task import RUN, run_name
from detkds.pipeline.workplace import home
from detkds.storage.artifacts import writing
from detkds.storage.store import Store
from detkds.storage.uri import is_s3, open_store

FOLDER, STAGES = "progress", "stages.json"
LINE_S = 30.0
"""Between two lines of a task that only counts."""
FILE_S, STORED_S = 0.5, 10.0
"""Between two writes of a task's file: in a folder, and in an object store."""
WINDOW_S = 30.0
"""The rate is that of so many seconds before."""


@dataclass(frozen=True)
class TaskProgress:
    """How far a task is.

    Args:
        task: title of its progress lines.
        done, total: of what it counts, named `unit`: step, image, candidate; of `total` 0 nothing is known.
        what: which of several things it is at, such as the detector that is evaluated.
        note: what else is known, such as the loss or the best score.
        images_s: images per second; None where that is not measured.
        left_s: seconds until `done` is `total`; None where there is no rate yet.
        kept: what a run that is interrupted now resumes from, in words; empty where that is nothing.
        when: it was written, in Unix time.
    """

    task: str
    done: int = 0
    total: int = 0
    unit: str = ""
    what: str = ""
    note: str = ""
    images_s: float | None = None
    left_s: float | None = None
    kept: str = ""
    when: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.done == self.total > 0

    @property
    def count(self) -> str:
        """`step 12/40`, as progress lines begin."""
        return f"{f'{self.what}: ' if self.what else ''}{self.unit} {self.done}/{self.total}"

    @property
    def lines(self) -> list[str]:
        """The text of a progress line, and shorter ones for who has less room: first without images per second, then without time left."""
        pace = "" if self.images_s is None else f"{self.images_s:.{0 if self.images_s >= 10 else 1}f} images/s"
        left = "" if self.left_s is None or self.finished else f"{duration(self.left_s)} left"
        texts = ((self.count, self.note, pace, left), (self.count, self.note, left), (self.count, self.note), (self.count,))
        return ["  ".join(filter(None, text)) for text in texts]

    @property
    def line(self) -> str:
        """The text of a progress line."""
        return self.lines[0]

    def dumps(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def loads(cls, data: bytes) -> TaskProgress | None:
        """Read what `dumps` wrote; None where it is something else, since nothing depends on it."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError):
            return None


def duration(seconds: float) -> str:
    """45 s, 12 min, 3 h 05 min or 2 d 4 h."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes < 48 * 60 else f"{minutes // 1440} d {minutes % 1440 // 60} h"


class Progress:
    """Says how far a task is: in its file at once, on a line every 30 seconds and at the end.

    Args:
        task: title of its lines.
        unit: what is counted.
        work: see Workplace.
        images: that one unit stands for, for images per second; 0: they are not counted.
        lines: print lines; off where the task has lines of its own.
    """

    def __init__(self, task: str, unit: str, *, work: str = "", images: int = 0, lines: bool = True) -> None:
        self._task, self._unit, self._images, self._lines = task, unit, images, lines
        self._file = _File(task, work)
        self._seen: deque[tuple[float, int]] = deque()
        self._line_due = time.monotonic() + LINE_S

    def tell(
        self,
        done: int,
        total: int,
        *,
        what: str = "",
        note: str = "",
        kept: str = "",
        left_s: float | None = None,
        waits: bool = False,
    ) -> None:
        """So much of it is done; see TaskProgress. `left_s` replaces the estimate from the rate of the last seconds. `waits`: what comes
        next takes long, so the file must be right until then."""
        now = time.monotonic()
        rate = self._rate(now, done)
        if left_s is None and rate:
            left_s = (total - done) / rate
        images_s = rate * self._images if rate and self._images else None
        found = TaskProgress(self._task, done, total, self._unit, what, note, images_s, left_s, kept, time.time())
        self._file.write(found, at_once=waits or found.finished)
        if self._lines and (now >= self._line_due or found.finished):
            self._line_due = now + LINE_S
            say(self._task, found.line)

    def _rate(self, now: float, done: int) -> float | None:
        """Units per second, of the last seconds; None before there were two looks."""
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()  # it counts something else now
        self._seen.append((now, done))
        while now - self._seen[0][0] > WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()
        began, first = self._seen[0]
        return (done - first) / (now - began) if now > began and done > first else None


class _File:
    """The file of a task; none where the run has no name."""

    def __init__(self, task: str, work: str) -> None:
        run = run_name(os.environ.get(RUN, ""))
        self._key = f"{FOLDER}/{run}/{run_name(task)}.json" if run else ""
        self._store: Store | None = None
        self._path = Path(work) if work and not is_s3(work) else home() / "work"
        self._work = work if is_s3(work) else ""
        self._due = 0.0

    def write(self, progress: TaskProgress, *, at_once: bool) -> None:
        if not self._key or not (at_once or time.monotonic() >= self._due):
            return
        with contextlib.suppress(OSError, StoreError, ArtifactError):  # a watcher misses it, the work continues
            if self._work:
                self._store = self._store or open_store(self._work)
                self._store.put_bytes(progress.dumps().encode(), self._key)
            else:
                with writing(self._path / self._key, lasting=False) as file:
                    file.write(progress.dumps().encode())
        self._due = time.monotonic() + (STORED_S if self._work else FILE_S)


def begin(stages: Sequence[str], work: str = "") -> None:
    """A run begins: what was written of its name before is out of date, but for its teacher."""
    run = run_name(os.environ.get(RUN, ""))
    with contextlib.suppress(OSError, StoreError, ArtifactError):
        if not run:
            return
        store = open_store(work or str(home() / "work"))
        store.ensure_bucket()
        store.put_bytes(json.dumps({"stages": list(stages), "began": time.time()}).encode(), f"{FOLDER}/{run}/{STAGES}")


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Args:
        stages: titles in their order; none where nobody said.
        tasks: by title.
    """

    stages: tuple[str, ...] = ()
    tasks: Mapping[str, TaskProgress] = field(default_factory=dict)

    @classmethod
    def read(cls, store: Store, run: str) -> RunProgress:
        """As it stands at a place of work.

        Raises:
            StoreError: the store cannot be reached or refuses.
        """
        content: dict[str, bytes] = {}
        for entry in store.list(f"{FOLDER}/{run_name(run)}"):
            with contextlib.suppress(ArtifactError):  # replaced or removed in this moment
                content[entry.key.rpartition("/")[2]] = store.get_bytes(entry.key)
        plan = _plan(content.pop(STAGES, b"{}"))
        found = [task for task in map(TaskProgress.loads, content.values()) if task is not None]
        began = float(plan.get("began", 0.0))
        return cls(tuple(plan.get("stages", ())), {task.task: task for task in found if task.when >= began or task.task == TEACHER})


def _plan(data: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(data))
    except (ValueError, TypeError):
        return {}
