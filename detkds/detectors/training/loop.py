"""The training loop: mmengine's optimizers and schedules, draws that depend on their place only, and exact resume."""

from __future__ import annotations

import io
import math
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from mmengine.config import Config

from detkds.detectors.device import resolve
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.training.batches import Samples
from detkds.detectors.training.parallel import Group
from detkds.detectors.training.randomness import Purpose, derived_seed, preserved, seed_all
from detkds.detectors.training.runtime import announced, runtime
from detkds.detectors.training.schedule import build_optimizer, build_schedulers
from detkds.errors import ArtifactError, ConfigError, Interrupted, Rejected
from detkds.storage.artifacts import writing

SCHEMA = "detkds.training/1"

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called after each step with steps done, steps in all, and the step's losses by name (`loss` is their sum)."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How long and how a student is trained.

    Args:
        epochs: passes over the images; the config's schedule is stretched to them (see `schedule.build_schedulers`).
        batch_size: images a step.
        seed: of the order, of the augmentations and of whatever a step draws.
        learning_rate: replaces that of the config.
        amp: mixed precision where the device is a GPU; on the CPU training stays in float32.
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".
        workers: processes that load images; 0 loads in the training process.
        checkpoint_every: steps between checkpoints; the last step always writes one.

    Raises:
        ConfigError: a count is out of range.
    """

    epochs: int
    batch_size: int
    seed: int = 0
    learning_rate: float | None = None
    amp: bool = False
    device: str = "auto"
    workers: int = 0
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.seed < 0 or self.workers < 0:
            raise ConfigError(f"seed and workers must not be negative, got seed={self.seed}, workers={self.workers}.")

    @property
    def identity(self) -> dict[str, Any]:
        """What two trainings must share to be the same training; where and how fast they run is not in it."""
        return {name: getattr(self, name) for name in ("epochs", "batch_size", "seed", "learning_rate", "amp")}

    def steps(self, samples: Samples) -> int:
        """Optimizer steps in all on these images."""
        return self.epochs * len(samples.order(0, self.batch_size))


class Training:
    """One training of a distiller, which can be left and taken up at any step.

    The same arguments give the same student bit for bit on the CPU, however often the training was interrupted: every draw of a step
    comes from (seed, step) and every draw for an image from (seed, epoch, image), so a checkpoint needs no generator states.

    Hooks of the config (`custom_hooks`, for example a moving average of the weights) do not run.

    Args:
        distiller: the student, trained in place, with its teacher and recipe.
        config: the student's config: optimizer and schedule.
        samples: the training images.
        settings: see TrainSettings.
        group: the processes that train this student together; all of them make the same Training and call `run`.
    """

    def __init__(
        self, distiller: DistilledDetector, config: Config, samples: Samples, settings: TrainSettings, group: Group | None = None
    ) -> None:
        device = resolve(settings.device)
        self.group = group or Group()
        self._device, self._config = device, config
        self.settings = settings if device.type == "cuda" else replace(settings, amp=False)
        self.samples = samples
        self.distiller: Any = distiller.to(device)
        own = {id(parameter) for parameter in distiller.student.parameters()}
        connectors = [parameter for parameter in distiller.parameters() if id(parameter) not in own]
        self.optimizer = build_optimizer(config, distiller.student, connectors, learning_rate=settings.learning_rate, amp=self.settings.amp)
        self.total_steps = settings.steps(samples)
        self._schedulers = build_schedulers(config, self.optimizer, steps=self.total_steps)
        self.step = 0

    def run(self, *, checkpoint: Path | None = None, progress: Progress | None = None) -> int:
        """Train to the end; returns the number of steps done by this call.

        Args:
            checkpoint: written every `checkpoint_every` steps and at the end, atomically; if it is there already, training goes on from
                it. With a checkpoint, SIGTERM ends the training after the step it is in. In a group the first process alone gives one.
            progress: see Progress; the losses are means over the group.

        Raises:
            Rejected: the loss is no number (nan, infinite), or memory ran out (out-of-memory).
            Interrupted: SIGTERM came; the checkpoint is written.
            ArtifactError: the checkpoint is damaged or belongs to another training.
        """
        self._resume(checkpoint)
        first = self.step
        model = self.group.wrap(self.distiller.train())
        with preserved(), _terminated(checkpoint is not None or self.group.size > 1) as stop, memory_limit():
            for batch in self._batches():
                losses, agreed = self._advance(model, batch, stop)
                self.step += 1
                if progress is not None:
                    progress(self.step, self.total_steps, losses)
                stopped = agreed or (self.group.size == 1 and stop.is_set())
                if checkpoint is not None and (stopped or self._checkpoint_due()):
                    self._store(checkpoint)
                if stopped and self.step < self.total_steps:
                    at = f"step {self.step} of {self.total_steps}"
                    raise Interrupted(f"training stopped by SIGTERM after {at}; its checkpoint {checkpoint} is written, run again.")
        return self.step - first

    def _batches(self) -> Iterator[Any]:
        settings = self.settings
        return self.samples.training_batches(
            settings.batch_size, settings.epochs, first_step=self.step, workers=settings.workers, share=self.group.share
        )

    def _advance(self, model: Any, batch: Any, stop: threading.Event) -> tuple[dict[str, float], bool]:
        """One step; its losses, and whether SIGTERM has come to any process of the group."""
        seed_all(derived_seed(self.settings.seed, Purpose.STEP, self.step))
        with announced(runtime(self._config, self.step, self.total_steps)), self.optimizer.optim_context(model):
            data = self.distiller.data_preprocessor(batch, True)
            losses = model(**data, mode="loss")
        total, named = self.distiller.parse_losses(losses)
        values, stopped = self.group.mean({name: float(value.detach()) for name, value in named.items()}, stop.is_set(), self._device)
        self._check_finite(values)
        self.optimizer.update_params(total)
        for scheduler in self._schedulers:
            scheduler.step()
        return values, stopped

    def _check_finite(self, losses: Mapping[str, float]) -> None:
        for name, value in sorted(losses.items(), key=lambda item: item[0] == "loss"):  # the sum last: its parts tell more
            if not math.isfinite(value):
                kind = "nan" if math.isnan(value) else "infinite"
                raise Rejected(kind, f"{name} is {value} at training step {self.step} of {self.total_steps}", self.step)

    def _checkpoint_due(self) -> bool:
        return self.step % self.settings.checkpoint_every == 0 or self.step == self.total_steps

    @property
    def _identity(self) -> dict[str, Any]:
        return {**self.settings.identity, "recipe": self.distiller.recipe.digest, "images": len(self.samples), "steps": self.total_steps}

    def _store(self, path: Path) -> None:
        state = {
            "schema": SCHEMA,
            "identity": self._identity,
            "step": self.step,
            "distiller": self.distiller.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedulers": [scheduler.state_dict() for scheduler in self._schedulers],
        }
        with writing(path) as handle:
            torch.save(state, handle)

    def _resume(self, checkpoint: Path | None) -> None:
        """Go on from the checkpoint, if there is one; in a group from that of the first process."""
        found = checkpoint if checkpoint is not None and checkpoint.exists() else None
        if self.group.size == 1:
            if found is not None:
                self._restore(found, found)
            return
        content = self.group.broadcast(found.read_bytes() if found else None, self._device)
        if content is not None:
            self._restore(found or Path("of the first process"), io.BytesIO(content))

    def _restore(self, path: Path, source: Path | io.BytesIO) -> None:
        try:
            state = torch.load(source, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ArtifactError(f"the training checkpoint {path} cannot be read: {reason}; remove it to start again.") from error
        if not isinstance(state, dict) or state.get("schema") != SCHEMA:
            raise ArtifactError(f"{path} must be a training checkpoint with schema {SCHEMA!r}, but is not; remove it to start again.")
        for key, value in self._identity.items():
            stored = state["identity"].get(key)
            if stored != value:
                raise ArtifactError(
                    f"the training checkpoint {path} belongs to another training: {key} was {stored!r} and is {value!r}; "
                    "remove it to start again."
                )
        self.distiller.load_state_dict(state["distiller"])
        self.optimizer.load_state_dict(state["optimizer"])
        for scheduler, schedule in zip(self._schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(schedule)
        self.step = state["step"]


@contextmanager
def _terminated(listen: bool) -> Iterator[threading.Event]:
    """An event that SIGTERM sets inside; without `listen`, or outside the main thread, SIGTERM keeps its meaning."""
    stop = threading.Event()
    if not listen or threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_term(number: int, frame: FrameType | None) -> None:
        stop.set()

    previous = signal.signal(signal.SIGTERM, on_term)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def memory_limit() -> Iterator[None]:
    """Running out of memory, of a GPU or of the machine, rejects the candidate."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise Rejected("out-of-memory", (str(error).splitlines() or ["MemoryError"])[0][:200]) from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):  # torch raises this plain RuntimeError where the CPU's memory ends
            raise
        raise Rejected("out-of-memory", str(error).splitlines()[0][:200]) from error
