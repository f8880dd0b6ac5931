"""Recipe: the losses of one training with their weights and the semantics that gives them meaning."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from detkds.errors import GenomeError
from detkds.genome.canonical import canonical
from detkds.genome.genome import Genome, check_word, sha256
from detkds.genome.vocabulary import SEMANTICS, Knowledge

SCHEMA = "detkds.recipe/1"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Eq. 1: the genomes that are added to the student's own loss. No genome means no distillation.

    Args:
        genomes: at most one per knowledge, and beside it at most one for each map of its attention (smap, cmap), as FGD and FKD compare
            both, or a relation (gcblock, nonlocal); kept in the order of Knowledge whatever order they come in.
        semantics: "paper", "released" or "sound".

    Raises:
        GenomeError: two genomes that compare the same, an unknown semantics, or a word that the semantics does not offer.
    """

    genomes: tuple[Genome, ...] = ()
    semantics: str = "paper"

    def __post_init__(self) -> None:
        check_word("semantics", self.semantics, SEMANTICS)
        order = list(Knowledge)
        genomes = tuple(sorted(self.genomes, key=lambda genome: (order.index(genome.knowledge), _compared(genome))))
        object.__setattr__(self, "genomes", genomes)
        compared = [_compared(genome) for genome in genomes]
        for what in compared:
            if compared.count(what) > 1:
                raise GenomeError(f"a recipe holds one genome per knowledge, got {compared.count(what)} for {' '.join(what).strip()}.")
        for genome in genomes:
            for slot, name in genome.slots.items():
                offered = genome.word(slot).semantics
                if self.semantics not in offered:
                    raise GenomeError(f"semantics {self.semantics} has no {slot} {name}: `{genome}`; use semantics {offered[0]}.")

    @property
    def active(self) -> tuple[Genome, ...]:
        """The genomes whose weight is not 0."""
        return tuple(genome for genome in self.genomes if genome.weight > 0)

    @property
    def weights(self) -> dict[Knowledge, float]:
        """Weight by knowledge; where several genomes share a knowledge, of the first."""
        weights: dict[Knowledge, float] = {}
        for genome in self.genomes:
            weights.setdefault(genome.knowledge, genome.weight)
        return weights

    @property
    def needs_responses(self) -> bool:
        """Whether an active genome reads the heads."""
        return any(genome.needs_responses for genome in self.active)

    @property
    def trained_words(self) -> tuple[str, ...]:
        """The words of active genomes whose modules train beside the student (see losses.trained)."""
        return tuple(sorted({genome.trained_word for genome in self.active} - {""}))

    @property
    def crosses(self) -> bool:
        """Whether an active genome compares what the teacher's head makes of the student's head features."""
        return any(genome.crosses for genome in self.active)

    def with_weights(self, weights: Iterable[float]) -> Recipe:
        """The same losses with other weights, in the order of `genomes`."""
        pairs = zip(self.genomes, weights, strict=True)
        return Recipe(tuple(genome.with_weight(weight) for genome, weight in pairs), self.semantics)

    @property
    def digest(self) -> str:
        """sha256 of the canonical form: equal for recipes that train alike."""
        lines = [str(canonical(genome, self.semantics)) for genome in self.active]
        return sha256("\n".join([f"semantics {self.semantics}", *lines]))

    def __str__(self) -> str:
        return "\n".join(map(str, self.genomes)) or "no distillation"

    @classmethod
    def parse(cls, text: str, semantics: str = "paper") -> Recipe:
        """Read one genome per line, or several separated by `;`; empty lines, `# comments` and the line "no distillation" carry nothing."""
        lines = (part.strip() for line in text.splitlines() for part in line.partition("#")[0].split(";"))
        return cls(tuple(Genome.parse(line) for line in lines if line and line != "no distillation"), semantics)

    def to_json(self) -> dict[str, Any]:
        """A JSON object with the schema version."""
        return {"schema": SCHEMA, "semantics": self.semantics, "genomes": [genome.to_json() for genome in self.genomes]}

    def dumps(self) -> str:
        """The JSON text of `to_json`, the same bytes every time."""
        return json.dumps(self.to_json(), indent=1) + "\n"

    @classmethod
    def from_json(cls, data: Any) -> Recipe:
        """Read what `to_json` wrote.

        Raises:
            GenomeError: wrong schema, keys or words.
        """
        if not isinstance(data, dict) or data.get("schema") != SCHEMA or not isinstance(data.get("genomes"), list):
            raise GenomeError(f"a recipe in JSON is an object with schema {SCHEMA!r} and genomes, got {str(data)[:80]}.")
        return cls(tuple(Genome.from_json(item) for item in data["genomes"]), str(data.get("semantics")))


def _compared(genome: Genome) -> tuple[str, str]:
    """What a genome compares: a knowledge, or a map of its attention or a relation in it."""
    beside = genome.knowledge.is_feature and genome.word("attention").beside
    return str(genome.knowledge), genome.slots["attention"] if beside else ""
