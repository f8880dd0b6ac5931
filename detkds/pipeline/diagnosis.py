"""What losses do to the student of a run before anything is searched, for a person to read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from detkds.errors import ConfigError
from detkds.pipeline.values import Values

if TYPE_CHECKING:
    from detkds.detectors.diagnosis import Diagnosis  # it needs torch
    from detkds.genome import Recipe


def show(texts: Sequence[str], run_yaml: Path, semantics: str, after: int, *, home: Path, trust: bool, console: Console) -> None:
    """Print for each recipe its value, the length of its gradient to the student's weights over that of the detection loss's own, and the
    shares of strides and of padding in what the student offers to it; for a single loss also the unit that it has where weights are
    calibrated.

    Args:
        texts: genomes or presets, `NAME` or `NAME x FACTOR`.
        run_yaml: of the run; its teacher is trained where it has none yet.
        semantics: of genomes; empty: that of the run.
        after: epochs that the student trains without distillation first.

    Raises:
        DetKDSError: run, data, detectors or a text cannot be used; the message says which.
    """
    from detkds.pipeline.proxy import Proxy
    from detkds.pipeline.recipes import parse_recipe
    from detkds.pipeline.run import Run

    with Run.open(run_yaml, home=home, trust=trust, console=console) as run:
        recipes = {text: parse_recipe(text, semantics or run.config.search.semantics) for text in texts}
        if idle := [text for text, recipe in recipes.items() if not recipe.active]:
            raise ConfigError(f"{idle[0]!r} has no loss to look at; give it a weight above 0.")
        run.leave_budget()
        told = Values.read(run.values)
        proxy = Proxy(told.pair, told.proxy, run.subset, early_stop=False)
        found = {}
        for text, recipe in recipes.items():
            try:
                found[text] = proxy.diagnose(recipe, after)
            except ConfigError as error:
                console.print(f"{text}: {error}", markup=False, style="yellow")
    for number, text in enumerate(found, 1):
        console.print(f"{number}  {text}", markup=False, soft_wrap=True)
    console.print(
        _table(
            list(found.values()),
            [_unit(recipes[text], one) for text, one in found.items()],
            f"Student after {after} epoch(s): value; gradient ÷ detection loss's own; calibrated unit; its share by stride, and on padding",
        )
    )


def _unit(recipe: Recipe, found: Diagnosis) -> str:
    """What a weight of 1 multiplies a single loss by where weights are calibrated."""
    if len(recipe.active) != 1 or not found.ratio > 0:
        return ""
    return f"{recipe.active[0].factor / found.ratio:.3g}"


def _table(found: Sequence[Diagnosis], units: Sequence[str], title: str) -> Table:
    """A row a recipe; columns of strides are shares of the energy of its gradient."""
    strides = sorted({stride for one in found for stride in one.levels})
    table = Table(title=title, title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("", "value", "÷ own", "unit", *(str(stride) if stride else "no grid" for stride in strides), "padding"):
        table.add_column(column, justify="right", no_wrap=True)
    for number, (one, unit) in enumerate(zip(found, units, strict=True), 1):
        shares = (_percent(one.levels.get(stride)) for stride in strides)
        table.add_row(str(number), f"{one.value:.3g}", f"{one.ratio:.2g}", unit, *shares, _percent(one.padding))
    return table


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
