"""The services that receive the figures of a training or an evaluation while it works: TensorBoard always, others on request."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from detkds.pipeline.event_file import EventFile
from detkds.pipeline.progress import say
from detkds.pipeline.task import RUN, run_name
from detkds.pipeline.workplace import digest, home

if TYPE_CHECKING:
    from PIL import Image

    from detkds.detectors.training.loggers import Logger

FOLDER = "tensorboard"
"""Below the home: a folder for each run, and in it one for each task. In artifacts: of their own task."""
LOGGERS = ("wandb", "mlflow")
"""What `train.loggers` may name; each is the name of its package."""


class Loggers:
    """All of them for one task. A service that fails is left out from then on, with one line; the task continues.

    They begin with the first figure; what they received of this task from that step on, before it was interrupted, is out of date.

    Args:
        task: title of its progress lines.
        names: of LOGGERS.
        key: the same for the same work.
        settings: of the task, for the services.
        artifact: gets an event file of its own.
    """

    def __init__(
        self,
        task: str,
        names: Sequence[str],
        *,
        key: str,
        settings: Mapping[str, Any],
        artifact: Path | None = None,
    ) -> None:
        self._task, self._names, self._artifact = task, tuple(names), artifact
        self._run = run_name(os.environ.get(RUN, "")) or "unnamed"
        self._key, self._settings = digest([self._run, task, key])[:16], dict(settings)
        self._events: list[EventFile] = []
        self._others: dict[str, Logger] = {}

    def _begin(self, step: int) -> None:
        if self._events:
            return
        self._events = [EventFile(home() / FOLDER / self._run / run_name(self._task), step)]
        self._events += [EventFile(self._artifact / FOLDER)] if self._artifact else []
        for name in self._names:
            try:
                self._others[name] = self._opened(name)
            except Exception as error:
                self._leave_out(name, error)

    def _opened(self, name: str) -> Logger:
        from detkds.detectors.training.loggers import Logger

        return Logger(name, home(), run=self._run, task=self._task, key=self._key, settings=self._settings)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Figures of a step by name."""
        self._begin(step)
        for events in self._events:
            events.scalars(step, values)
        self._tell(lambda logger: logger.scalars(step, values))

    def image(self, name: str, image: Image.Image) -> None:
        """A picture in RGB."""
        import numpy as np

        self._begin(0)
        for events in self._events:
            events.image(name, image)
        self._tell(lambda logger: logger.image(name, np.asarray(image)))

    def _tell(self, what: Callable[[Logger], None]) -> None:
        for name, logger in list(self._others.items()):
            try:
                what(logger)
            except Exception as error:
                del self._others[name]
                self._leave_out(name, error)

    def _leave_out(self, name: str, error: Exception) -> None:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        say(self._task, f"{name} receives nothing more: {text}")

    def __enter__(self) -> Loggers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for events in self._events:
            events.close()
        self._tell(lambda logger: logger.close())
