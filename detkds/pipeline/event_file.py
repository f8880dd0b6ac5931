"""Event files of TensorBoard. They are written by tensorboardX, which needs nothing but numpy and protobuf (docs/adr/0030)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

FLUSH_S = 10
"""After so many seconds, at the latest, TensorBoard sees what was written."""


class EventFile:
    """One file of figures and pictures in a folder; TensorBoard shows each folder as a run.

    Args:
        folder: made if missing.
        first_step: what earlier files of the folder hold from this step on is out of date; None: there are none.
    """

    def __init__(self, folder: Path, first_step: int | None = None) -> None:
        # TensorBoard reads a folder's files in the order of their names, which are of the second in which they begin: the suffix is finer.
        self._writer = _writer()(str(folder), purge_step=first_step, flush_secs=FLUSH_S, filename_suffix=f".{time.time_ns()}")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add figures by name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def image(self, name: str, image: Image.Image, step: int = 0) -> None:
        """Add a picture in RGB."""
        import numpy as np

        self._writer.add_image(name, np.asarray(image), step, dataformats="HWC")

    def hyperparameters(self, name: str, given: Mapping[str, str | float], found: Mapping[str, float]) -> None:
        """Add one trial for TensorBoard's tab HPARAMS, as a run of its own below this folder."""
        self._writer.add_hparams(dict(given), dict(found), name=name)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def _writer() -> Any:
    """tensorboardX's writer."""
    with _hidden_clients():
        from tensorboardX import SummaryWriter
    return SummaryWriter


@contextmanager
def _hidden_clients() -> Iterator[None]:
    """Clients of cloud stores count as not installed: tensorboardX imports them, which takes three seconds and is for addresses that are
    never given here."""
    hidden = [name for name in ("google.cloud.storage", "boto3") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is how Python marks a module that cannot be imported
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def event_file(folder: Path) -> Iterator[EventFile]:
    """A new event file, closed when the block ends."""
    written = EventFile(folder)
    try:
        yield written
    finally:
        written.close()


def from_log(folder: Path, lines: Iterable[str]) -> None:
    """The event file of a training.jsonl, as if the training had run in one go.

    It is part of the model's artifact, whose digest is that of an uninterrupted training: so the same lines give the same bytes, under a
    fixed name, and the time of an event is its step.
    """
    with _hidden_clients():
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import RecordWriter
        from tensorboardX.summary import scalar
    folder.mkdir(parents=True, exist_ok=True)
    records = RecordWriter(str(folder / "events.out.tfevents.0.training"))
    records.write(Event(file_version="brain.Event:2").SerializeToString(deterministic=True))
    for line in lines:
        values = json.loads(line)
        step = int(values.pop("step"))
        for name, value in values.items():
            event = Event(step=step, wall_time=step, summary=scalar(name, value))
            records.write(event.SerializeToString(deterministic=True))
    records.close()
