"""The proxy objective: a candidate recipe, trained on search-train and scored on search-val."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Any

from mmengine.config import Config
from torch import Tensor, nn

from detkds.detectors.average_teacher import AverageTeacher
from detkds.detectors.calibration import look_step, reject_exploded, reject_idle, unit
from detkds.detectors.device import COPIES, resolve, room
from detkds.detectors.diagnosis import Diagnosis, diagnose
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.ensemble import Ensemble
from detkds.detectors.predict import Detection, detections, predict
from detkds.detectors.rungs import Climb, Left
from detkds.detectors.sharing import supported
from detkds.detectors.teacher_pass import KEPT_BYTES, TeacherPass
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.course import supply
from detkds.detectors.training.kept import Kept
from detkds.detectors.training.loop import Training, TrainSettings, memory_limit
from detkds.detectors.training.masks import measured_kind, require
from detkds.detectors.training.randomness import Purpose, derived_seed, preserved, seed_all
from detkds.detectors.training.runtime import announced, runtime
from detkds.detectors.training.sizes import ITERATION
from detkds.detectors.training.train import Start, start_student, unlabelled_samples
from detkds.errors import ConfigError, DatasetError, DetKDSError, Rejected
from detkds.evaluation.coco import bounds, evaluate
from detkds.genome import SLOTS, Genome, Knowledge, Recipe, canonical
from detkds.genome.genome import ON_LABELLED
from detkds.losses.filter import Signature, reject_on_probe, signature
from detkds.losses.needs import missing
from detkds.losses.views import Views
from detkds.objective import Answer, Goal, Job, Outcome, outcome
from detkds.unlabelled import Unlabelled

TRIED = 4
"""Batches on which losses are looked at, at most."""
CHECKS = 8
"""How often, at most, a validation asks whether it can stop; each time costs an evaluation."""


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
        loss_filter: bool = True,
        unlabelled: tuple[Source, Unlabelled] | None = None,
        note: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.note = note
        self.config, self.settings, self.early_stop, self.loss_filter = config, settings, early_stop, loss_filter
        self._samples = Samples(config, train, training=True, seed=settings.seed)
        self._unlabelled = unlabelled_samples(config, settings, unlabelled) if unlabelled else None
        self._val = Samples(config, val, training=False)
        if not any(not annotation["iscrowd"] for annotation in self._val.truth["annotations"]):
            raise DatasetError(f"{val.annotations} must hold at least one box to score candidates on, but holds none.")
        device = resolve(settings.device)
        self._teacher: Any = teacher.to(device).eval()
        # A GPU is not asked whether a batch is the one of before (it would make it wait), so nothing is kept there for later candidates.
        self._pass = TeacherPass(KEPT_BYTES) if device.type == "cpu" else None
        self._student, self.inherited = start_student(config, start or Start(), seed=settings.seed, teacher=teacher)
        self._kind = measured_kind(self._student)
        if self._kind == "segm":
            require(self._val.truth, val.annotations)
        self._supported = supported(self._student, self._teacher)
        self._signatures: dict[Recipe, Signature | None] = {}
        self._students: dict[int, nn.Module] = {0: self._student}
        self.identity: dict[str, Any] = {**(digests or {}), "proxy": settings.identity, "inherit": self.inherited is not None}
        self.identity |= {} if loss_filter else {"loss_filter": False}
        self.identity |= {"unlabelled": self._unlabelled.identity} if self._unlabelled else {}

    @property
    def kept(self) -> Kept:
        """What of search-train is trained on."""
        return self._samples.kept

    def unsupported(self, knowledge: Knowledge) -> str | None:
        """Why this pair cannot share a knowledge; None where it can."""
        return self._supported[knowledge]

    def identify(self, recipe: Recipe) -> str:
        """The trial's id: sha256 over what each of the recipe's losses does and over `identity`.

        What a loss does is its value and its gradient to the student on the probe batch, rounded, so that candidates equal in effect are
        trained once: those of one canonical form, and those whose equality no rule has found.
        """
        effects = [self._effect(genome, recipe.semantics) for genome in recipe.active]
        return hashlib.sha256(json.dumps([effects, self.identity], sort_keys=True).encode()).hexdigest()

    def _effect(self, genome: Genome, semantics: str) -> list[Any] | str:
        if genome.labelled and self._unlabelled:  # the probe batch has labels, so it shows nothing of that
            return [self._effect(genome.with_labelled(False), semantics), ON_LABELLED]
        form = Recipe((genome.with_weight(1.0).with_unit(1.0),), semantics)
        if form not in self._signatures:
            self._signatures[form] = self._sign(form)
        found = self._signatures[form]
        if found is None:
            return f"{semantics} {canonical(genome, semantics)}"
        length, loss = genome.factor * found.size, genome.factor * found.size * found.loss
        # Equal effects differ by rounding, and different losses by far more than these steps; the direction has length 1.
        return [float(f"{length:.3g}"), float(f"{loss:.3g}"), *(round(entry, 3) + 0.0 for entry in found.direction)]

    def _sign(self, form: Recipe) -> Signature | None:
        """The form's signature; None where there is nothing to compare. The loss filter, which comes next, says why."""
        views = self._views
        try:
            found = signature(form, views)
        except Exception:  # a loss that raises is a rejected candidate, and rejecting is not this method's business
            return None
        usable = found.size > 0 and all(map(math.isfinite, (found.size, found.loss, *found.direction)))
        return found if usable else None

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        """Train and score one candidate; the same recipe and goal give the same score.

        Raises:
            Rejected: the recipe cannot work: the loss filter's kinds, out-of-memory, or raised (any exception of a candidate's losses).
        """
        return outcome(self.together([(recipe, goal)])[0])

    def together(self, jobs: Sequence[Job]) -> list[Answer]:
        """Train candidates side by side and score each: they share the batches and the teacher's pass, and each answer is what its
        candidate gets alone, bit for bit on the CPU.

        More candidates than memory holds (see `room`) are trained one part after the other. One that runs out of memory beside others
        is trained again alone, so that its neighbours decide nothing.
        """
        copies = COPIES + isinstance(self._teacher, AverageTeacher)  # each candidate has a teacher of its own then
        size = max(1, min(len(jobs), room(self._student, resolve(self.settings.device), copies=copies)))
        if size < len(jobs):
            self.note(f"trains {size} instead of {len(jobs)} candidates side by side: memory has no room for the students of more")
        parts = [jobs[start : start + size] for start in range(0, len(jobs), size)]
        return [answer for part in parts for answer in self._side_by_side(part)]

    def _side_by_side(self, jobs: Sequence[Job]) -> list[Answer]:
        began, shared = time.monotonic(), self._pass or TeacherPass()
        answers: dict[int, Answer] = {}
        trainings: dict[int, Training] = {}
        progress: dict[int, _Progress] = {}
        for place, (recipe, goal) in enumerate(jobs):
            with _answering(recipe, answers, place):
                training = self._training(recipe, shared)
                progress[place] = self._followed(training, goal)
                trainings[place] = training
        with preserved():
            faults = supply({place: training.course(progress=progress[place]) for place, training in trainings.items()})
        for place, training in trainings.items():
            recipe, goal = jobs[place]
            with _answering(recipe, answers, place):
                fault = faults.get(place)
                if fault is not None and not isinstance(fault, Left):
                    raise fault
                score = fault.outcome if fault else self._validate(training, goal.floor if self.early_stop else None)
                details = {**score.details, "loss": progress[place].losses["loss"]}
                answers[place] = replace(score, student_steps=training.step, rungs=progress[place].rungs, details=details)
        share = (time.monotonic() - began) / max(len(trainings), 1)
        del trainings, progress, faults, shared
        return [self._settled(job, answers[place], share, alone=len(jobs) == 1) for place, job in enumerate(jobs)]

    def _training(self, recipe: Recipe, shared: TeacherPass) -> Training:
        beside = self._unlabelled
        if recipe.active and self.loss_filter:
            reject_idle(recipe)
            reject_on_probe(recipe, self._views)
        for genome in recipe.active:  # without the filter too: what a pair lacks ends a training, and must not end a search
            if reason := missing(genome, self._views):
                raise Rejected("unsupported", reason)
        try:
            distiller = DistilledDetector(copy.deepcopy(self._student), self._teacher, recipe, beside.use if beside else None, shared)
        except ConfigError as error:
            if isinstance(self._teacher, Ensemble):  # the probe looked at the first teacher, and a word may need what another lacks
                raise Rejected("unsupported", str(error)) from error
            raise
        return Training(distiller, self.config, self._samples, self.settings, unlabelled=beside)

    def _followed(self, training: Training, goal: Goal) -> _Progress:
        steps = self.settings.steps(self._samples)
        again = self._looking_again(training.distiller) if training.distiller.recipe.active and self.loss_filter else None
        return _Progress(again, Climb(goal.rungs, steps, lambda: self._score_now(training)))

    def _score_now(self, training: Training) -> float:
        """AP of a student in the middle of its training, with the weights that it would be kept with; the training does not notice."""
        student = copy.deepcopy(self._student)
        student.load_state_dict(training.kept_weights())
        with preserved():
            found = detections(student, self._val, batch_size=self.settings.batch_size, device=self.settings.device)
        # The sides of a box may overflow while the learning rate is high; such a box hits nothing. At the end it is a fault.
        return float(evaluate(self._val.truth, [detection for detection in found if _finite(detection)], kind=self._kind).figures["AP"])

    def _settled(self, job: Job, answer: Answer, share: float, *, alone: bool) -> Answer:
        """The answer that the candidate gets alone."""
        if isinstance(answer, Outcome):
            return replace(answer, seconds=share)
        if isinstance(answer, Rejected) and answer.kind == "out-of-memory" and not alone:
            self.note(f"memory ran out side by side: `{job[0]}` is trained again alone")
            return self._side_by_side([job])[0]
        return answer

    def _validate(self, training: Training, floor: float | None) -> Outcome:
        student, steps = training.student, training.step
        truth, total = self._val.truth, len(self._val)
        found: list[Detection] = []
        seen: list[int] = []
        due = interval = math.ceil(total / CHECKS)
        for batch in predict(student, self._val, batch_size=self.settings.batch_size, device=self.settings.device):
            if not all(map(_finite, batch.detections)):
                raise Rejected("infinite", "a box of the trained student has no finite side", steps)
            found += batch.detections
            seen += batch.image_ids
            if floor is not None and due <= len(seen) < total:
                due = len(seen) + interval
                highest = bounds(truth, found, seen, kind=self._kind).upper
                if highest < floor:
                    return Outcome(highest, partial=True)
        figures = evaluate(truth, found, kind=self._kind).figures
        return Outcome(figures["AP"], details={name: figures[name] for name in ("AP50", "AP75")})

    def _looking_again(self, distiller: DistilledDetector) -> Callable[[int], None]:
        """The second look of the loss filter, which is called after each step."""
        due = look_step(self.settings.steps(self._samples))
        first = self._look(distiller, self._tried[0])

        def again(step: int) -> None:
            if step == due:
                reject_exploded(distiller.recipe, first, self._look(distiller, self._tried[0], step), step)

        return again

    def unit(self, genome: Genome, semantics: str) -> float:
        """What a weight of 1 has to multiply this loss by, so that its gradient to the student's first weights is as long as the detection
        loss's own, in the mean of the first batches with boxes; see `calibration.unit`."""
        try:
            return unit(self.diagnose(Recipe((genome.with_weight(1).with_unit(1),), semantics)))
        except (ConfigError, DatasetError):  # the pair does not offer what the loss reads: it will be rejected with the reason
            return 1.0

    def diagnose(self, recipe: Recipe, *, after: int = 0) -> Diagnosis:
        """What the recipe's losses do to the student in the first batches with boxes.

        Args:
            recipe: with losses.
            after: epochs that the student has trained without distillation before; 0: its first weights.

        Raises:
            ConfigError: the pair does not offer what the losses read, or the teacher is the student's own moving average.
            DatasetError: search-train holds no box.
        """
        if isinstance(self._teacher, AverageTeacher):
            raise ConfigError(
                "the teacher is the student's moving average, which is the student itself before a training; there is no loss."
            )
        distiller = DistilledDetector(copy.deepcopy(self._grown(after)), self._teacher, recipe).to(resolve(self.settings.device))
        return Diagnosis.mean([self._look(distiller, batch) for batch in self._tried])

    def _look(self, distiller: Any, batch: Mapping[str, Any], step: int = 0) -> Diagnosis:
        """What the losses do to the student on a batch of `_tried`, after so many steps; the same draws each time, and no trace."""
        moment = {**runtime(self.config, step, self.settings.steps(self._samples)), ITERATION: 0}
        with preserved(), announced(moment):
            seed_all(derived_seed(self.settings.seed, Purpose.STEP, 0))
            return diagnose(distiller.train(), distiller.data_preprocessor(batch, True))

    @cached_property
    def _tried(self) -> list[Any]:
        """The first batches with boxes, as they are loaded."""
        self._samples.reset()
        batches = self._samples.training_batches(self.settings.batch_size, TRIED)
        found = list(islice((batch for batch in batches if _has_boxes(batch)), TRIED))
        if not found:
            raise DatasetError("search-train must hold an image with a box that the losses can be tried on, but holds none.")
        return found

    @property
    def _tried_teacher(self) -> nn.Module:
        """The teacher beside which losses are tried. A moving average is the student itself before a training, and every loss would be 0:
        a student that was trained without distillation stands for it."""
        if not isinstance(self._teacher, AverageTeacher):
            return self._teacher  # type: ignore[no-any-return]
        self.note("trains a student without distillation first, beside which losses are tried; a moving average begins as its student")
        return copy.deepcopy(self._grown(self.settings.epochs))

    def _grown(self, epochs: int) -> nn.Module:
        """The student after so many epochs without distillation."""
        if epochs not in self._students:
            distiller = DistilledDetector(copy.deepcopy(self._student), None, Recipe())
            Training(distiller, self.config, self._samples, replace(self.settings, epochs=epochs)).run()
            self._students[epochs] = distiller.student
        return self._students[epochs]

    @cached_property
    def _views(self) -> Views:
        """What the first training batch with boxes offers to every loss that the pair supports; without gradients, to keep nothing else."""
        knowledges = [knowledge for knowledge, reason in self._supported.items() if reason is None]
        recipe = Recipe(tuple(map(_some_loss, knowledges)))
        return self._probe(recipe)

    def _probe(self, recipe: Recipe) -> Views:
        distiller: Any = DistilledDetector(copy.deepcopy(self._student), self._tried_teacher, recipe, every_word=True)
        distiller = distiller.to(resolve(self.settings.device))
        self._samples.reset()
        for batch in self._samples.training_batches(self.settings.batch_size, 1):
            if _has_boxes(batch):
                first = runtime(self.config, 0, self.settings.steps(self._samples))
                with preserved(), announced(first):
                    seed_all(derived_seed(self.settings.seed, Purpose.STEP, 0))
                    return _detached(distiller.views(**distiller.data_preprocessor(batch, True)))
        raise DatasetError("search-train must hold an image with a box that the losses can be tried on, but holds none.")


@contextmanager
def _answering(recipe: Recipe, answers: dict[int, Answer], place: int) -> Iterator[None]:
    """Whatever is raised inside is the candidate's answer."""
    try:
        with memory_limit():
            yield
    except (DetKDSError, OSError) as error:
        answers[place] = error
    except Exception as error:
        # The student alone, candidate 0, went through the same code, so whatever comes up now is the losses' doing, and one
        # bad candidate must not end a search. Without losses it is a fault of the whole set-up.
        answers[place] = _raised(error) if recipe.active else error


def _raised(error: Exception) -> Rejected:
    rejected = Rejected("raised", " ".join(f"{type(error).__name__}: {error}".split())[:300])
    rejected.__cause__ = error
    return rejected


class _Progress:
    """Keeps the losses of a training's last step.

    Args:
        again: also called after each step; may reject the candidate.
        climb: called after it; the candidate may leave.
    """

    def __init__(self, again: Callable[[int], None] | None, climb: Climb) -> None:
        self._again, self._climb = again, climb
        self.losses: dict[str, float] = {}

    @property
    def rungs(self) -> dict[str, float]:
        """Scores at the rungs, by share of the steps."""
        return self._climb.scores

    def __call__(self, step: int, total: int, losses: Mapping[str, float]) -> None:
        self.losses = dict(losses)
        if self._again:
            self._again(step)
        self._climb(step)


def _finite(detection: Detection) -> bool:
    return all(map(math.isfinite, detection["bbox"]))


def _has_boxes(batch: Mapping[str, Any]) -> bool:
    return any(len(sample.gt_instances) for sample in batch["data_samples"])


def _some_loss(knowledge: Knowledge) -> Genome:
    """A loss that has a knowledge's views made."""
    slots = SLOTS[knowledge]
    return Genome(knowledge, tuple("none" for slot in slots if slot != "distance"), slots["distance"][0])


def _detached(views: Views) -> Views:
    response, crossed = views.student_response, views.crossed_response
    return replace(
        views,
        student_levels=tuple(level.detach() for level in views.student_levels),
        student_response=response and response.apply(Tensor.detach),
        crossed_response=crossed and crossed.apply(Tensor.detach),
        generated=views.changed(Tensor.detach),
    )
