"""The size of a search space, samples of it, and what is known about one genome or preset."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detkds.errors import GenomeError
from detkds.genome import Genome, Knowledge, Recipe, canonical, presets
from detkds.genome.mathematics import plain_prose
from detkds.genome.words import all_words
from detkds.search.space import SearchSpace, table_2_readings


def describe_space(preset: str, semantics: str, sample: int, seed: int, console: Console) -> None:
    """Print exact counts of a space, before and after folding, and random genomes."""
    space = SearchSpace.preset(preset, semantics)
    table = Table(title=f"search space {preset}, semantics {semantics}", title_style="bold")
    for column in ("knowledge", "forms", "genomes", "forms after folding", "genomes after folding"):
        table.add_column(column, justify="left" if column == "knowledge" else "right")
    counts = {knowledge: space.count(knowledge) for knowledge in Knowledge}
    for knowledge, count in counts.items():
        table.add_row(str(knowledge), *(f"{n:,}" for n in (count.forms, count.genomes, count.distinct_forms, count.distinct)))
    table.add_section()
    sums = [sum(getattr(count, name) for count in counts.values()) for name in ("forms", "genomes", "distinct_forms", "distinct")]
    table.add_row("all", *(f"{total:,}" for total in sums))
    console.print(table)
    console.print(f"weights of five losses together: {space.count_weights():,}; with 0 allowed: {space.count_weights(zero=True):,}")
    console.print("sizes under other readings of the paper's Table 2:", style="dim", markup=False)
    for reading, total in table_2_readings().items():
        console.print(f"  {reading}: {total:,}", style="dim", markup=False)
    _describe_plugins(console)
    rng = random.Random(seed)
    for knowledge in Knowledge:
        for _ in range(sample):
            console.print(str(space.sample(rng, knowledge)), markup=False)


def _describe_plugins(console: Console) -> None:
    """The words of loaded plugins with their formulas; nothing without any."""
    words = [word for word in all_words() if word.module]
    if not words:
        return
    table = Table("word", "slot", "knowledge", "meaning", "from", title="words of plugins", title_style="bold")
    for word in words:
        meaning = plain_prose(word.formula_of("paper"))
        table.add_row(*map(escape, (word.name, word.slot, ", ".join(word.knowledges), meaning, word.module)))
    console.print(table)


def plain_space(preset: str, semantics: str) -> dict[str, Any]:
    """The counts of a space as plain values."""
    space = SearchSpace.preset(preset, semantics)
    names = ("forms", "genomes", "distinct_forms", "distinct")
    counts = {str(knowledge): {name: getattr(space.count(knowledge), name) for name in names} for knowledge in Knowledge}
    weights = {"without_0": space.count_weights(), "with_0": space.count_weights(zero=True)}
    return {"space": preset, "semantics": semantics, "knowledge": counts, "weights": weights, "readings": table_2_readings()}


def plain_losses(text: str, space: str, semantics: str) -> list[dict[str, Any]]:
    """What is known of a genome, or of each loss of a preset, as plain values.

    Args:
        text: a genome, or a preset, `NAME` or `NAME x FACTOR`.
        space: name of the space to look into.
        semantics: of a genome; a preset has its own.

    Raises:
        GenomeError: the text is neither; the message names the nearest word.
    """
    named = {"preset": text.strip()} if presets.is_preset(text.strip()) else {}
    recipe = presets.parse_recipe(text, semantics)
    if not recipe.genomes:
        raise GenomeError(f"{text!r} has no loss to look at; give a genome or a preset.")
    searched = replace(SearchSpace.preset(space, recipe.semantics), labelled=(False, True))
    return [
        {
            **named,
            "genome": str(genome),
            "semantics": recipe.semantics,
            "canonical": str(canonical(genome, recipe.semantics)),
            "digest": Recipe((genome,), recipe.semantics).digest,
            "in_space": searched.contains(genome),
            "outside": [] if searched.contains(genome) else _outside(searched, genome),
        }
        for genome in recipe.genomes
    ]


def _outside(space: SearchSpace, genome: Genome) -> list[str]:
    """The words and the weight of a genome that a space does not offer."""
    offered = space.slots[genome.knowledge]
    words = [f"{slot} {word}" for slot, word in genome.slots.items() if word not in offered[slot] and not genome.word(slot).folds]
    weights = ", ".join(f"{weight:g}" for weight in space.weights)
    if genome.knowledge is Knowledge.FGBG and genome.background not in space.backgrounds:
        words.append(f"background weight {genome.background:g}")
    return words if genome.weight in space.weights else [*words, f"weight {genome.weight:g} (its weights are {weights})"]


def describe_losses(text: str, space: str, semantics: str, console: Console) -> None:
    """Print the canonical form and the digest of a genome, or of each loss of a preset, and whether the space holds it; of a preset also
    where it is from and what it leaves out. Arguments and errors as of `plain_losses`."""
    losses = plain_losses(text, space, semantics)
    if "preset" in losses[0]:
        name = text.split()[0]
        console.print(f"{name}  {presets.source(name)}", markup=False, soft_wrap=True)
        if missing := presets.left_out(name):
            console.print(f"  left out   {missing}", markup=False, soft_wrap=True)
    for loss in losses:
        console.print(loss["genome"], markup=False, style="bold", soft_wrap=True)
        for key in ("canonical", "digest"):
            console.print(f"  {key:<9}  {loss[key]}", markup=False, soft_wrap=True)
        outside = f": it offers no {' and no '.join(loss['outside'])}" if loss["outside"] else ""
        other = f", with semantics {loss['semantics']}" if loss["semantics"] != semantics else ""
        console.print(f"  space      {'in' if loss['in_space'] else 'not in'} {space}{outside}{other}", markup=False, soft_wrap=True)
