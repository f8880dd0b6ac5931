"""The content of a report as plain data, filled by the stage. The report itself imports neither search nor detectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from detkds.evaluation.result import Analysis
from detkds.genome import Recipe
from detkds.reading import integer, number, text
from detkds.report.curve import LossCurve
from detkds.report.leaderboard import Leaderboard
from detkds.report.study import RANDOM, ReportedStudy


@dataclass(frozen=True)
class StageCost:
    """What one stage took: wall-clock seconds and training steps of students, None where it does not apply."""

    stage: str
    seconds: float | None
    student_steps: int | None = None

    @classmethod
    def read(cls, data: Any) -> StageCost:
        """From results.json."""
        steps = data["student_steps"]
        seconds = data["seconds"]
        return cls(text(data["stage"]), None if seconds is None else number(seconds), None if steps is None else integer(steps))


@dataclass(frozen=True)
class Fidelity:
    """One candidate trained twice: its search-val AP in [0, 1] after the proxy's short training, and after a longer one (Figure 5)."""

    candidate: str
    proxy: float
    longer: float

    @classmethod
    def read(cls, data: Any) -> Fidelity:
        """From results.json."""
        return cls(text(data["candidate"]), number(data["proxy"]), number(data["longer"]))


@dataclass(frozen=True)
class ReportData:
    """One run, as the report shows it. Every part but the name may be missing.

    Args:
        run: the run's name.
        evaluation: of the detectors on the test images.
        studies: in the order of the search; a random search of a knowledge may stand beside its evolution.
        recipe: the losses the student was trained with; None where the run has not come so far.
        fidelity: candidates that were trained shortly and longer.
        costs: in the order of the stages.
        provenance: heading to key to value: configuration, seeds, digests, package versions, machine.
        leaderboard: of the final race of the search; None where none was run.
        curves: of the final trainings, named by role.
    """

    run: str
    evaluation: Analysis | None = None
    studies: tuple[ReportedStudy, ...] = ()
    recipe: Recipe | None = None
    fidelity: tuple[Fidelity, ...] = ()
    costs: tuple[StageCost, ...] = ()
    provenance: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    leaderboard: Leaderboard | None = None
    curves: tuple[LossCurve, ...] = ()

    @property
    def searches(self) -> tuple[ReportedStudy, ...]:
        """The studies without the random ones that only stand for comparison beside another of the same name."""
        others = {study.name for study in self.studies if study.algorithm != RANDOM}
        return tuple(study for study in self.studies if study.algorithm != RANDOM or study.name not in others)

    def plain(self) -> bool:
        """Whether the recipe is no distillation, so that the distilled student is trained as the one without is."""
        return self.recipe is not None and not self.recipe.active

    def rival(self, study: ReportedStudy) -> ReportedStudy | None:
        """The random search beside a study."""
        return next(
            (other for other in self.studies if other.name == study.name and other.algorithm == RANDOM and other is not study), None
        )
