"""What is wrong with a COCO data set: a fault is a breach of one rule."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from detkds.data.checking.rules import RULES, TOLERATED

MAX_OF_RULE = 250_000  # faults of a rule that are kept; further ones are only counted


@dataclass(frozen=True, slots=True)
class Fault:
    """One breach of one rule.

    Args:
        file: the annotation file.
        id: id of the image, category or annotation at fault; None where it has no usable id.
        rule: a key of RULES; its first word says what is at fault.
        detail: what was found there, on one line of bounded length.
        place: index in the file's list of images, categories or annotations; None where the fault is in none of them.
    """

    file: str
    id: int | None
    rule: str
    detail: str
    place: int | None = None

    @property
    def tolerated(self) -> bool:
        """Whether a data set with this fault may still be used."""
        return self.rule in TOLERATED

    @property
    def kind(self) -> str:
        """file, folder, image, category or annotation."""
        return self.rule.partition(".")[0]

    @property
    def subject(self) -> str:
        """What is at fault, for a message: `image 17`, `annotation entry 3` where it has no usable id, or `file`."""
        if self.id is not None:
            return f"{self.kind} {self.id}"
        return self.kind if self.place is None else f"{self.kind} entry {self.place}"

    def to_json(self) -> dict[str, Any]:
        """A line of the file of all faults."""
        return {
            "file": self.file,
            "kind": self.kind,
            "id": self.id,
            "entry": self.place,
            "rule": self.rule,
            "stops_a_run": not self.tolerated,
            "found": self.detail,
        }

    def __str__(self) -> str:
        return f"{self.file}: {self.subject}: {self.detail} [{self.rule}]"


@dataclass
class Findings:
    """The faults of one annotation file, in the order found.

    Attributes:
        faults: the first MAX_OF_RULE of each rule.
        counts: how many there are of each rule, all of them.
    """

    file: str
    faults: list[Fault] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, rule: str, detail: str, id: int | None = None, place: int | None = None) -> None:
        """Note a breach of `rule`, a key of RULES."""
        if rule not in RULES:
            raise KeyError(rule)
        self.counts[rule] += 1
        if self.counts[rule] <= MAX_OF_RULE:
            self.faults.append(Fault(self.file, id, rule, detail, place))

    @property
    def sound(self) -> bool:
        """Whether a run may use the data set: all faults are tolerated."""
        return self.counts.keys() <= TOLERATED
