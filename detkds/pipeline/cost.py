"""What a run will take on this machine: a few timed training steps, counted up to minutes, and the disk that it fills."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkds.errors import ConfigError, Rejected
from detkds.genome import Knowledge, Recipe
from detkds.pipeline.race import runners
from detkds.pipeline.run_config import RunConfig
from detkds.pipeline.run_config.search import Search
from detkds.pipeline.settings import RacePlan, SearchPlan, WeightsPlan
from detkds.search.budgets import is_time

if TYPE_CHECKING:
    from detkds.pipeline.preflight import Facts

STEPS, LIMIT_S = 4, 30.0
"""Training steps that are timed, the first of them not counted where there are others, and when to stop after the first."""
SPARE_BYTES = 200e6
"""Journals, pages, tables and the like."""


@dataclass(frozen=True)
class Pace:
    """Seconds of a step and of looking at an image, and what they come to.

    Args:
        device: where it was measured.
        student_s, distilled_s: a training step without and with the teacher.
        image_s: a test image through the student.
        search_min, train_min: at most, of the whole search and of the two trainings with their evaluation.
        disk_gb: what the run writes below its home.
        candidate_s: training and scoring of a candidate.
    """

    device: str
    student_s: float
    distilled_s: float
    image_s: float
    search_min: float
    train_min: float
    disk_gb: float
    candidate_s: float

    def __str__(self) -> str:
        """For people, in one line."""
        steps = f"{self.student_s:.2g} s a training step, {self.distilled_s:.2g} s with the teacher"
        return (
            f"{steps} ({self.device}): search at most {_duration(self.search_min)}, train and evaluate {_duration(self.train_min)}; "
            f"about {self.disk_gb:.1f} GB of disk"
        )


def measure(facts: Facts) -> Pace:
    """Time a few steps of the run's own detectors on its own images.

    Args:
        facts: of a run that may start, with its data on this machine.

    Raises:
        ConfigError: the student cannot be trained, or the time of `search.budget` is too short for the least search.
    """
    from detkds.detectors.device import resolve
    from detkds.detectors.predict import predict
    from detkds.detectors.training.batches import Samples
    from detkds.detectors.training.batches import Source as Images
    from detkds.detectors.training.train import unlabelled_samples
    from detkds.pipeline import pair as pairs

    config, student = facts.config, facts.configs["student"]
    settings = pairs.settings(replace(facts.schedule(), compiled=False), student)  # compiling takes longer than all else here
    root = Path(config.data.root)
    train, test = (Images(root / split.annotations, root / split.images) for split in (config.data.train, config.data.test))
    samples = Samples(student, train, training=True)
    alone = _step_s(facts, Recipe(), samples, settings)
    with facts.unlabelled_source() as unlabelled:
        beside = unlabelled_samples(student, settings, unlabelled) if unlabelled else None
        distilled = _step_s(facts, _some_recipe(facts), samples, settings, beside)
    looks = predict(copy.deepcopy(facts.detectors["student"]), Samples(student, test, training=False))
    next(looks)
    began = time.perf_counter()
    next(looks, None)
    image = time.perf_counter() - began
    work = _Work(len(facts.data["train"]["images"]), settings.batch_size, distilled, image)
    search_s = 0.0 if facts.recipe else work.search_s(planned(config, work.candidate_s(config.search)))
    epochs = config.train.epochs * -(-len(samples) // settings.batch_size)
    trains = (epochs * (alone + distilled) + 3 * image * len(facts.data["test"]["images"])) / 60
    return Pace(str(resolve()), alone, distilled, image, search_s / 60, trains, disk_bytes(facts) / 1e9, work.candidate_s(config.search))


def disk_bytes(facts: Facts) -> float:
    """What a run writes: for each of two students a checkpoint to resume from (weights and two moments), the published model twice over
    (.pth and .safetensors), once more in the store; a trained teacher likewise."""
    sizes: Mapping[str, int] = {
        role: sum(tensor.numel() * tensor.element_size() for tensor in detector.state_dict().values())
        for role, detector in facts.detectors.items()
    }
    trained = [sizes["student"]] * 2 + ([sizes["teacher"]] if facts.config.teacher.train else [])
    return SPARE_BYTES + sum((3 + 2 + 2) * size for size in trained)


def require_room(facts: Facts) -> None:
    """Refuse a run that will not fit on the disk of its home.

    Raises:
        ConfigError: it says how much is free, and how much is needed.
    """
    standing = next(folder for folder in (facts.home, *facts.home.parents) if folder.exists())
    free, needed = shutil.disk_usage(standing).free, disk_bytes(facts)
    if free < needed:
        raise ConfigError(f"--home {facts.home} has {free / 1e9:.1f} GB free, and the run writes about {needed / 1e9:.1f} GB; free some.")


def candidates(config: RunConfig) -> dict[str, int]:
    """Candidates of each study of a run, at most; none where the search has a time and plans them when it begins."""
    from detkds.pipeline.evolve import candidates as of_knowledge
    from detkds.pipeline.weights import candidates as of_weights

    if config.search.budget and is_time(config.search.budget):
        return {}
    search = config.search.planned()
    plan = SearchPlan(
        search.semantics, search.space, search.algorithm, search.population, search.iterations, search.sample_ratio, search.top_k
    )
    weights = WeightsPlan(search.weights.population, search.weights.iterations)
    counted = {f"evolve {knowledge}": of_knowledge(plan) for knowledge in search.knowledge}
    return {**counted, "weights": of_weights(weights, len(search.knowledge))}


def planned(config: RunConfig, candidate_s: float | None) -> RunConfig:
    """The run with the numbers that a budget in time allows; itself where the budget is no time.

    Args:
        candidate_s: how long a candidate takes here; None: not known, and a budget in time stays one.

    Raises:
        ConfigError: the time is too short for the least search.
    """
    if candidate_s is None or not config.search.budget or not is_time(config.search.budget):
        return config
    return config.model_copy(update={"search": config.search.planned(candidate_s)})


@dataclass(frozen=True)
class _Work:
    """What the candidates of a search work on, and how fast: a training step and a scored image in seconds."""

    images: int
    batch_size: int
    step_s: float
    image_s: float

    def candidate_s(self, search: Search, epochs: int = 0) -> float:
        """Seconds of a candidate's training and scoring; 0 epochs: those of the search."""
        steps = -(-round(self.images * search.subset) // self.batch_size)
        return (epochs or search.proxy_epochs) * steps * self.step_s + self.image_s * self.images * search.search_val

    def search_s(self, config: RunConfig) -> float:
        """Seconds of all trainings of the search, at most."""
        search = config.search.planned()
        race = search.final_race
        asked = sum(candidates(config).values()) * search.repeats * self.candidate_s(search)
        if not race.candidates:
            return asked
        longer = self.candidate_s(search, race.epochs or 2 * search.proxy_epochs)
        return asked + len(race.known) * self.candidate_s(search) + race.seeds * runners(RacePlan(race.candidates, race.seeds)) * longer


class _Enough(Exception):
    """Ends a training of which enough was timed."""


def _step_s(facts: Facts, recipe: Recipe, samples: Any, settings: Any, unlabelled: Any = None) -> float:
    """Seconds of a training step, the least of a few; `unlabelled` samples beside the others."""
    from detkds.detectors.distiller import DistilledDetector
    from detkds.detectors.training.loop import Training
    from detkds.pipeline.pair import remedy

    student = copy.deepcopy(facts.detectors["student"])
    distiller = DistilledDetector(student, facts.detectors["teacher"], recipe, unlabelled.use if unlabelled else None)
    training = Training(distiller, facts.configs["student"], samples, settings, unlabelled=unlabelled)
    times = [time.perf_counter()]

    def progress(step: int, steps: int, losses: Mapping[str, float]) -> None:
        times.append(time.perf_counter())
        if len(times) > STEPS or times[-1] - times[0] > LIMIT_S:
            raise _Enough

    try:
        training.run(progress=progress)
    except _Enough:
        pass
    except Rejected as rejected:
        reason = remedy(rejected, settings, facts.configs["student"])
        raise ConfigError(f"the student cannot be trained: {reason}.") from None
    passed = [later - earlier for earlier, later in pairwise(times)]
    return min(passed[1:] or passed)


def _some_recipe(facts: Facts) -> Recipe:
    """The recipe of the run, or a usual loss of a knowledge that the pair shares."""
    from detkds.detectors.sharing import supported

    if facts.losses is not None:
        return facts.losses
    shared = [
        knowledge for knowledge, reason in supported(facts.detectors["student"], facts.detectors["teacher"]).items() if reason is None
    ]
    if any(knowledge.is_feature for knowledge in shared):
        return Recipe.parse("global: none > none > norm_batch | l2 x 1", "paper")
    return Recipe.parse("logits: none | l2 x 1", "paper") if Knowledge.LOGITS in shared else Recipe()


def _duration(minutes: float) -> str:
    return f"{60 * minutes:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
