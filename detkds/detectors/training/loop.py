"""The training loop: mmengine's optimizers and schedules, draws that depend on their place only, and exact resume."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from detkds.detectors.device import resolve
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.training.asked import require
from detkds.detectors.training.batches import Samples
from detkds.detectors.training.course import Course, supply
from detkds.detectors.training.hooks import SWITCHES, Hooks, Loading, View
from detkds.detectors.training.loading import default_workers
from detkds.detectors.training.parallel import Group
from detkds.detectors.training.randomness import Purpose, derived_seed, preserved, seed_all
from detkds.detectors.training.reading import Reading
from detkds.detectors.training.runtime import announced, epoch_of, runtime
from detkds.detectors.training.schedule import DTYPES, build_optimizer, build_schedulers
from detkds.detectors.training.signals import terminated
from detkds.detectors.training.sizes import ITERATION, place_sizes
from detkds.detectors.training.state import restore, store
from detkds.detectors.training.unlabelled import UnlabelledSamples
from detkds.detectors.unlabelled_step import of_unlabelled
from detkds.errors import ConfigError, Interrupted, Rejected

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called after each step with steps done, steps in all, and the step's losses by name (`loss` is their sum)."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How long and how a student is trained.

    Args:
        epochs: passes over the images; the config's schedule is stretched to them (see `schedule.build_schedulers`).
        batch_size: images per step.
        seed: of the order, of the augmentations and of whatever a step draws.
        learning_rate: replaces that of the config.
        amp: mixed precision where the device is a GPU, in the type that the config's optim_wrapper says (float16 where it says none), or
            in "bf16" or "fp16"; on the CPU training stays in float32.
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".
        workers: processes that load images; 0 loads in the training process, None is as `loading.default_workers` says. The student is
            the same whatever their number.
        channels_last: a layout of tensors that is faster on some GPUs; results differ by rounding.
        compiled: compile the student's backbone and neck (torch.compile), as the config's own `compile` does; the first steps take
            minutes longer, results differ by rounding.
        checkpoint_every: steps between checkpoints; the last step always writes one.

    Raises:
        ConfigError: a count is out of range.
    """

    epochs: int
    batch_size: int
    seed: int = 0
    learning_rate: float | None = None
    amp: bool | str = False
    device: str = "auto"
    workers: int | None = None
    channels_last: bool = False
    compiled: bool = False
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.seed < 0 or (self.workers or 0) < 0:
            raise ConfigError(f"seed and workers must not be negative, got seed={self.seed}, workers={self.workers}.")
        if not isinstance(self.amp, bool) and self.amp not in DTYPES:
            raise ConfigError(f"amp must be true, false, {' or '.join(DTYPES)}, got {self.amp!r}.")

    @property
    def identity(self) -> dict[str, Any]:
        """What two trainings must share to be the same training; where and how fast they run is not in it."""
        return {name: getattr(self, name) for name in ("epochs", "batch_size", "seed", "learning_rate", "amp")}

    def steps(self, samples: Samples) -> int:
        """Optimizer steps in all on these images."""
        return self.epochs * len(samples.order(0, self.batch_size))


class Training:
    """One training of a distiller, which can be left and taken up at any step.

    The same arguments give the same student bit for bit on the CPU, however often the training was interrupted and however many processes
    load its images: every draw of a step comes from (seed, step) and every draw for an image from (seed, epoch, image), so a checkpoint
    needs no generator states.

    Hooks of the config run as in mmengine's Runner, see `hooks`; after the last step the student is the one they would save, such as the
    moving average of an EMAHook.

    Args:
        distiller: the student, trained in place, with its teacher and recipe.
        config: the student's config: optimizer, schedule and hooks.
        samples: the training images.
        settings: see TrainSettings.
        group: the processes that train this student together; all of them make the same Training and call `run`.
        unlabelled: images without labels that each step sees beside the labelled ones; the distiller must know how they are used. A recipe
            without losses for them does without.

    Attributes:
        step: steps done.
        learning_rate: that of the optimizer's first group in the step whose losses were read last.

    Raises:
        ConfigError: the config asks for something that this training does not do, see `asked.refusals`.
    """

    def __init__(
        self,
        distiller: DistilledDetector,
        config: Config,
        samples: Samples,
        settings: TrainSettings,
        group: Group | None = None,
        unlabelled: UnlabelledSamples | None = None,
    ) -> None:
        require(config)
        device = resolve(settings.device)
        self.group = group or Group()
        self._device, self._config = device, config
        self.settings = settings if device.type == "cuda" else replace(settings, amp=False)
        self.samples = samples
        self._beside_all = unlabelled  # a training without a use for them makes the same batches as its neighbours
        self.unlabelled = unlabelled if unlabelled and of_unlabelled(distiller.recipe, unlabelled.use).active else None
        self.distiller: Any = distiller.to(device)
        self.distiller.mean_of_processes = self.group.mean
        place_sizes(self.student, settings.seed)
        own = {id(parameter) for parameter in self.student.parameters()}
        self.optimizer = build_optimizer(
            config,
            self.student,
            [parameter for parameter in distiller.parameters() if id(parameter) not in own],
            learning_rate=settings.learning_rate,
            amp=self.settings.amp,
            gpu=device.type == "cuda",
            batch_size=settings.batch_size,
        )
        self.total_steps = settings.steps(samples)
        self._schedulers = build_schedulers(config, self.optimizer, steps=self.total_steps)
        self._loading = Loading(samples.dataset, settings.batch_size)
        self._hooks = Hooks(config, self._view(self._loading), samples.prepared)
        self._switches: Hooks | None = None
        if self.unlabelled:
            loading = Loading(self.unlabelled.samples.dataset, self.unlabelled.per_step)
            self._switches = Hooks(config, self._view(loading), self.unlabelled.samples.prepared, only=SWITCHES)
        self._gpu = device.type == "cuda"
        self._late = int(self._gpu)
        self._speed_up()
        self.step = self._first = 0
        self.learning_rate = 0.0
        self._begun = False

    @property
    def student(self) -> Any:
        """The detector that is trained."""
        return self.distiller.student

    def kept_weights(self) -> dict[str, Any]:
        """The student's weights as hooks would save them now, such as a moving average; they share memory with the training."""
        weights: dict[str, Any] = self._hooks.saved(self.student)["state_dict"]
        return weights

    def run(self, *, checkpoint: Path | None = None, progress: Progress | None = None) -> int:
        """Train to the end; returns the number of steps done by this call.

        On a GPU the losses of a step are read after the next has begun, so that the GPU never waits; a loss that is not a number is found
        then, and always before a checkpoint is written.

        Args:
            checkpoint: written every `checkpoint_every` steps and at the end, atomically; if it exists already, training resumes from
                it. With a checkpoint, SIGTERM ends the training after the step it is in. In a group the first process alone gives one.
            progress: see Progress; the losses are means over the group.

        Raises:
            Rejected: the loss is not a number (nan, infinite), or memory ran out (out-of-memory).
            Interrupted: SIGTERM came; the checkpoint is written.
            ArtifactError: the checkpoint is damaged or belongs to another training.
        """
        with preserved(), terminated(checkpoint is not None or self.group.size > 1) as stop, memory_limit():
            course = self.course(checkpoint=checkpoint, progress=progress, stop=stop)
            if faults := supply({0: course}):
                raise faults[0]
        return self.step - self._first

    def course(self, *, checkpoint: Path | None = None, progress: Progress | None = None, stop: threading.Event | None = None) -> Course:
        """The training of `run`, for whoever brings it its batches: it asks for one a step, and is given it by `send`.

        Whoever does so keeps the global generators as they were (`preserved`), and may advance other trainings in between.

        Args:
            checkpoint, progress: see `run`.
            stop: once it is set the training ends after the step it is in.

        Yields:
            The batches from this step on, at first and where a hook has changed how they are made; None where those before still hold.

        Raises:
            see `run`
        """
        return self._course(checkpoint, progress, stop or threading.Event())

    def _course(self, checkpoint: Path | None, progress: Progress | None, stop: threading.Event) -> Course:
        self.samples.reset()
        if self._beside_all:
            self._beside_all.samples.reset()
        self._hooks.at(self._moment())
        self._hooks.call("before_run")
        self._resume(checkpoint)
        self._first = self.step
        model = self.group.wrap(self.distiller.train())
        self._hooks.call("before_train")
        yield from self._steps(model, checkpoint, progress, stop)
        self._hooks.call("after_train")
        self._hooks.call("after_run")
        self.student.load_state_dict(self.kept_weights())

    def _steps(self, model: Any, checkpoint: Path | None, progress: Progress | None, stop: threading.Event) -> Course:
        unread, agreed, stale = deque[Reading](), False, True
        alone = self.group.size == 1
        while self.step < self.total_steps:
            place = self._begin()
            if self._loading.changed():
                self._loading.settled()
                stale = True
            batch, unlabelled = yield self._batches() if stale else None
            stale = False
            unread.append(self._advance(model, batch, unlabelled, place, stop))
            due = self._checkpoint_due()
            while unread and (len(unread) > self._late or due or agreed or (alone and stop.is_set())):
                reading = unread.popleft()
                losses, asked = reading.read(self.total_steps)
                agreed |= asked
                self.learning_rate = reading.learning_rate
                if progress is not None:
                    progress(reading.step + 1, self.total_steps, losses)
            stopped = agreed or (alone and stop.is_set())
            if checkpoint is not None and (stopped or due):
                self._store(checkpoint)
            if stopped and self.step < self.total_steps:
                at = f"step {self.step} of {self.total_steps}"
                raise Interrupted(f"training stopped by SIGTERM after {at}; its checkpoint {checkpoint} is written, run again.")

    def _speed_up(self) -> None:
        """What makes steps faster: TF32 where the card has it, copies that wait for nothing, and what the settings ask for."""
        if self._gpu:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
            self.distiller.data_preprocessor._non_blocking = True
        for detector in (self.student, *self.distiller.teachers):
            if self.settings.channels_last:
                detector.to(memory_format=torch.channels_last)
            if self.settings.compiled or self._config.get("compile"):
                detector.backbone.compile()
                if detector.with_neck:
                    detector.neck.compile()

    def _view(self, loading: Loading) -> View:
        """What hooks see of this training."""
        return View(self.student, self.optimizer, self._schedulers, loading, self._config, self.group.rank, self.group.size)

    def _moment(self) -> dict[str, int]:
        return runtime(self._config, self.step, self.total_steps)

    def _begin(self) -> int:
        """Say to the hooks where the training is and when an epoch begins; returns the step's place in its epoch."""
        first, after = epoch_of(self._config, self.step, self.total_steps)
        self._hooks.at(self._moment())
        self._loading.length = after - first
        if self.step == first or not self._begun:
            self._begun = True
            self._hooks.call("before_train_epoch")
            if self._switches:
                self._switches.at(self._moment())
                self._switches.call("before_train_epoch")
            self.distiller.train()
        return self.step - first

    def _batches(self) -> Iterator[tuple[Any, Any]]:
        """The batch of each step that is left, and beside it the one without labels, None where the data has none."""
        settings = self.settings
        workers = default_workers(self._device) if settings.workers is None else settings.workers
        how: dict[str, Any] = {"first_step": self.step, "workers": workers, "pin": self._gpu, "share": self.group.share}
        labelled = self.samples.training_batches(settings.batch_size, settings.epochs, **how)
        if self._beside_all is None:
            return zip(labelled, repeat(None), strict=False)
        return zip(labelled, self._beside_all.batches(self.total_steps, **how), strict=False)

    def _advance(self, model: Any, batch: Any, unlabelled: Any, place: int, stop: threading.Event) -> Reading:
        """One step."""
        seed_all(derived_seed(self.settings.seed, Purpose.STEP, self.step))
        self._hooks.call("before_train_iter", batch_idx=place, data_batch=batch)
        moment = {**self._moment(), ITERATION: self.step}
        with announced(moment), self.optimizer.optim_context(model):
            data = self.distiller.data_preprocessor(batch, True)
            if self.settings.channels_last:
                data["inputs"] = data["inputs"].contiguous(memory_format=torch.channels_last)
            if unlabelled is not None and self.unlabelled:
                data["unlabelled"] = self._beside(unlabelled)
            losses = model(**data, mode="loss")
        total, named = self.distiller.parse_losses(losses)
        reading = Reading(self.step, named, stop.is_set(), self.group, self.optimizer.param_groups[0]["lr"])
        self.optimizer.update_params(total)
        self.distiller.follow()
        outputs = {name: value.detach() for name, value in named.items()}
        self._hooks.call("after_train_iter", batch_idx=place, data_batch=batch, outputs=outputs)
        for scheduler in self._schedulers:
            scheduler.step()
        self.step += 1
        if self.step == epoch_of(self._config, self.step - 1, self.total_steps)[1]:
            self._hooks.call("after_train_epoch")
        return reading

    def _beside(self, batch: Any) -> dict[str, Any]:
        """The batch without labels as the distiller takes it; what is drawn for it moves no other draw of the step."""
        assert self.unlabelled
        with preserved():
            data: dict[str, Any] = self.distiller.data_preprocessor(batch, True)
        if self.settings.channels_last:
            data["inputs"] = data["inputs"].contiguous(memory_format=torch.channels_last)
        return {**data, "weight": self.unlabelled.use.weight(self.step, self.total_steps)}

    def _checkpoint_due(self) -> bool:
        return self.step % self.settings.checkpoint_every == 0 or self.step == self.total_steps

    @property
    def _identity(self) -> dict[str, Any]:
        beside: dict[str, Any] = {"unlabelled": self.unlabelled.identity} if self.unlabelled else {}
        if averages := self.distiller.averages:
            beside["averages"] = [average.momentum for average in averages]
        own = {"recipe": self.distiller.recipe.digest, "images": len(self.samples), "steps": self.total_steps}
        return {**self.settings.identity, **own, **beside}

    def _store(self, path: Path) -> None:
        distillation = {name: value for name, value in self.distiller.state_dict().items() if not name.startswith("student.")}
        state = {
            "step": self.step,
            "student": self._hooks.saved(self.student),
            "distillation": distillation,
            "optimizer": self.optimizer.state_dict(),
            "gradients": self._accumulated(),
            "schedulers": [scheduler.state_dict() for scheduler in self._schedulers],
            "averages": [average.state() for average in self.distiller.averages],
        }
        store(path, self._identity, state)

    def _accumulated(self) -> list[torch.Tensor | None]:
        """Gradients of the steps since the last update, where the config's optimizer accumulates them; else none."""
        if self.optimizer.should_update():
            return []
        return [parameter.grad for group in self.optimizer.param_groups for parameter in group["params"]]

    def _resume(self, checkpoint: Path | None) -> None:
        """Go on from the checkpoint, if there is one; in a group from that of the first process."""
        found = checkpoint if checkpoint is not None and checkpoint.exists() else None
        source: Path | io.BytesIO | None = found
        if self.group.size > 1:
            content = self.group.broadcast(found.read_bytes() if found else None, self._device)
            source = None if content is None else io.BytesIO(content)
        if source is not None:
            self._restore(restore(found or Path("of the first process"), source, self._identity))
        self.optimizer.initialize_count_status(nn.Identity(), self.step, self.total_steps)

    def _restore(self, state: dict[str, Any]) -> None:
        weights = self._hooks.restored(state["student"])
        self.distiller.load_state_dict({f"student.{name}": value for name, value in weights.items()} | state["distillation"])
        for average, stored in zip(self.distiller.averages, state.get("averages", []), strict=True):
            average.restore(stored)
        self.optimizer.load_state_dict(state["optimizer"])
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        for parameter, gradient in zip(parameters, state["gradients"], strict=False):
            parameter.grad = None if gradient is None else gradient.to(parameter.device)
        for scheduler, schedule in zip(self._schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(schedule)
        self.step = state["step"]


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
