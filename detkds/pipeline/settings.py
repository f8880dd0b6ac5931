"""The plain values that stages take, grouped; an empty text or 0 means "not given", because a pipeline parameter has no null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from detkds.genome.presets import KNOWN_DISTILLERS
from detkds.unlabelled import Unlabelled

COHORT = 8
"""Candidates that a device trains side by side unless a run says otherwise."""


@dataclass(frozen=True, slots=True)
class Source:
    """A COCO-format data set: `root` is a folder or an s3:// address, the rest is relative to it; `unlabelled`, a folder of images without
    labels, may be an address of its own."""

    root: str
    train_annotations: str
    train_images: str
    test_annotations: str
    test_images: str
    unlabelled: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Teacher and student: configs by mmdet name or address of a data file, checkpoints by address."""

    teacher_config: str
    teacher_checkpoint: str
    student_config: str
    student_checkpoint: str = ""
    inherit: bool = True


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """Budget and reading of Alg. 1 for one knowledge; `warm_start` lists presets, `NAME` or `NAME x FACTOR`, comma-separated; `weights_are`
    is what weights mean, see `search.calibrated`; `cohort` is how many candidates a device trains side by side, which changes no result;
    with `rungs` candidates that are clearly behind leave their training, see `search.rungs`; with `unlabelled_search` it is part of a
    genome whether its loss is taken of images without labels too; `iterations_at_once` is as of `search.settings.SearchSettings`; `score`
    is what candidates are scored by, a key of `objective.SCORES`."""

    semantics: str
    space: str
    algorithm: str
    population: int
    iterations: int
    sample_ratio: float
    top_k: int
    warm_start: str = ""
    early_stop: bool = True
    repeats: int = 1
    cohort: int = COHORT
    weights_are: str = "paper"
    rungs: bool = False
    unlabelled_search: bool = False
    iterations_at_once: int = 1
    score: str = "ap"

    @property
    def identity(self) -> dict[str, Any]:
        """What of it defines the study."""
        return _identity(self)


@dataclass(frozen=True, slots=True)
class WeightsPlan:
    """Budget of Alg. 1, lines 13-18; `cohort`, `rungs`, `iterations_at_once` and `score` as in SearchPlan."""

    population: int
    iterations: int
    space: str = "paper"
    early_stop: bool = True
    repeats: int = 1
    cohort: int = COHORT
    rungs: bool = False
    iterations_at_once: int = 1
    score: str = "ap"

    @property
    def identity(self) -> dict[str, Any]:
        """What of it defines the study."""
        return _identity(self)


def _identity(plan: SearchPlan | WeightsPlan) -> dict[str, Any]:
    """Without the size of a cohort; no word of what is off in earlier searches, so that they stay what they are."""
    later = {"rungs": False, "unlabelled_search": False, "iterations_at_once": 1, "score": "ap"}
    return {name: value for name, value in asdict(plan).items() if name != "cohort" and (name not in later or value != later[name])}


@dataclass(frozen=True, slots=True)
class RacePlan:
    """The final race, see `detkds.search.race`: how many of the search's candidates run (0: there is no race, and the highest score of the
    search wins, as in the paper), with how many seeds, for how many epochs (0: twice a candidate's), beside the best of which known
    distillers (presets, `NAME` or `NAME x FACTOR`, comma-separated)."""

    candidates: int = 4
    seeds: int = 3
    epochs: int = 0
    known: str = ",".join(KNOWN_DISTILLERS)


PRECISIONS = ("bf16", "fp16")
"""Of mixed precision, in which one says it; without one it is the student's config that says in which."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how a student is trained; batch_size and learning_rate 0 are those of its config; `unlabelled` says how images without
    labels are used, where there are some. The others are as of `detectors.training.loop.TrainSettings`."""

    epochs: int
    batch_size: int = 0
    learning_rate: float = 0.0
    amp: bool | str = False
    seed: int = 0
    unlabelled: Unlabelled | None = None
    channels_last: bool = False
    compiled: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values; of what is not used no word, so that what is made of these values stays the same."""
        unused = {"unlabelled": None, "channels_last": False, "compiled": False}
        return {name: value for name, value in asdict(self).items() if name not in unused or value != unused[name]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Schedule:
        """Read what `to_json` gave.

        Raises:
            TypeError, ConfigError: it is something else.
        """
        beside = values.get("unlabelled")
        return cls(**{**values, "unlabelled": None if beside is None else Unlabelled(**beside)})


@dataclass(frozen=True, slots=True)
class Result:
    """What a stage shows in the UI in addition to its artifact: metadata of the artifact, flat metrics, Markdown, an HTML page.

    KFP's launcher fails on a number that JSON does not know: metrics that are not finite are left out, and in metadata they are texts.
    """

    metadata: Mapping[str, Any]
    metrics: Mapping[str, float] = field(default_factory=dict)
    markdown: str = ""
    page: str = ""

    def __post_init__(self) -> None:
        finite = {name: value for name, value in self.metrics.items() if math.isfinite(value)}
        object.__setattr__(self, "metrics", finite)
        object.__setattr__(self, "metadata", {name: _known_to_json(value) for name, value in self.metadata.items()})


def _known_to_json(value: Any) -> Any:
    """The value with each number that is not finite as a text, also inside lists and mappings."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _known_to_json(inner) for name, inner in value.items()}
    return [_known_to_json(inner) for inner in value] if isinstance(value, list | tuple) else value
