"""Saved: what an unfinished training resumes from."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from types import TracebackType

from detkds.errors import Interrupted
from detkds.pipeline.workplace import Workplace
from detkds.storage.artifacts import write_atomic

CHECKPOINT, LOG = "training.pth", "training.jsonl"
SHARE = 0.02
"""Of a training's time, what may go into uploads of its checkpoint: after one that took 6 s there is none for 5 minutes."""


class Saved:
    """The checkpoint and the log of a training, at a place of work. `with` brings both there when the training ends or SIGTERM ends it.

    Attributes:
        checkpoint: the file, brought from the mirror where another pod went further.
        log: one line of JSON for some steps, as if the training had run in one go.
    """

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self.log = place.fetch(LOG)
        self.checkpoint = place.fetch_checkpoint(CHECKPOINT)
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self._lines: dict[int, str] = {int(json.loads(line)["step"]): line for line in lines}
        self._due = 0.0

    def note(self, step: int, losses: Mapping[str, float]) -> None:
        """Add a line to the log; a step that is done again after a restart replaces its line."""
        self._lines[step] = json.dumps({"step": step, **losses})
        write_atomic(self.log, "".join(f"{line}\n" for _, line in sorted(self._lines.items())))

    def put_when_due(self) -> None:
        """Bring both to the mirror, if that has not been done for long."""
        if time.monotonic() >= self._due and self.checkpoint.exists():
            self._put()

    def retire(self) -> None:
        """The training is published."""
        self._place.retire(CHECKPOINT)
        self.log.unlink(missing_ok=True)

    def __enter__(self) -> Saved:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None or isinstance(error, Interrupted):
            self._put()

    def _put(self) -> None:
        began = time.monotonic()
        self._place.put(LOG)  # first: the log may be ahead of the checkpoint, not behind
        self._place.put_checkpoint(CHECKPOINT)
        ended = time.monotonic()
        self._due = ended + (ended - began) / SHARE
