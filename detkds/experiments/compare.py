"""Train the same student under several recipes, and report what each brings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from detkds.errors import ConfigError
from detkds.experiments.comparison import NONE
from detkds.experiments.named_recipes import DEFAULT, NamedRecipe
from detkds.experiments.prepared_run import Effort, PreparedRun, prepared_run, recipes_of, refusal
from detkds.pipeline.run import Run

if TYPE_CHECKING:
    from detkds.experiments.comparison import Comparison
    from detkds.experiments.trainings import Entry, Trainings
    from detkds.search.trial import Trial

RESULT = "comparison"
"""Kind of the artifact that holds compare.json, compare.md and compare.html."""


def compare(
    path: Path,
    recipes: Sequence[str],
    effort: Effort,
    *,
    home: Path,
    trust: bool,
    console: Console,
    out: Path | None,
    embedded_s3: bool = False,
) -> Comparison:
    """Train the student of a run under each recipe with each seed, print the table and publish it.

    Args:
        path: the run.yaml.
        recipes: see `named_recipes`; none: DEFAULT.
        effort: how much.
        home, trust, embedded_s3: see `Run.open`.
        console: gets progress and the table.
        out: the artifact with compare.json, compare.md and compare.html; None: compare/NAME below `home`.

    Returns:
        What was printed.

    Raises:
        DetKDSError: run, recipes, data or detectors cannot be used; the message says which.
    """
    with Run.open(path, home=home, trust=trust, embedded_s3=embedded_s3, console=console) as run:
        given = recipes_of(run, recipes or DEFAULT)
        _require_unlabelled(run, given)
        given, left_out = _inheriting(run, given, chosen=bool(recipes))
        made = prepared_run(run, searched=False)
        trainings = made.trainings(effort)
        able, unsupported = _parted(given, trainings)
        left_out |= unsupported
        entries = _entries(able, made.seeds(effort), inherit=made.inherit)
        result = train_and_compare(made, trainings, entries, effort, left_out)
        publish(out or made.home / "compare" / made.name, result, console)
        return result


def train_and_compare(
    made: PreparedRun, trainings: Trainings, entries: Sequence[Entry], effort: Effort, left_out: Mapping[str, str]
) -> Comparison:
    """Run the trainings and draw the comparison; `left_out` holds recipes that were not trained, and why."""
    from detkds.experiments.comparison import conclude

    return conclude(made.name, trainings, entries, train(made, trainings, entries, effort), left_out)


def train(made: PreparedRun, trainings: Trainings, entries: Sequence[Entry], effort: Effort) -> dict[str, Trial]:
    """Train what was not trained before; a trial for each entry's id."""
    from detkds.processes import at_once

    return trainings.run(entries, jobs=effort.jobs or at_once(), show=made.show)


def publish(out: Path, result: Comparison, console: Console, files: Mapping[str, str] | None = None) -> None:
    """Print the table; write compare.json, compare.md, compare.html and further files."""
    from detkds.experiments.comparison_page import page
    from detkds.experiments.comparison_table import markdown, show
    from detkds.storage.artifacts import publishing

    with publishing(out, kind=RESULT, meta={"run": result.run}) as folder:
        (folder / "compare.json").write_text(json.dumps(result.to_json(), indent=1, allow_nan=False))
        (folder / "compare.md").write_text(markdown(result))
        (folder / "compare.html").write_text(page(result))
        for name, text in (files or {}).items():
            (folder / name).write_text(text)
    show(result, console)
    console.print(f"written to {out}", markup=False, soft_wrap=True)


def _entries(able: Sequence[NamedRecipe], seeds: range, *, inherit: bool) -> list[Entry]:
    from detkds.experiments.trainings import Entry

    return [
        Entry(one.name, one.recipe, seed, inherit if one.inherit is None else one.inherit, one.unlabelled) for one in able for seed in seeds
    ]


def _require_unlabelled(run: Run, given: Sequence[NamedRecipe]) -> None:
    """Refuse a recipe that leaves out images without labels where the run has none.

    Raises:
        ConfigError: it would be the same training under another name.
    """
    named = [one.name for one in given if not one.unlabelled]
    if named and run.config.data.unlabelled is None:
        raise ConfigError(f"{named[0]!r} leaves out images without labels, but the run has none; add data.unlabelled, or drop the words.")
    if idle := [one.name for one in given if not one.unlabelled and not one.recipe.active]:
        raise ConfigError(f"{idle[0]!r}: without distillation no image without labels is used; leave the words out.")


def _inheriting(run: Run, given: list[NamedRecipe], *, chosen: bool) -> tuple[list[NamedRecipe], dict[str, str]]:
    """Those that are another training than no distillation, and why others are left out.

    Raises:
        ConfigError: one that was `chosen` inherits, and there is nothing to inherit.
    """
    run.look()
    if not (reason := run.nothing_inherited):
        return given, {}
    named = [one.name for one in given if one.inherit]
    if chosen and named:
        raise ConfigError(f"{named[0]!r} would inherit nothing, as {NONE} does: {reason}; leave it out.")
    for name in named:
        run.show(f"[compare] {name} is left out: {reason}")
    return [one for one in given if not one.inherit], dict.fromkeys(named, reason)


def _parted(given: Sequence[NamedRecipe], trainings: Trainings) -> tuple[list[NamedRecipe], dict[str, str]]:
    """Those that the pair can be trained with, and why the others cannot.

    Raises:
        ConfigError: none can.
    """
    missing = trainings.unsupported()
    reasons = {one.name: dict.fromkeys(why for genome in one.recipe.active if (why := refusal(genome, missing))) for one in given}
    left_out = {name: "; ".join(reason) for name, reason in reasons.items() if reason}
    able = [one for one in given if one.name not in left_out]
    if not able:
        raise ConfigError(f"no recipe can be trained with this pair: {'; '.join(f'{name}: {why}' for name, why in left_out.items())}")
    return able, left_out
