"""The six stages with the values of a run, each as the pipeline calls it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detkds.genome import Recipe
from detkds.pipeline.recipes import parse_recipe, recipe_of
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.values import Values


def subset(values: dict[str, Any], out: Path, nested: Sequence[float] = ()) -> None:
    """Stage 1."""
    from detkds.pipeline import subset as stage

    told = Values.read(values)
    shares = {"fraction": told.subset_fraction, "val_fraction": told.search_val_fraction}
    stage.run(told.source, **shares, seed=told.seed, out=out, nested=nested, counting=told.counting)


def evolve(values: dict[str, Any], knowledge: str, subset: Path, out: Path) -> None:
    """Stage 2."""
    from detkds.pipeline import evolve as stage

    told = Values.read(values)
    stage.run(knowledge, told.pair, told.search_plan, told.proxy, searched=told.searched, subset=subset, out=out)


def weights(values: dict[str, Any], studies: Sequence[Path], subset: Path, out: Path) -> None:
    """Stage 3; the recipe is published beside the study, as OUT-recipe."""
    from detkds.pipeline import weights as stage

    told = Values.read(values)
    recipe = out.with_name(f"{out.name}-recipe")
    stage.run(studies, told.pair, told.weights_plan, told.proxy, subset=subset, out=out, recipe_out=recipe, final=told.race_plan)


def train(values: dict[str, Any], recipe: str, subset: Path, out: Path) -> None:
    """Stage 4; `recipe` is the path of an artifact, a preset's name, genome text, or empty for no distillation."""
    found = bool(recipe) and Path(recipe).is_dir()
    losses = recipe_of(Path(recipe)) if found else parse_recipe(recipe, values["semantics"])
    train_with(values, losses, subset, out, found=found)


def train_with(values: dict[str, Any], recipe: Recipe, subset: Path, out: Path, *, found: bool = False) -> None:
    """Stage 4 with a recipe at hand; `found` by a search."""
    from detkds.pipeline import train as stage

    told = Values.read(values)
    stage.run(told.pair, told.training, recipe, subset=subset, out=out, loggers=told.services, found=found)


def evaluate(values: dict[str, Any], baseline: Path, distilled: Path, subset: Path, out: Path) -> None:
    """Stage 5."""
    from detkds.pipeline import evaluate as stage

    students = {"student": baseline, "distilled": distilled}
    teacher = values["teacher_config"], values["teacher_checkpoint"]
    stage.run(*teacher, students, subset=subset, batch_size=values["batch_size"], out=out, loggers=Values.read(values).services)


def report(values: dict[str, Any], studies: Sequence[Path], subset: Path, model: Path, evaluation: Path, out: Path) -> None:
    """Stage 6; publishes below the folder `out`."""
    from detkds.pipeline import report as stage

    stage.run(values["run_name"], str(out), subset=subset, studies=studies, model=model, evaluation=evaluation)


def pair(values: dict[str, Any]) -> Pair:
    """Teacher and student."""
    return Values.read(values).pair


def schedule(values: dict[str, Any], epochs: int) -> Schedule:
    """How students are trained for so many epochs."""
    return Values.read({**values, "epochs": epochs}).training
