"""Train the same student under several recipes, and tell what they are worth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from detkds.errors import ConfigError
from detkds.verbs.entrants import DEFAULT, Entrant
from detkds.verbs.ground import Effort, Ground, opened, refusal

if TYPE_CHECKING:
    from detkds.search.trial import Trial
    from detkds.stages.comparison import Comparison
    from detkds.stages.contest import Contest, Entry

RESULT = "comparison"
"""Kind of the artifact that holds compare.json and compare.md."""


def compare(path: Path, recipes: Sequence[str], effort: Effort, *, home: Path, trust: bool, console: Console, out: Path | None) -> None:
    """Train the student of a run under each recipe with each seed, print the table and publish it.

    Args:
        path: the run.yaml.
        recipes: see `entrants`; none: DEFAULT.
        effort: how much.
        home, trust: as of `detkds run`.
        console: gets progress and the table.
        out: the artifact with compare.json and compare.md; None: compare/NAME below `home`.

    Raises:
        DetKDSError: run, recipes, data or detectors cannot be used; the message says which.
    """
    with opened(path, home, trust, console) as run:
        given = run.entrants(recipes or DEFAULT)
        made = run.ground()
        contest = made.contest(effort)
        able, left_out = _parted(given, contest)
        entries = _entries(able, made.seeds(effort), inherit=made.values["inherit"])
        result = hold(made, contest, entries, effort, left_out)
        publish(out or made.home / "compare" / made.name, result, console)


def hold(made: Ground, contest: Contest, entries: Sequence[Entry], effort: Effort, left_out: Mapping[str, str]) -> Comparison:
    """Hold a contest and conclude it; `left_out` are recipes that are not in it, and why."""
    from detkds.stages.comparison import conclude

    return conclude(made.name, contest, entries, train(made, contest, entries, effort), left_out)


def train(made: Ground, contest: Contest, entries: Sequence[Entry], effort: Effort) -> dict[str, Trial]:
    """Train what was not trained before; a trial for each entry's id."""
    from detkds.processes import gpus

    return contest.hold(entries, jobs=effort.jobs or max(1, len(gpus())), show=made.show)


def publish(out: Path, result: Comparison, console: Console, files: Mapping[str, str] | None = None) -> None:
    """Print the table; write compare.json, compare.md and further files."""
    from detkds.storage.artifacts import publishing
    from detkds.verbs.standings import markdown, show

    with publishing(out, kind=RESULT, meta={"run": result.run}) as folder:
        (folder / "compare.json").write_text(json.dumps(result.to_json(), indent=1, allow_nan=False))
        (folder / "compare.md").write_text(markdown(result))
        for name, text in (files or {}).items():
            (folder / name).write_text(text)
    show(result, console)
    console.print(f"written to {out}", markup=False, soft_wrap=True)


def _entries(able: Sequence[Entrant], seeds: range, *, inherit: bool) -> list[Entry]:
    from detkds.stages.contest import Entry

    return [Entry(one.name, one.recipe, seed, inherit if one.inherit is None else one.inherit) for one in able for seed in seeds]


def _parted(given: Sequence[Entrant], contest: Contest) -> tuple[list[Entrant], dict[str, str]]:
    """Those that the pair can be trained with, and why the others cannot.

    Raises:
        ConfigError: none can.
    """
    missing = contest.unsupported()
    reasons = {one.name: dict.fromkeys(why for genome in one.recipe.active if (why := refusal(genome, missing))) for one in given}
    left_out = {name: "; ".join(reason) for name, reason in reasons.items() if reason}
    able = [one for one in given if one.name not in left_out]
    if not able:
        raise ConfigError(f"no recipe can be trained with this pair: {'; '.join(f'{name}: {why}' for name, why in left_out.items())}")
    return able, left_out
