"""What a search decides of a loss beside its weight: the words of its slots, and what else its genomes differ in."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from detkds.genome.genome import Genome, format_weight
from detkds.genome.knowledge import Knowledge
from detkds.genome.words import SLOTS

BACKGROUND, IMAGES = BESIDE = ("background", "images")
"""Names of decisions that are no slots: what background counts (fgbg), and the images of which a loss is taken."""
ALL, LABELLED = ("all", "labelled")
"""The images: those of a step without labels too, or the labelled ones alone."""


def decisions(genome: Genome) -> dict[str, str]:
    """Each decision by name, as text: the slots in their order, then those of `BESIDE`."""
    beside = format_weight(genome.background), LABELLED if genome.labelled else ALL
    return {**genome.slots, **dict(zip(BESIDE, beside, strict=True))}


def decided(knowledge: Knowledge, genomes: Iterable[Genome]) -> tuple[str, ...]:
    """The names of what a search of a knowledge decided: its slots, and of `BESIDE` those in which these genomes differ."""
    return (*SLOTS[knowledge], *differing(genome for genome in genomes if genome.knowledge == knowledge))


def differing(genomes: Iterable[Genome]) -> tuple[str, ...]:
    """The names of `BESIDE` in which genomes differ."""
    found = [decisions(genome) for genome in genomes]
    return tuple(name for name in BESIDE if len({one[name] for one in found}) > 1)


def in_order(knowledge: Knowledge, name: str, used: Collection[str]) -> list[str]:
    """What was used of a decision, in the order of the vocabulary, or by size."""
    if name == BACKGROUND:
        return sorted(used, key=float)
    known = (ALL, LABELLED) if name == IMAGES else SLOTS[knowledge][name]
    return [word for word in known if word in used]
