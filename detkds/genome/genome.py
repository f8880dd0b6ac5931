"""Genome: one distillation loss as data. Text, JSON form and digest; see the paper, Eq. 2, Eq. 3 and Table 2."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any

from detkds.errors import GenomeError
from detkds.genome.vocabulary import BACKGROUND, SLOTS, Knowledge
from detkds.genome.words import Role, Word, find
from detkds.genome.words import check_word as check_word

SCHEMA = "detkds.genome/1"
MAX_WEIGHT = 1000.0
MAX_UNIT = 1e6
ON_LABELLED = " on labelled"
"""Ends the text of a genome whose loss is taken of labelled images alone."""


@dataclass(frozen=True, slots=True)
class Genome:
    """One loss: a knowledge, its transforms in order, a distance and a weight.

    Args:
        knowledge: which of the five inputs is compared.
        transforms: feature knowledge: (attention, scale, norm); response knowledge: (transform,). "none" is an empty slot.
        distance: a word of the knowledge's distances.
        weight: factor of the loss in `unit`s, 0 to 1000. 0 switches the loss off.
        background: fgbg only: what background counts beside foreground (1), 0 to 1000.
        unit: what a weight of 1 multiplies the loss by, above 0 up to 1,000,000: 1 as in the paper, or measured, so that the weight is the
            loss's share of the detection loss's gradient (docs/genome.md, "Calibrated weights").
        labelled: the loss is taken of labelled images alone, where a training has others too (`data.unlabelled`).

    Raises:
        GenomeError: a word is not in the slot's vocabulary, or a weight is out of range.
    """

    knowledge: Knowledge
    transforms: tuple[str, ...]
    distance: str
    weight: float = 1.0
    background: float = BACKGROUND
    unit: float = 1.0
    labelled: bool = False

    def __post_init__(self) -> None:
        slots = SLOTS[self.knowledge]
        words = (*self.transforms, self.distance)
        if len(words) != len(slots):
            expected = " > ".join(name for name in slots if name != "distance")
            raise GenomeError(
                f"a {self.knowledge} genome has {len(slots) - 1} transform slot(s) ({expected}), got {len(self.transforms)}: "
                f"{' > '.join(self.transforms)}; write none for an empty slot."
            )
        for (slot, vocabulary), word in zip(slots.items(), words, strict=True):
            check_word(f"{self.knowledge} {slot}", word, vocabulary)
        if not (math.isfinite(self.weight) and 0 <= self.weight <= MAX_WEIGHT):
            raise GenomeError(f"a weight lies between 0 and {MAX_WEIGHT:g}, got {self.weight:g} in a {self.knowledge} genome.")
        if not (math.isfinite(self.unit) and 0 < self.unit <= MAX_UNIT):
            raise GenomeError(f"a unit is above 0 and at most {MAX_UNIT:,.0f}, got {self.unit:g} in a {self.knowledge} genome.")
        if not (math.isfinite(self.background) and 0 <= self.background <= MAX_WEIGHT):
            raise GenomeError(f"the weight of background lies between 0 and {MAX_WEIGHT:g}, got {self.background:g}.")
        if self.background != BACKGROUND and self.knowledge is not Knowledge.FGBG:
            raise GenomeError(f"only fgbg genomes weigh background, got bg {self.background:g} in a {self.knowledge} genome; leave bg out.")

    @property
    def slots(self) -> dict[str, str]:
        """Slot name to word, in text order: the transforms, then the distance."""
        return dict(zip(SLOTS[self.knowledge], (*self.transforms, self.distance), strict=True))

    def word(self, slot: str) -> Word:
        """What the registry holds of the word in a slot."""
        return find(self.knowledge, slot, self.slots[slot])

    def with_slot(self, slot: str, word: str) -> Genome:
        """The same genome with another word in one slot."""
        words = {**self.slots, slot: word}
        *transforms, distance = words.values()
        return replace(self, transforms=tuple(transforms), distance=distance)

    def with_weight(self, weight: float) -> Genome:
        """The same genome with another weight."""
        return replace(self, weight=float(weight))

    def with_unit(self, unit: float) -> Genome:
        """The same genome with its weight counted in another unit."""
        return replace(self, unit=float(unit))

    def with_labelled(self, labelled: bool) -> Genome:
        """The same genome on labelled images alone, or on all."""
        return replace(self, labelled=labelled)

    @property
    def factor(self) -> float:
        """What the loss is multiplied by."""
        return self.weight * self.unit

    def with_background(self, background: float) -> Genome:
        """The same genome of fgbg with another weight of the background."""
        return replace(self, background=float(background))

    @property
    def needs_responses(self) -> bool:
        """Whether the loss reads the heads."""
        return not self.knowledge.is_feature or self.word("attention").reads_responses

    @property
    def trained_word(self) -> str:
        """The word whose modules train beside the student, or empty."""
        return self.slots["attention"] if self.knowledge.is_feature and self.word("attention").role is Role.GENERATED else ""

    @property
    def crosses(self) -> bool:
        """Whether the loss compares what the teacher's head makes of the student's head features."""
        return not self.knowledge.is_feature and self.word("transform").role is Role.CROSSED

    def __str__(self) -> str:
        background = "" if self.background == BACKGROUND else f" bg {format_weight(self.background)}"
        unit = "" if self.unit == 1 else f" unit {format_weight(self.unit)}"
        weighed = f"{self.distance} x {format_weight(self.weight)}{unit}{background}"
        return f"{self.knowledge}: {' > '.join(self.transforms)} | {weighed}{ON_LABELLED if self.labelled else ''}"

    @classmethod
    def parse(cls, text: str) -> Genome:
        """Read `knowledge: transform > … | distance x weight`; the weight may be left out and is then 1. ` unit factor` may follow, and of
        fgbg ` bg share`, and last ` on labelled`.

        Raises:
            GenomeError: the text has another form or names an unknown word; the message says where and what is near.
        """
        head, colon, body = text.strip().partition(":")
        chain, bar, tail = body.partition("|")
        if not colon or not bar:
            raise GenomeError(
                f"{text.strip()!r} is not a genome: the form is `knowledge: transform > … | distance x weight`, "
                "for example `global: catt > scale_2 > norm_N | l1 x 5`."
            )
        check_word("knowledge", head.strip(), tuple(Knowledge))
        labelled = tail.rstrip().endswith(ON_LABELLED)
        tail, _, background = tail.rstrip().removesuffix(ON_LABELLED).strip().partition(" bg ")
        tail, _, unit = tail.strip().partition(" unit ")
        distance, _, weight = tail.strip().partition(" x ")
        transforms = tuple(word.strip() for word in chain.split(">"))
        share = parse_weight(background, text) if background else BACKGROUND
        factors = parse_weight(weight, text), share, parse_weight(unit, text)
        return cls(Knowledge(head.strip()), transforms, distance.strip(), *factors, labelled)

    def to_json(self) -> dict[str, Any]:
        """A JSON object with the schema version; `background`, `unit` and `labelled` are there where they are not the usual."""
        further = {} if self.background == BACKGROUND else {"background": self.background}
        further |= {} if self.unit == 1 else {"unit": self.unit}
        further |= {"labelled": True} if self.labelled else {}
        return {"schema": SCHEMA, "knowledge": str(self.knowledge), **self.slots, "weight": self.weight, **further}

    @classmethod
    def from_json(cls, data: Any) -> Genome:
        """Read what `to_json` wrote.

        Raises:
            GenomeError: wrong schema, missing or unknown keys, or a word outside the vocabulary.
        """
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise GenomeError(f"a genome in JSON is an object with schema {SCHEMA!r}, got {str(data)[:80]}.")
        check_word("knowledge", data.get("knowledge"), tuple(Knowledge))
        knowledge = Knowledge(data["knowledge"])
        names = tuple(SLOTS[knowledge])
        expected = {"schema", "knowledge", "weight", *names}
        if set(data) - {"background", "unit", "labelled"} != expected or not isinstance(data.get("labelled", False), bool):
            raise GenomeError(f"a {knowledge} genome in JSON has the keys {sorted(expected)}, got {sorted(map(str, data))}.")
        *transforms, distance = (data[name] for name in names)
        background = parse_weight(data.get("background", BACKGROUND), str(knowledge))
        unit = parse_weight(data.get("unit", 1.0), str(knowledge))
        weight = parse_weight(data["weight"], str(knowledge))
        return cls(knowledge, tuple(transforms), distance, weight, background, unit, data.get("labelled", False))


def parse_weight(value: Any, where: str) -> float:
    """A weight from text or a number; empty text is 1.

    Raises:
        GenomeError: not a number.
    """
    if value == "":
        return 1.0
    try:
        return float(value)
    except (TypeError, ValueError):
        raise GenomeError(f"{str(value)!r} is not a weight in {where.strip()!r}: a number is expected after ` x `.") from None


def format_weight(weight: float) -> str:
    """The shortest text that reads back as the same number: 6, 0.5."""
    return f"{weight:g}" if float(f"{weight:g}") == weight else repr(weight)


def sha256(text: str) -> str:
    """Hexadecimal sha256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
