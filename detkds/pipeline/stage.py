"""The six stages with the values of a run, each as the pipeline calls it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detkds.genome import Recipe
from detkds.pipeline.settings import Pair, RacePlan, Schedule, SearchPlan, Source, WeightsPlan


def subset(values: dict[str, Any], out: Path, nested: Sequence[float] = ()) -> None:
    """Stage 1."""
    from detkds.data.sampling.counting import Counting
    from detkds.pipeline import subset as stage

    names = ("dataset", "train_annotations", "train_images", "test_annotations", "test_images")
    source = Source(*(values[name] for name in names))
    counting = Counting(values["subset_sizes"], values["subset_crowd"], values["subset_empty"])
    shares = {"fraction": values["subset_fraction"], "val_fraction": values["search_val_fraction"]}
    stage.run(source, **shares, seed=values["seed"], out=out, nested=nested, counting=counting)


def evolve(values: dict[str, Any], knowledge: str, subset: Path, out: Path) -> None:
    """Stage 2."""
    from detkds.pipeline import evolve as stage

    plan = SearchPlan(**{name: values[name] for name in SearchPlan.__slots__})
    proxy = schedule(values, values["proxy_epochs"])
    stage.run(knowledge, pair(values), plan, proxy, searched=values["searched"], subset=subset, out=out)


def weights(values: dict[str, Any], studies: Sequence[Path], subset: Path, out: Path) -> None:
    """Stage 3; the recipe is published beside the study, as OUT-recipe."""
    from detkds.pipeline import weights as stage

    shared = {name: values[name] for name in ("space", "early_stop", "repeats")}
    plan = WeightsPlan(values["weights_population"], values["weights_iterations"], **shared)
    proxy = schedule(values, values["proxy_epochs"])
    final = RacePlan(*(values[f"race_{name}"] for name in RacePlan.__slots__))
    recipe = out.with_name(f"{out.name}-recipe")
    stage.run(studies, pair(values), plan, proxy, subset=subset, out=out, recipe_out=recipe, final=final)


def train(values: dict[str, Any], recipe: str, subset: Path, out: Path) -> None:
    """Stage 4; `recipe` is the path of an artifact, a preset's name, genome text, or empty for no distillation."""
    from detkds.pipeline import train as stage

    losses = stage.recipe_of(Path(recipe)) if recipe and Path(recipe).is_dir() else stage.parse_recipe(recipe, values["semantics"])
    train_with(values, losses, subset, out)


def train_with(values: dict[str, Any], recipe: Recipe, subset: Path, out: Path) -> None:
    """Stage 4 with a recipe at hand."""
    from detkds.pipeline import train as stage

    stage.run(pair(values), schedule(values, values["epochs"]), recipe, subset=subset, out=out)


def evaluate(values: dict[str, Any], baseline: Path, distilled: Path, subset: Path, out: Path) -> None:
    """Stage 5."""
    from detkds.pipeline import evaluate as stage

    students = {"student": baseline, "distilled": distilled}
    teacher = values["teacher_config"], values["teacher_checkpoint"]
    stage.run(*teacher, students, subset=subset, batch_size=values["batch_size"], out=out)


def report(values: dict[str, Any], studies: Sequence[Path], subset: Path, model: Path, evaluation: Path, out: Path) -> None:
    """Stage 6; publishes below the folder `out`."""
    from detkds.pipeline import report as stage

    stage.run(values["run_name"], str(out), subset=subset, studies=studies, model=model, evaluation=evaluation)


def pair(values: dict[str, Any]) -> Pair:
    """Teacher and student."""
    return Pair(**{name: values[name] for name in Pair.__slots__})


def schedule(values: dict[str, Any], epochs: int) -> Schedule:
    """How students are trained for so many epochs."""
    return Schedule(epochs, *(values[name] for name in ("batch_size", "learning_rate", "amp", "seed")))
