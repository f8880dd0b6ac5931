"""The paper's ablations at any budget: single losses (Table 11), search algorithms (Table 12, Figure 4), iterations (Table 13)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from detkds.errors import ConfigError
from detkds.experiments.ablations import Ablations, Findings, Named
from detkds.experiments.compare import publish, train_and_compare
from detkds.experiments.comparison import INHERIT
from detkds.experiments.named_recipes import NamedRecipe
from detkds.experiments.prepared_run import Effort, prepared_run, recipes_of
from detkds.experiments.searches_table import markdown, show
from detkds.pipeline.run import Run
from detkds.pipeline.run_config import Search

SINGLE_LOSSES, ALGORITHMS, ITERATIONS = "single-losses", "algorithms", "iterations"
KINDS = (SINGLE_LOSSES, ALGORITHMS, ITERATIONS)


def ablate(
    path: Path,
    kind: str,
    effort: Effort,
    *,
    recipe: str = "",
    only: Sequence[str] = (),
    iterations: Sequence[int] = (),
    home: Path,
    trust: bool,
    console: Console,
    out: Path | None,
    embedded_s3: bool = False,
) -> None:
    """Search, train with what was found, print the tables, and publish them with the searches.

    Args:
        path: the run.yaml; its `search` is the budget of each search, its `train` that of each training.
        kind: one of KINDS.
        effort: how much.
        recipe: single-losses: the losses to train alone, see `named_recipes`; empty: search them.
        only: algorithms: names of variants; none: all.
        iterations: iterations: the values of T; none: half, three quarters and all of the run's, as in Table 13.
        home, trust, embedded_s3: see `Run.open`.
        console: gets progress and tables.
        out: the artifact; None: ablate/NAME-KIND below `home`.

    Raises:
        DetKDSError: something cannot be used; the message says which.
    """
    _check(kind, recipe, only, iterations)
    with Run.open(path, home=home, trust=trust, embedded_s3=embedded_s3, console=console) as run:
        given = [_losses(one) for one in recipes_of(run, [recipe])] if recipe else []
        for line in _unused(run.config.search, kind, only) if not given else ():
            run.show(f"[ablate] {line}")
        made = prepared_run(run, searched=not given)
        trainings = made.trainings(effort)
        ablations = Ablations(made, trainings, effort)
        if kind == SINGLE_LOSSES:
            found = ablations.losses_of(given[0].recipe) if given else ablations.single_losses()
        else:
            found = ablations.algorithms(only) if kind == ALGORITHMS else ablations.iterations(iterations)
        left_out = {**({INHERIT: made.nothing_inherited} if made.nothing_inherited else {}), **found.left_out}
        result = train_and_compare(made, trainings, [*ablations.references(), *found.entries], effort, left_out)
        if found.searches:
            console.print(show(found.searches))
        publish(out or made.home / "ablate" / f"{made.name}-{kind}", result, console, _files(found))


def _check(kind: str, recipe: str, only: Sequence[str], iterations: Sequence[int]) -> None:
    """Refuse what no ablation is before anything is trained."""
    if kind not in KINDS:
        raise ConfigError(f"an ablation is one of {', '.join(KINDS)}, got {kind!r}.")
    owners = {"--recipe": (recipe, SINGLE_LOSSES), "--only": (only, ALGORITHMS), "--iterations": (iterations, ITERATIONS)}
    for option, (value, owner) in owners.items():
        if value and kind != owner:
            raise ConfigError(f"{option} belongs to {owner}, got {kind}; leave it out.")
    if only:
        from detkds.experiments.searches import VARIANTS

        names = [variant.name for variant in VARIANTS]
        if unknown := [name for name in only if name not in names]:
            raise ConfigError(f"unknown variant {unknown[0]!r}: choose from {', '.join(names)}.")


def _unused(search: Search, kind: str, only: Sequence[str]) -> Iterator[str]:
    """What a run says of its search that an ablation does not do, for people."""
    if search.rungs:
        yield "search.rungs is not used: every candidate is trained to the end, so that searches compare at equal steps"
    if "final_race" in search.model_fields_set:
        yield "search.final_race is not used: each search ends with the recipe of its highest score"
    if kind == ALGORITHMS and "algorithm" in search.model_fields_set:
        yield "search.algorithm is not used: each row of the table is an algorithm of its own; choose rows with --only"
    if search.iterations_at_once > 1:
        yield "search.iterations_at_once is not used: an ablation asks one iteration after the other, as the paper does"
    if search.warm_start and kind == ALGORITHMS and (not only or "no-divide" in only):
        yield "search.warm_start is not used by no-divide, whose candidates are whole recipes; the other searches start with it"


def _losses(given: NamedRecipe) -> NamedRecipe:
    """The recipe, whose losses are to be trained one by one.

    Raises:
        ConfigError: it says more than which losses, or has none.
    """
    if not given.unlabelled:
        raise ConfigError(f"{given.name!r}: single-losses trains with what the run's data has; leave out `without unlabelled`.")
    if not given.recipe.active:
        raise ConfigError(f"{given.name!r} has no loss, and single-losses trains each loss alone; give a recipe with losses.")
    return given


def _files(found: Findings) -> dict[str, str]:
    if not found.searches:
        return {}
    content = {"schema": "detkds.searches/1", "searches": [_content(one) for one in found.searches]}
    return {"searches.md": markdown(found.searches), "searches.json": json.dumps(content, indent=1, allow_nan=False)}


def _content(one: Named) -> dict[str, object]:
    name, seed, searched = one
    return {"name": name, "seed": seed, **searched.to_json()}
