"""The size of a search space, samples of it, and what is known about one genome."""

from __future__ import annotations

import random
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detkds.genome import Genome, Knowledge, Recipe, canonical
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
    for reading, total in table_2_readings().items():
        console.print(f"{reading}: {total:,}", style="dim", markup=False)
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


def plain_genome(text: str, preset: str, semantics: str) -> dict[str, Any]:
    """What is known of a genome as plain values.

    Raises:
        GenomeError: the text does not parse; the message names the nearest word.
    """
    genome = Genome.parse(text)
    inside = SearchSpace.preset(preset, semantics).contains(genome)
    digest = Recipe((genome,), semantics).digest
    return {"genome": str(genome), "canonical": str(canonical(genome, semantics)), "digest": digest, "in_space": inside}


def describe_genome(text: str, preset: str, semantics: str, console: Console) -> None:
    """Print a genome's canonical form, digest and whether the space holds it.

    Raises:
        GenomeError: the text does not parse; the message names the nearest word.
    """
    genome = Genome.parse(text)
    recipe = Recipe((genome,), semantics)
    inside = SearchSpace.preset(preset, semantics).contains(genome)
    console.print(str(genome), markup=False, style="bold")
    console.print(f"  canonical  {canonical(genome, semantics)}", markup=False)
    console.print(f"  digest     {recipe.digest}", markup=False)
    console.print(f"  space      {'in' if inside else 'not in'} {preset}", markup=False)
