"""What each stage of a run is told, made of the form that a person filled in."""

from __future__ import annotations

from typing import Any, NamedTuple

from detkds import plugins
from detkds.genome.presets import parse_recipe
from detkds.pipeline.form import Form
from detkds.pipeline.progress import report_errors, say
from detkds.pipeline.stages import CHECK, stages
from detkds.pipeline.task_progress import begin


class Plans(NamedTuple):
    """The number of GPUs as text, of which a pod's resources are made, and the values of each stage by name."""

    gpus: str
    subset: dict[str, Any]
    evolve: dict[str, Any]
    weights: dict[str, Any]
    train: dict[str, Any]
    evaluate: dict[str, Any]
    report: dict[str, Any]


@report_errors
def run(form: Form, *, recipe: str = "") -> Plans:
    """Check a form, and divide what it says among the stages.

    Raises:
        ConfigError: everything that is wrong with it, one line a fault.
        GenomeError: the recipe is none.
        StoreError: the store cannot be reached or refuses.
    """
    plugins.inherit()
    values = form.values()
    parse_recipe(recipe, values.semantics)
    begin(stages(values.searched.split(","), recipe=bool(recipe)), values.work)
    say(CHECK, f"{values.run_name}: the parameters can be used, and what they name is there")
    return Plans(str(values.gpus), *(values.of_stage(stage) for stage in Plans._fields[1:]))
