"""Analysis: everything that an evaluation says about detectors on one set of images, the content of evaluation.json.

The names are those of the JSON (schema detkds.evaluation/2). AP and related figures are in [0, 1], nan (in JSON null) where there is no
ground truth. Every value is checked when it is read, because a report may be made of files from anybody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from detkds.evaluation.example import Example
from detkds.evaluation.scores import Cost, Detector, Scores
from detkds.reading import as_json, integer, mapping, number, sequence, text

SCHEMA = "detkds.evaluation/2"


class Role(StrEnum):
    """Names of detectors that mean something; an evaluation may hold others."""

    TEACHER = "teacher"
    STUDENT = "student"
    DISTILLED = "distilled"


@dataclass(frozen=True)
class Comparison:
    """A paired test of two detectors on the same images: figure of `a` minus that of `b`, its interval, and the two-sided p."""

    a: str
    b: str
    kind: str
    figure: str
    difference: float
    low: float
    high: float
    level: float
    p: float
    samples: int

    @classmethod
    def read(cls, data: Any) -> Comparison:
        """From JSON."""
        a, b, kind, figure = (text(data[name]) for name in ("a", "b", "kind", "figure"))
        difference, low, high, level, p = (number(data[name]) for name in ("difference", "low", "high", "level", "p"))
        return cls(a, b, kind, figure, difference, low, high, level, p, integer(data["samples"]))

    @property
    def reversed(self) -> Comparison:
        """The same test of b against a."""
        return replace(self, a=self.b, b=self.a, difference=-self.difference, low=-self.high, high=-self.low)

    @property
    def known(self) -> bool:
        """True where the interval is one."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def classes_distinguished(self) -> bool:
        """True where the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Analysis:
    """What was measured of detectors on the same images.

    Args:
        images: how many images were evaluated.
        detectors: name to what it is and reaches; as read from JSON, in the order of Role with others after them.
        comparisons: paired tests on the same images.
        examples: images where the first compared pair of detectors differs most, the largest difference first.
        classes: names in the order of the categories (by id).
    """

    images: int
    detectors: Mapping[str, Detector]
    comparisons: tuple[Comparison, ...] = ()
    examples: tuple[Example, ...] = ()
    classes: tuple[str, ...] = ()

    @classmethod
    def read(cls, data: Any) -> Analysis:
        """From the JSON object.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it has another form; the reader names the file.
        """
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {SCHEMA!r} is expected, got {str(data['schema'])[:40]!r}")
        found = {text(name): Detector.read(value) for name, value in mapping(data["detectors"]).items()}
        order = [*(role for role in Role if role in found), *(name for name in found if name not in set(Role))]
        return cls(
            integer(data["images"]),
            {str(name): found[name] for name in order},
            tuple(map(Comparison.read, sequence(data.get("comparisons", [])))),
            tuple(map(Example.read, sequence(data.get("examples", [])))),
            tuple(map(text, sequence(data.get("classes", [])))),  # absent in older files
        )

    def described(self, name: str, description: str, cost: Cost | None = None) -> Analysis:
        """A copy with the description and the cost of a detector."""
        detector = replace(self.detectors[name], description=description, cost=cost)
        return replace(self, detectors={**self.detectors, name: detector})

    def with_pictures(self, pictures: Mapping[str, bytes]) -> Analysis:
        """The same with the pictures of its examples, by file name."""
        return replace(self, examples=tuple(replace(example, picture=pictures.get(example.file)) for example in self.examples))

    def to_json(self) -> dict[str, Any]:
        """The JSON object without the pictures; nan is null."""
        return {"schema": SCHEMA, **as_json(self)}

    @property
    def kinds(self) -> tuple[str, ...]:
        """bbox and segm as far as some detector has scores of that kind."""
        return tuple(kind for kind in ("bbox", "segm") if any(kind in detector.kinds for detector in self.detectors.values()))

    def scores(self, name: str, kind: str = "bbox") -> Scores | None:
        """The scores of a detector; None where it was not evaluated."""
        detector = self.detectors.get(name)
        return detector.kinds.get(kind) if detector else None

    def all_scores(self, kind: str) -> dict[str, Scores]:
        """Name to scores of one kind, in order."""
        return {name: detector.kinds[kind] for name, detector in self.detectors.items() if kind in detector.kinds}

    @property
    def tests(self) -> tuple[Comparison, ...]:
        """The comparisons, turned so that the distilled student is compared with the others."""
        return tuple(test.reversed if test.b == Role.DISTILLED else test for test in self.comparisons)

    def comparison(self, a: str, b: str, kind: str = "bbox", figure: str = "AP") -> Comparison | None:
        """The test of a against b, also where b was tested against a."""
        tests = [test for pair in self.comparisons for test in (pair, pair.reversed) if test.known]
        return next((test for test in tests if (test.a, test.b, test.kind, test.figure) == (a, b, kind, figure)), None)
