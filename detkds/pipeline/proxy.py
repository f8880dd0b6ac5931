"""The proxy objective of a study, built from a stage's plain values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from detkds import plugins
from detkds.detectors.diagnosis import Diagnosis
from detkds.detectors.loss_validation import remark
from detkds.detectors.normalization import shown_scale
from detkds.detectors.objective import ProxyObjective
from detkds.detectors.training.batches import Source
from detkds.detectors.training.kept import Kept
from detkds.errors import ArtifactError, ConfigError, Rejected
from detkds.genome import Genome, Knowledge, Recipe
from detkds.objective import Answer, Goal, Job, Outcome, outcome
from detkds.pipeline import pair as pairs
from detkds.pipeline.progress import say
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.subset import part
from detkds.pipeline.train import classes_of, unlabelled_source
from detkds.pipeline.workplace import Workplace, digest, local
from detkds.search.repeated import Repeated
from detkds.storage.artifacts import verify, write_atomic
from detkds.storage.manifest import file_sha256

OUTCOME = "outcome.json"


class Proxy:
    """Trains a candidate on search-train and scores it on search-val. One measurement of no distillation serves all studies of a run.

    Args:
        pair: teacher and student.
        schedule: of a candidate's training; its seed is that of the first.
        subset: artifact of the subset stage.
        early_stop: stop a validation whose outcome is settled.
        score: what candidates are scored by, see ProxyObjective.
        repeats: trainings of a candidate that keeps up with the best, see Repeated.
        loss_filter: see ProxyObjective.
        work: see Workplace.
    """

    def __init__(
        self,
        pair: Pair,
        schedule: Schedule,
        subset: Path,
        *,
        early_stop: bool,
        score: str = "ap",
        repeats: int = 1,
        loss_filter: bool = True,
        work: str = "",
    ) -> None:
        self._work, self._early_stop = work, early_stop
        train, val = (part(subset, name) for name in ("search_train", "search_val"))
        source = Source(train.annotations, train.images)
        classes = pairs.classes_of_pair(pair, classes_of(source))
        config, start = pairs.student(pair, classes)
        teacher = pairs.teachers(pair, classes)
        digests = (
            {
                "subset": verify(subset).digest,
                "teacher": _teacher_digest(pair),
                "student": digest([config.to_dict(), pair.student_checkpoint and file_sha256(local(pair.student_checkpoint))]),
            }
            | ({} if pairs.detects(pair.teacher_config) else {"backbone": digest(pairs.backbone(pair.teacher_config))})
            | ({"others": digest(others)} if (others := pairs.identity(pair.teacher_config)) else {})
            | ({} if (scale := shown_scale(teacher.data_preprocessor)) == 1 else {"scale": f"{scale:g}"})
            | ({"repeats": str(repeats)} if repeats > 1 else {})
            | plugins.identity()
        )
        unlabelled = unlabelled_source(schedule, subset, "search_unlabelled")
        places = source, Source(val.annotations, val.images)
        told: dict[str, Any] = {"start": start, "digests": digests, "unlabelled": unlabelled, "note": partial(say, "search")}
        build = partial(ProxyObjective, config, teacher, *places, **told)
        seeds = range(schedule.seed, schedule.seed + repeats)
        settings = [pairs.settings(replace(schedule, seed=seed), config) for seed in seeds]
        self._settings = settings[0]
        objectives = [build(settings=one, early_stop=early_stop, score=score, loss_filter=loss_filter) for one in settings]
        self._objective = objectives[0]
        self._repeated = Repeated(objectives)

    @property
    def identity(self) -> dict[str, Any]:
        """What makes a trial this trial, beside the recipe."""
        return self._objective.identity

    @property
    def of_loss(self) -> str:
        """What a person should know who scores this student by its loss; empty where that is nothing."""
        return remark(self._objective.config)

    @property
    def kept(self) -> Kept:
        """What of search-train a candidate is trained on."""
        return self._objective.kept

    def unsupported(self, knowledge: Knowledge) -> str | None:
        """Why this pair cannot share a knowledge; None where it can."""
        return self._objective.unsupported(knowledge)

    def identify(self, recipe: Recipe) -> str:
        """The trial's id."""
        return self._objective.identify(recipe)

    def unit(self, genome: Genome, semantics: str) -> float:
        """What a weight of 1 multiplies a loss by where weights are calibrated, see ProxyObjective."""
        return self._objective.unit(genome, semantics)

    def diagnose(self, recipe: Recipe, after: int) -> Diagnosis:
        """What the recipe's losses do to the student after so many epochs without distillation, see ProxyObjective."""
        return self._objective.diagnose(recipe, after=after)

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        """Train and score one candidate.

        Raises:
            Rejected: the recipe cannot work.
        """
        return outcome(self.together([(recipe, goal)])[0])

    def together(self, jobs: Sequence[Job]) -> list[Answer]:
        """Train candidates side by side and score each, see ProxyObjective.

        Candidate 0, no distillation, is measured alike in every study of a run: once a place of work, unless several begin in the same
        moment.
        """
        answers: dict[int, Answer] = {}
        for place, (recipe, _) in enumerate(jobs):
            if not recipe.active and (known := self._place.fetch(OUTCOME, check=_read)).exists():
                answers[place] = _read(known)
        left = [place for place in range(len(jobs)) if place not in answers]
        measured = self._repeated.together([self._asked(*jobs[place]) for place in left])
        for place, answer in zip(left, measured, strict=True):
            answers[place] = answer if jobs[place][0].active else self._without_distillation(answer)
        return [answers[place] for place in range(len(jobs))]

    def _asked(self, recipe: Recipe, goal: Goal) -> Job:
        if not recipe.active:
            return recipe, Goal()
        return recipe, goal if self._early_stop else Goal(rungs=goal.rungs)

    @property
    def _place(self) -> Workplace:
        return Workplace("candidate-zero", {"identity": self.identity}, self._work)

    def _without_distillation(self, answer: Answer) -> Answer:
        """Candidate 0's measurement, kept for the other studies."""
        if isinstance(answer, Rejected):
            reason = pairs.remedy(answer, self._settings, self._objective.config)
            return ConfigError(f"the student cannot be trained even without distillation: {reason}.")
        if isinstance(answer, Outcome):
            stored = {"score": answer.score, "student_steps": answer.student_steps, "details": dict(answer.details)}
            place = self._place
            write_atomic(place.folder / OUTCOME, json.dumps({**stored, "sha256": digest(stored)}) + "\n")
            place.put(OUTCOME)
        return answer


def _teacher_digest(pair: Pair) -> str:
    """Of a teacher's checkpoint; a moving average of the student has none, and its momentum is all that tells it from others."""
    if pairs.is_average(pair.teacher_config):
        return f"average {pairs.momentum(pair.teacher_config)}"
    return file_sha256(local(pair.teacher_checkpoint))


def _read(path: Path) -> Outcome:
    try:
        stored = json.loads(path.read_bytes())
        if stored.pop("sha256") == digest(stored):
            return Outcome(**stored)
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    raise ArtifactError(f"{path} was altered: it has not the content of the sha256 it carries; delete it, it is measured again.")
