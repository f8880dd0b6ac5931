"""SearchSpace: Table 2 as data; sampling, mutation, crossover and counts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from detkds.errors import ConfigError
from detkds.genome import WEIGHTS, Genome, Knowledge, canonical
from detkds.genome.vocabulary import BACKGROUND, BACKGROUNDS, NONE
from detkds.genome.words import Fold, vocabulary

PRESETS: dict[str, tuple[float, ...]] = {"paper": WEIGHTS, "extended": (*WEIGHTS, 20.0, 50.0, 100.0)}
"""Loss weights of each preset."""
_WEIGHT, _BACKGROUND, _LABELLED = "weight", "background", "labelled"
"""What a genome is chosen by beside the words of its slots."""


@dataclass(frozen=True)
class Count:
    """How many genomes of one knowledge a space holds.

    Args:
        forms: genomes but for their weight.
        genomes: forms times weights.
        distinct_forms: forms after folding those that train alike up to a weight.
        distinct: genomes after folding.
    """

    forms: int
    genomes: int
    distinct_forms: int
    distinct: int


@dataclass(frozen=True)
class SearchSpace:
    """The genomes that a search may try.

    Args:
        slots: for each knowledge, slot name to words, in the order of the vocabulary.
        weights: loss weights, at least two, all above 0.
        semantics: "paper", "released" or "sound".
        backgrounds: what background may count in fgbg genomes, at least one.
        labelled: whether a loss is taken of labelled images alone: False, or both where a search chooses.

    Raises:
        ConfigError: fewer than two weights, or one that is not above 0.
    """

    slots: Mapping[Knowledge, Mapping[str, tuple[str, ...]]]
    weights: tuple[float, ...] = WEIGHTS
    semantics: str = "paper"
    backgrounds: tuple[float, ...] = (BACKGROUND,)
    labelled: tuple[bool, ...] = (False,)

    def __post_init__(self) -> None:
        if len(set(self.weights)) < 2 or min(self.weights) <= 0:
            raise ConfigError(f"a search space has two or more weights, all above 0, got {self.weights}.")

    @classmethod
    def preset(cls, name: str = "paper", semantics: str = "paper") -> SearchSpace:
        """A named space.

        `paper`: Tables 2 and 5. `extended` adds the words of other methods, weights of the background, and the weights 20, 50 and 100,
        since with few labels the best weights lie above Table 2's range. Under `released` the words without a usable meaning there are
        not offered. The words of loaded plugins come last in their slots.

        Raises:
            ConfigError: no such preset.
        """
        if name not in PRESETS:
            raise ConfigError(f"unknown space {name!r}: choose from {', '.join(PRESETS)}.")
        slots = {knowledge: vocabulary(knowledge, name, semantics) for knowledge in Knowledge}
        return cls(slots, PRESETS[name], semantics, (BACKGROUND,) if name == "paper" else BACKGROUNDS)

    def choices(self, knowledge: Knowledge) -> dict[str, tuple[Any, ...]]:
        """What a genome of a knowledge is chosen from, by name: the words of each slot and the weights, and where there is more than one,
        what background may count and whether the loss is of labelled images alone. Every search makes all of these choices."""
        offered = self._offered(knowledge)
        return {name: values for name, values in offered.items() if name not in (_BACKGROUND, _LABELLED) or len(values) > 1}

    def _offered(self, knowledge: Knowledge) -> dict[str, tuple[Any, ...]]:
        beside = {_WEIGHT: self.weights, _BACKGROUND: self._backgrounds(knowledge), _LABELLED: self.labelled}
        return {**self.slots[knowledge], **beside}

    def genome(self, knowledge: Knowledge, chosen: Mapping[str, Any]) -> Genome:
        """The genome of one value for each of the `choices`."""
        values = {name: offered[0] for name, offered in self._offered(knowledge).items()} | dict(chosen)
        *transforms, distance = (values[slot] for slot in self.slots[knowledge])
        return Genome(knowledge, tuple(transforms), distance, values[_WEIGHT], background=values[_BACKGROUND], labelled=values[_LABELLED])

    def chosen(self, genome: Genome) -> dict[str, Any]:
        """The values of a genome by the names of the `choices` of its knowledge. They may be others than the space offers."""
        values = _values(genome)
        return {name: values[name] for name in self.choices(genome.knowledge)}

    def sample(self, rng: random.Random, knowledge: Knowledge) -> Genome:
        """A genome with every slot, the weight and what else the space offers drawn uniformly."""
        return self.genome(knowledge, {name: rng.choice(values) for name, values in self.choices(knowledge).items()})

    def _backgrounds(self, knowledge: Knowledge) -> tuple[float, ...]:
        return self.backgrounds if knowledge is Knowledge.FGBG else (BACKGROUND,)

    def mutate(self, genome: Genome, rng: random.Random) -> Genome:
        """The genome with one slot changed; the weights count as slots. Never to itself, nor to one that trains alike."""
        origin = canonical(genome, self.semantics)
        slots = [[other for other in neighbours if canonical(other, self.semantics) != origin] for neighbours in self._neighbours(genome)]
        return rng.choice(rng.choice([others for others in slots if others]))

    def _neighbours(self, genome: Genome) -> Iterator[list[Genome]]:
        """Slot by slot, the genomes that differ there and nowhere else."""
        own = _values(genome)
        for name, values in self._offered(genome.knowledge).items():
            yield [self._with(genome, name, value) for value in values if value != own[name]]

    def _with(self, genome: Genome, name: str, value: Any) -> Genome:
        if name in genome.slots:
            return genome.with_slot(name, value)
        change = {_WEIGHT: genome.with_weight, _BACKGROUND: genome.with_background, _LABELLED: genome.with_labelled}[name]
        return change(value)

    def contains(self, genome: Genome) -> bool:
        """True where the space offers the genome; scale_1 and local_1 are read as none."""
        words = {slot: NONE if Fold.IDENTITY in genome.word(slot).folds else word for slot, word in genome.slots.items()}
        offered = self.slots[genome.knowledge]
        weighed = genome.weight in self.weights and genome.background in self._backgrounds(genome.knowledge)
        return weighed and genome.labelled in self.labelled and all(word in offered[slot] for slot, word in words.items())

    def forms(self, knowledge: Knowledge) -> Iterator[Genome]:
        """All genomes of a knowledge with weight 1."""
        for *transforms, distance in itertools.product(*self.slots[knowledge].values()):
            for background, labelled in itertools.product(self._backgrounds(knowledge), self.labelled):
                yield Genome(knowledge, tuple(transforms), distance, background=background, labelled=labelled)

    def count(self, knowledge: Knowledge) -> Count:
        """Exact counts. Folding multiplies a weight by a factor that depends on the words alone, so they are folded once."""
        backgrounds = self._backgrounds(knowledge)
        first = (backgrounds[0], self.labelled[0])
        folded = [canonical(form, self.semantics) for form in self.forms(knowledge) if (form.background, form.labelled) == first]
        distinct = {(form.with_weight(1), form.weight * weight) for form in folded for weight in self.weights}
        sizes = (len(folded), len(folded) * len(self.weights), len({form for form, _ in distinct}), len(distinct))
        return Count(*(size * len(backgrounds) * len(self.labelled) for size in sizes))

    def count_weights(self, genomes: int = len(Knowledge), *, zero: bool = False) -> int:
        """Number of weight vectors; with `zero` a loss may be switched off, but not all of them."""
        return prod([len(self.weights) + zero] * genomes) - zero

    def sample_weights(self, rng: random.Random, size: int) -> tuple[float, ...]:
        """A weight vector drawn uniformly from (weights and 0)^size but the zero vector."""
        while not any(vector := tuple(rng.choice((0.0, *self.weights)) for _ in range(size))):
            pass
        return vector

    def mutate_weights(self, vector: Sequence[float], rng: random.Random) -> tuple[float, ...]:
        """The vector with one entry changed, never to itself and never to the zero vector."""
        position = rng.randrange(len(vector))
        rest = any(weight for index, weight in enumerate(vector) if index != position)
        choices = (0.0, *self.weights) if rest else self.weights
        changed = rng.choice([weight for weight in choices if weight != vector[position]])
        return (*vector[:position], changed, *vector[position + 1 :])

    def crossover(self, first: Sequence[float], second: Sequence[float], rng: random.Random) -> tuple[float, ...]:
        """Each entry from either parent with even odds. May be the zero vector; the mutation that follows it never is."""
        return tuple(rng.choice(pair) for pair in zip(first, second, strict=True))


def _values(genome: Genome) -> dict[str, Any]:
    """What a genome is, by the names of what a space offers."""
    return {**genome.slots, _WEIGHT: genome.weight, _BACKGROUND: genome.background, _LABELLED: genome.labelled}


def table_2_readings() -> dict[str, int]:
    """What readings of Table 2 amount to; the paper says "over 30,000"."""
    feature = {"attention": 3, "scale": 6, "norm": 4, "distance": 7, "weight": len(WEIGHTS)}
    logits = {"transform": 5, "distance": 7, "weight": len(WEIGHTS)}
    localization = {"transform": 4, "distance": 5, "weight": len(WEIGHTS)}

    def total(skip_in_features: set[str], skip_in_responses: set[str]) -> int:
        def forms(table: dict[str, int], skip: set[str]) -> int:
            return prod(words + int(slot in skip) for slot, words in table.items())

        responses = forms(logits, skip_in_responses) + forms(localization, skip_in_responses)
        return 3 * forms(feature, skip_in_features) + responses  # global, fgbg and instance share the feature slots

    return {
        "Table 2 to the letter": total(set(), set()),
        "an empty choice in every transform slot": total({"attention", "scale", "norm"}, {"transform"}),
        "attention or scale skipped, norm mandatory, and all combined weights": total({"attention", "scale"}, set()) + len(WEIGHTS) ** 5,
    }
