"""Stage 4, train: the student on the whole training set, with a recipe or without distillation."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from detkds.detectors import train as training
from detkds.detectors.batches import Source
from detkds.detectors.data_config import freeze
from detkds.errors import ArtifactError, GenomeError
from detkds.genome import Recipe
from detkds.genome.presets import names, preset
from detkds.stages import pair as pairs
from detkds.stages.plans import Pair, Result, Schedule
from detkds.stages.progress import say, told
from detkds.stages.subset import part
from detkds.stages.workplace import digest, workplace
from detkds.storage.artifacts import publishing, verify

KIND = "model"
CHECKPOINT, CONFIG = "student.pth", "student.json"
"""The checkpoint and its config as data; student.py beside them is the config for stock mmdet."""


@told
def run(pair: Pair, schedule: Schedule, recipe: Recipe, *, subset: Path, out: Path) -> Result:
    """Publish student.pth, its config student.py, recipe.json and the training's log at `out`.

    A training that was killed goes on from its last checkpoint, with the same result.

    Raises:
        DetKDSError: data, detectors or recipe cannot be used; the message says which.
    """
    data = part(subset, "train")
    source = Source(data.annotations, data.images)
    master = pairs.teacher(pair.teacher_config, pair.teacher_checkpoint, classes_of(source)) if recipe.active or pair.inherit else None
    task = "train distilled" if recipe.active else "train baseline"
    inputs = {"pair": pair, "schedule": schedule, "recipe": recipe.digest, "subset": verify(subset).digest}
    return fit(pair, schedule, recipe, master, source, task=task, out=out, work=workplace("train", **inputs))


def fit(
    pair: Pair, schedule: Schedule, recipe: Recipe, teacher: nn.Module | None, source: Source, *, task: str, out: Path, work: Path
) -> Result:
    """Train the student of `pair` on `source` and publish the model; `work` keeps the checkpoint to go on from."""
    config, start = pairs.student(pair, classes_of(source))
    settings = pairs.settings(schedule, config)
    log: list[Mapping[str, float]] = []
    began = time.monotonic()

    def progress(step: int, steps: int, losses: Mapping[str, float]) -> None:
        if step % max(1, steps // 10) == 0 or step == steps:
            log.append({"step": step, **losses})
            say(task, f"step {step}/{steps}  loss {losses['loss']:.3f}")

    meta: dict[str, object] = {"recipe": recipe.to_json(), "epochs": settings.epochs, "seed": settings.seed}
    with publishing(out, kind=KIND, meta=meta) as folder:
        trained = training.train(
            config,
            source,
            settings,
            folder / CHECKPOINT,
            teacher=teacher,
            recipe=recipe,
            start=start,
            checkpoint=work / "training.pth",
            progress=progress,
        )
        (folder / CONFIG).write_text(freeze(config))
        (folder / "recipe.json").write_text(recipe.dumps())
        (folder / "training.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
        if trained.inherited:
            listed = {"copied": trained.inherited.copied, "skipped": trained.inherited.skipped}
            (folder / "inherited.json").write_text(json.dumps(listed, indent=1))
            say(task, f"inherited {len(listed['copied'])} tensors of the teacher, {len(listed['skipped'])} not; inherited.json lists them")
        meta |= {"student_steps": trained.steps, "seconds": round(time.monotonic() - began, 1)}
    (work / "training.pth").unlink(missing_ok=True)
    return Result({"recipe": str(recipe), "framework": "mmdet", "digest": digest(meta)}, {"student_steps": trained.steps})


def classes_of(source: Source) -> tuple[str, ...]:
    """Class names of an annotation file, in label order."""
    categories = json.loads(source.annotations.read_text())["categories"]
    return tuple(str(category["name"]) for category in categories)


def recipe_of(artifact: Path) -> Recipe:
    """The recipe of a weights, study or model artifact.

    Raises:
        ArtifactError: the artifact is not whole, or holds no recipe.
    """
    verify(artifact)
    try:
        return Recipe.from_json(json.loads((artifact / "recipe.json").read_text()))
    except (OSError, ValueError, GenomeError) as error:
        raise ArtifactError(f"artifact {artifact} holds no recipe that can be read: {error}") from None


def parse_recipe(text: str, semantics: str) -> Recipe:
    """A recipe from the name of a preset or from genome text; empty text is no distillation.

    Raises:
        GenomeError: the text is neither.
    """
    return preset(text.strip()) if text.strip() in names() else Recipe.parse(text, semantics)
