"""The proxy objective: a candidate recipe, trained on search-train and scored on search-val."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from torch import nn

from detkds.detectors.average_teacher import AverageTeacher
from detkds.detectors.calibration import unit
from detkds.detectors.candidate import Candidate
from detkds.detectors.device import COPIES, resolve, room
from detkds.detectors.diagnosis import Diagnosis
from detkds.detectors.effects import Effects
from detkds.detectors.loss_validation import LossValidation
from detkds.detectors.probe import Probe
from detkds.detectors.proxy_task import ProxyTask
from detkds.detectors.side_by_side import side_by_side
from detkds.detectors.teacher_pass import KEPT_BYTES, TeacherPass
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.kept import Kept
from detkds.detectors.training.loop import TrainSettings
from detkds.detectors.training.train import Start, start_student, unlabelled_samples
from detkds.detectors.validation import Validation
from detkds.errors import ConfigError, DatasetError
from detkds.genome import Genome, Knowledge, Recipe
from detkds.objective import Answer, Goal, Job, Outcome, outcome
from detkds.unlabelled import Unlabelled


class ProxyObjective:
    """Measures recipes for one teacher-student pair on one subset. Build it once a study.

    All candidates share the student's first weights, the order of the images, their augmentations and the random draws of each step
    (common random numbers), so differences between scores are due to the recipes.

    Args:
        config: the student's, adapted to the data set.
        teacher: with its weights; frozen in place.
        train: search-train.
        val: search-val, with at least one box.
        settings: epochs and seed of the proxy; a candidate is trained in one go, without checkpoints.
        start: the student's first weights.
        digests: what else a trial is made of, by name: sha256 of subset, teacher and student config, and what else tells it from
            others, for the trial's identity.
        early_stop: stop a validation that can no longer reach the goal's floor.
        score: what candidates are scored by, a key of `objective.SCORES`.
        loss_filter: try a candidate's losses on a probe batch before it is trained, and look again when it has trained a little, see
            `calibration`; off for the ablation of Table 12.
        unlabelled: images without labels that candidates are trained on beside search-train, and how.
        note: called with what a person should know of how candidates are trained, a line each.

    Raises:
        DatasetError: a subset cannot be used.
        ConfigError, ArtifactError: student or teacher cannot be used.
    """

    def __init__(
        self,
        config: Config,
        teacher: nn.Module,
        train: Source,
        val: Source,
        settings: TrainSettings,
        *,
        start: Start | None = None,
        digests: Mapping[str, str] | None = None,
        early_stop: bool = True,
        score: str = "ap",
        loss_filter: bool = True,
        unlabelled: tuple[Source, Unlabelled] | None = None,
        note: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.note, self.config, self.loss_filter = note, config, loss_filter
        samples = Samples(config, train, training=True, seed=settings.seed)
        beside = unlabelled_samples(config, settings, unlabelled) if unlabelled else None
        device = resolve(settings.device)
        teacher = teacher.to(device).eval()
        # A GPU is not asked whether a batch is the one of before (it would make it wait), so nothing is kept there for later candidates.
        self._pass = TeacherPass(KEPT_BYTES) if device.type == "cpu" else None
        student, self.inherited = start_student(config, start or Start(), seed=settings.seed, teacher=teacher)
        scoring = LossValidation if score == "loss" else Validation
        self._validation = scoring(config, val, student, settings, early_stop=early_stop)
        self.task = ProxyTask(config, settings, samples, beside, student, teacher)
        self.probe = Probe(self.task, note)
        self._effects = Effects(lambda: self.probe.views, unlabelled=beside is not None)
        self.identity: dict[str, Any] = {**(digests or {}), "proxy": settings.identity, "inherit": self.inherited is not None}
        self.identity |= {} if loss_filter else {"loss_filter": False}
        self.identity |= {} if score == "ap" else {"score": score}
        self.identity |= {"unlabelled": beside.identity} if beside else {}

    @property
    def kept(self) -> Kept:
        """What of search-train is trained on."""
        return self.task.samples.kept

    def unsupported(self, knowledge: Knowledge) -> str | None:
        """Why this pair cannot share a knowledge; None where it can."""
        return self.probe.supported[knowledge]

    def identify(self, recipe: Recipe) -> str:
        """The trial's id: sha256 over what each of the recipe's losses does and over `identity`.

        What a loss does is its value and its gradient to the student on the probe batch, rounded, so that candidates equal in effect are
        trained once: those of one canonical form, and those whose equality no rule has found.
        """
        effects = self._effects.of(recipe)
        return hashlib.sha256(json.dumps([effects, self.identity], sort_keys=True).encode()).hexdigest()

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        """Train and score one candidate; the same recipe and goal give the same score.

        Raises:
            Rejected: the recipe cannot work: the loss filter's kinds, out-of-memory, or raised (any exception of a candidate's losses).
        """
        return outcome(self.together([(recipe, goal)])[0])

    def together(self, jobs: Sequence[Job]) -> list[Answer]:
        """Train candidates side by side and score each: they share the batches and the teacher's pass, and each answer is what its
        candidate gets alone, bit for bit on the CPU.

        More candidates than memory holds (see `room`) are trained one part after the other.
        """
        copies = COPIES + isinstance(self.task.teacher, AverageTeacher)  # each candidate has a teacher of its own then
        size = max(1, min(len(jobs), room(self.task.student, self.task.device, copies=copies)))
        if size < len(jobs):
            self.note(f"trains {size} instead of {len(jobs)} candidates side by side: memory has no room for the students of more")
        parts = [jobs[start : start + size] for start in range(0, len(jobs), size)]
        return [answer for part in parts for answer in side_by_side(part, self._candidate, self._pass, self.note)]

    def _candidate(self, recipe: Recipe, goal: Goal, shared: TeacherPass) -> Candidate:
        return Candidate(recipe, goal, self.task, self.probe, self._validation, shared, loss_filter=self.loss_filter)

    def unit(self, genome: Genome, semantics: str) -> float:
        """What a weight of 1 has to multiply this loss by, so that its gradient to the student's first weights is as long as the detection
        loss's own, in the mean of the first batches with boxes; see `calibration.unit`."""
        try:
            return unit(self.diagnose(Recipe((genome.with_weight(1).with_unit(1),), semantics)))
        except (ConfigError, DatasetError):  # the pair does not offer what the loss reads: it will be rejected with the reason
            return 1.0

    def diagnose(self, recipe: Recipe, *, after: int = 0) -> Diagnosis:
        """What the recipe's losses do to the student in the first batches with boxes, see Probe."""
        return self.probe.diagnose(recipe, after=after)
