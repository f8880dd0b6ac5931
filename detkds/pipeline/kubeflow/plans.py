"""The parameters of each stage of a run, from the form that a person filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from detkds import plugins
from detkds.errors import ConfigError
from detkds.genome.presets import parse_recipe
from detkds.pipeline import stored_inputs
from detkds.pipeline.form import Form
from detkds.pipeline.progress import report_errors, say
from detkds.pipeline.stages import CHECK, stages
from detkds.pipeline.task_progress import begin
from detkds.pipeline.values import Values


class Plans(NamedTuple):
    """The GPUs of a searching or training task and of one that needs no more than one, as texts, of which a pod's resources are made (no
    GPUs are none for either), and the values of each stage by name."""

    gpus: str
    one_gpu: str
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
        ConfigError: everything that is wrong with it, one line per fault.
        GenomeError: the recipe is none.
        StoreError: the store cannot be reached or refuses.
    """
    values = form.values()
    plugins.load(values.plugins)
    parse_recipe(recipe, values.semantics)
    if faults := stored_inputs.faults(values):
        raise ConfigError("\n".join(faults))
    begin(stages(values.searched.split(","), recipe=bool(recipe)), values.work)
    say(CHECK, f"{values.run_name}: the parameters are valid, and data and checkpoints were found")
    return Plans(str(values.gpus), str(min(values.gpus, 1)), *(values.of_stage(stage) for stage in Plans._fields[2:]))


@report_errors
def read(plan: Mapping[str, Any]) -> Values:
    """What a stage is told, as KFP hands it on; the plugins that it names are loaded, since a recipe or a detector may be of theirs.

    Raises:
        ConfigError: a plugin cannot be loaded.
    """
    values = Values.read(plan)
    plugins.load(values.plugins)
    return values
