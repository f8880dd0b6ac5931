"""Stage 4, train: the student on the whole training set, with a recipe or without distillation."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from detkds import plugins
from detkds.detectors.checkpoints import read_checkpoint
from detkds.detectors.configs.data_config import freeze
from detkds.detectors.device import resolve
from detkds.detectors.tensors import save_tensors
from detkds.detectors.training import parallel
from detkds.detectors.training import train as training
from detkds.detectors.training.batches import Source
from detkds.detectors.training.kept import Kept
from detkds.detectors.training.local_processes import run_in_processes
from detkds.detectors.training.loop import TrainSettings
from detkds.detectors.training.parallel import Group
from detkds.detectors.unlabelled_step import of_unlabelled
from detkds.errors import Rejected
from detkds.genome import Recipe
from detkds.pipeline import pair as pairs
from detkds.pipeline.event_file import from_log
from detkds.pipeline.loggers import FOLDER, Loggers
from detkds.pipeline.progress import report_errors, say
from detkds.pipeline.saved import LOG, Saved
from detkds.pipeline.settings import Pair, Result, Schedule
from detkds.pipeline.stages import BASELINE, DISTILLED
from detkds.pipeline.subset import part
from detkds.pipeline.task_progress import Progress
from detkds.pipeline.workplace import Workplace, digest, local
from detkds.processes import gpus, use_cpus
from detkds.storage.artifacts import publishing, verify
from detkds.storage.manifest import file_sha256
from detkds.storage.uri import is_s3
from detkds.unlabelled import Unlabelled

if TYPE_CHECKING:
    from mmengine.config import Config

KIND = "model"
CHECKPOINT, CONFIG, TENSORS = "student.pth", "student.json", "student.safetensors"
"""The checkpoint, its config as data, and the checkpoint's tensors alone; student.py beside them is the config for stock mmdet."""
LOGGED = 200
"""Lines that the log of a training has: the points of its loss curve."""


@report_errors
def run(
    pair: Pair,
    schedule: Schedule,
    recipe: Recipe,
    *,
    subset: Path,
    out: Path,
    work: str = "",
    loggers: Sequence[str] = (),
    processes: int = 0,
    found: bool = False,
) -> Result:
    """Publish student.pth, its config student.py, student.safetensors, recipe.json, the training's log and its event file for TensorBoard
    at `out`. `loggers` receive it too, see `pipeline.loggers`. `found`: the recipe is what a search found, which may be no distillation.

    A training that was killed resumes from its last checkpoint, which lies at `work` (see Workplace), with the same result. Each batch is
    shared by `processes` (0: one per GPU that this process may use), as many of them as divide it.

    Raises:
        DetKDSError: data, detectors or recipe cannot be used; the message says which.
        StudyHeldError: another process took this training over, because this one was silent for too long.
    """
    use_cpus()
    config, _ = pairs.student(pair, pairs.classes_of_pair(pair, classes_of(_source(subset))))
    title = _title(recipe, found=found)
    count = sharing(title, pairs.settings(schedule, config).batch_size, processes)
    task = partial(share, pair, schedule, recipe, subset=subset, out=out, work=work, loggers=loggers, title=title)
    return task(Group()) if count == 1 else run_in_processes(count, task)


def share(
    pair: Pair,
    schedule: Schedule,
    recipe: Recipe,
    group: Group,
    *,
    subset: Path,
    out: Path,
    work: str = "",
    loggers: Sequence[str] = (),
    title: str = "",
) -> Result:
    """One process's share of `run`; the first process of the group publishes, and alone knows the result."""
    title, source = title or _title(recipe), _source(subset)
    classes = pairs.classes_of_pair(pair, classes_of(source))  # with and without distillation labels are the teacher's
    if not recipe.active and not pair.inherit:
        pair = replace(pair, teacher_config="", teacher_checkpoint="")
    master = pairs.teachers(pair, classes) if pair.teacher_config else None
    unlabelled = unlabelled_source(schedule, subset, "unlabelled")
    if group.rank:
        return assist(pair, classes, schedule, recipe, master, source, group, out=out, unlabelled=unlabelled)
    if recipe.active:
        from detkds.pipeline.teaching import require_teaching  # which reads this module

        require_teaching(title, pair, schedule, subset, work)
    elif title == DISTILLED:
        say(title, "the recipe found is no distillation: this student is trained as the one without distillation")
    contents = {name: content(value) for name, value in asdict(pair).items()}
    how = {"schedule": schedule.to_json(), "recipe": recipe.digest, "subset": verify(subset).digest}
    inputs = {"pair": contents, "classes": classes, **how}
    if title != _title(recipe):
        inputs["task"] = title  # beside a baseline of the same recipe it has a checkpoint and curves of its own
    inputs |= plugins.identity() | (pairs.identity(pair.teacher_config) if pair.teacher_config else {})
    with Workplace("train", inputs, work) as place:
        given: dict[str, Any] = {"task": title, "out": out, "place": place, "work": work, "loggers": loggers, "group": group}
        return fit(pair, classes, schedule, recipe, master, source, **given, unlabelled=unlabelled)


def sharing(title: str, batch_size: int, processes: int = 0) -> int:
    """How many processes share a batch: as many of `processes` (0: one per GPU that this process may use) as divide it."""
    asked = processes or max(1, len(gpus()))
    count = parallel.processes(batch_size, asked)
    if count < asked:
        say(title, f"{count} of {asked} processes share a batch: more would not divide it")
    return count


def assist(
    pair: Pair,
    classes: tuple[str, ...],
    schedule: Schedule,
    recipe: Recipe,
    teacher: nn.Module | None,
    source: Source,
    group: Group,
    *,
    out: Path,
    unlabelled: tuple[Source, Unlabelled] | None = None,
) -> Result:
    """The share of a process of the group that is not the first, whose share is `fit`; it publishes nothing."""
    config, start = pairs.student(pair, classes)
    how: dict[str, Any] = {"teacher": teacher, "recipe": recipe, "start": start, "group": group, "unlabelled": unlabelled}
    training.train(config, source, pairs.settings(schedule, config), out, **how)
    return Result({})


def unlabelled_source(schedule: Schedule, subset: Path, name: str) -> tuple[Source, Unlabelled] | None:
    """The images without labels `name` of a subset and how a schedule uses them; None where it uses none.

    Raises:
        ArtifactError: the subset has none.
    """
    if schedule.unlabelled is None:
        return None
    data = part(subset, name)
    return Source(data.annotations, data.images), schedule.unlabelled


def used(recipe: Recipe, unlabelled: tuple[Source, Unlabelled], batch_size: int) -> str:
    """For people: which losses of a recipe are taken of how many images without labels."""
    source, use = unlabelled
    losses = sorted({str(genome.knowledge) for genome in of_unlabelled(recipe, use).active})
    count = len(json.loads(source.annotations.read_text())["images"])
    if not losses:
        return f"no loss of this recipe is taken of the {count} unlabelled images (data.unlabelled.knowledge)"
    beside = f"{min(count, use.images(batch_size))} beside {batch_size} labelled ones per step"
    return f"the losses of {', '.join(losses)} are taken of {count} unlabelled images too, {beside}"


def _source(subset: Path) -> Source:
    data = part(subset, "train")
    return Source(data.annotations, data.images)


def _title(recipe: Recipe, *, found: bool = False) -> str:
    return DISTILLED if recipe.active or found else BASELINE


def fit(
    pair: Pair,
    classes: tuple[str, ...],
    schedule: Schedule,
    recipe: Recipe,
    teacher: nn.Module | None,
    source: Source,
    *,
    task: str,
    out: Path,
    place: Workplace,
    work: str = "",
    loggers: Sequence[str] = (),
    group: Group | None = None,
    unlabelled: tuple[Source, Unlabelled] | None = None,
) -> Result:
    """Train the student of `pair`, labels in the order of `classes`, on `source`, with `unlabelled` images beside it, and publish the
    model; `place` keeps the checkpoint to resume from, `work` how far the training is, and `loggers` its figures."""
    config, start = pairs.student(pair, classes)
    kept = Kept.of_config(config, json.loads(source.annotations.read_text()))
    settings = pairs.settings(schedule, config)
    say(task, str(kept))
    if shortened := pairs.warm_up(settings, config, kept.images):
        say(task, shortened)
    if unlabelled and recipe.active:
        say(task, used(recipe, unlabelled, settings.batch_size))
    if settings.amp and resolve(settings.device).type != "cuda":
        say(task, f"train.amp {settings.amp} is for a GPU, and there is none: trained in float32".replace("True", "true"))
    saved = Saved(place)
    began = time.monotonic()
    seen = Progress(task, "step", work=work, images=settings.batch_size)
    facts = {"recipe": str(recipe), "student": pair.student_config, **settings.identity}
    told = Loggers(task, loggers, key=place.folder.name, settings=facts)

    def progress(step: int, steps: int, losses: Mapping[str, float]) -> None:
        if step % max(1, steps // LOGGED) == 0 or step == steps:
            saved.note(step, losses)
            told.scalars(step, losses)
        stored = step - step % settings.checkpoint_every
        seen.tell(step, steps, note=f"loss {losses['loss']:.3f}", kept=f"the checkpoint of step {stored}" if stored else "")
        saved.put_when_due()

    meta: dict[str, object] = {"recipe": recipe.to_json(), "epochs": settings.epochs, "seed": settings.seed}
    with publishing(out, kind=KIND, meta=meta) as folder:
        with saved, told, _advice(settings, config):
            trained = training.train(
                config,
                source,
                settings,
                folder / CHECKPOINT,
                teacher=teacher,
                recipe=recipe,
                start=start,
                checkpoint=saved.checkpoint,
                progress=progress,
                group=group,
                unlabelled=unlabelled,
            )
        (folder / CONFIG).write_text(freeze(config))
        save_tensors(read_checkpoint(folder / CHECKPOINT), folder / TENSORS, config=freeze(config))
        (folder / "recipe.json").write_text(recipe.dumps())
        shutil.copy(saved.log, folder / LOG)
        from_log(folder / FOLDER, saved.log.read_text().splitlines())
        if trained.inherited:
            listed = {"copied": trained.inherited.copied, "skipped": trained.inherited.skipped}
            (folder / "inherited.json").write_text(json.dumps(listed, indent=1))
            copied, skipped = len(listed["copied"]), len(listed["skipped"])
            say(
                task,
                f"{copied} of {copied + skipped} tensors of neck and head started with the teacher's values; inherited.json lists them",
            )
        elif pair.inherit and start.checkpoint:
            say(task, f"nothing is inherited: {pair.student_checkpoint} has all of the student's weights")
        meta |= {"student_steps": trained.steps, "seconds": round(time.monotonic() - began, 1)}
    saved.retire()
    return Result({"recipe": str(recipe), "framework": "mmdet", "digest": digest(meta)}, {"student_steps": trained.steps})


@contextmanager
def _advice(settings: TrainSettings, config: Config) -> Iterator[None]:
    """Say what to lower where a training cannot work."""
    try:
        yield
    except Rejected as rejected:
        raise pairs.remedy(rejected, settings, config) from None


def content(value: Any) -> Any:
    """What an address holds, so that another checkpoint under the same name is another training; other values as they are."""
    is_file = isinstance(value, str) and (is_s3(value) or Path(value).is_file())
    return file_sha256(local(value)) if is_file else value


def classes_of(source: Source) -> tuple[str, ...]:
    """Class names of an annotation file, in its order."""
    categories = json.loads(source.annotations.read_text())["categories"]
    return tuple(str(category["name"]) for category in categories)
