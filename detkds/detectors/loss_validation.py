"""A candidate's student scored on search-val by its detection loss instead of its AP (docs/adr/0037)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from detkds.detectors.device import resolve
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loading import default_workers
from detkds.detectors.training.loop import TrainSettings
from detkds.detectors.training.randomness import Purpose, derived_seed, preserved, seed_all
from detkds.detectors.validation import Validation
from detkds.errors import Rejected
from detkds.objective import Outcome

OWN_TARGETS = ("QualityFocalLoss", "VarifocalLoss", "DynamicSoftLabelAssigner", "SimOTAAssigner", "TaskAlignedAssigner")
"""Parts of mmdet's heads whose targets are made from the student's own predictions, so that a worse student may have the lower loss: an
untrained RTMDet has almost none."""
SEED = 0
"""Of augmentations and of what a detection loss samples: the same for every candidate, whatever the seed of its training."""


class LossValidation:
    """Scores students by 1 / (1 + L). L is the mean over the images of search-val of the config's own detection loss, without gradients and
    in evaluation mode; batches are as large as in training, and a batch below 0 counts as 0.

    The images come through the train pipeline, because that of the test does not lead the boxes through its steps.

    Args:
        config, val, student, settings: as of `Validation`.
        early_stop: stop where the score that is still possible is below the floor, and spare the AP of those that are below it.

    Raises:
        DatasetError: the images have no box, no masks where the loss needs them, or none that the config trains on.
    """

    def __init__(self, config: Config, val: Source, student: nn.Module, settings: TrainSettings, *, early_stop: bool) -> None:
        self._of_ap = Validation(config, val, student, settings, early_stop=False)
        self._samples = Samples(config, val, training=True, seed=SEED)
        self._early_stop, self._settings = early_stop, settings

    def outcome(self, student: nn.Module, steps: int, floor: float | None) -> Outcome:
        """The score of a student at the end of its training; `details` hold `val_loss`, L, and its AP, AP50 and AP75.

        Args:
            steps: that it has trained.
            floor: score that it has to reach, see Goal.

        Raises:
            Rejected: infinite: the loss or a box is not finite.
        """
        loss = 0.0
        for seen, loss in self._so_far(student):
            if not math.isfinite(loss):
                raise Rejected("infinite", "the detection loss of the trained student on search-val is not finite", steps)
            if seen < len(self._samples) and self._behind(loss, floor):
                return Outcome(_score(loss), partial=True)
        if self._behind(loss, floor):
            return Outcome(_score(loss), details={"val_loss": loss})
        found = self._of_ap.outcome(student, steps, None)
        return replace(found, score=_score(loss), details={"val_loss": loss, "AP": found.score, **found.details})

    def score(self, student: nn.Module) -> float:
        """Of a student in the middle of a training, which does not notice; 0 where its loss is not finite."""
        with preserved():
            *_, (_, loss) = self._so_far(student)
        return _score(loss) if math.isfinite(loss) else 0.0

    def _behind(self, loss: float, floor: float | None) -> bool:
        return self._early_stop and floor is not None and _score(loss) < floor

    def _so_far(self, student: nn.Module) -> Iterator[tuple[int, float]]:
        """After each batch, how many images were seen, and the sum of their losses over the number of all images: at the end L."""
        place = resolve(self._settings.device)
        model: Any = student.to(place)
        batches = self._samples.test_batches(self._settings.batch_size, workers=default_workers(place), pin=place.type == "cuda")
        training, seen, total = model.training, 0, 0.0
        model.eval().training = True  # of the detector alone, not of its parts: DETR's kinds prepare their loss in no other mode
        try:
            for number, batch in enumerate(batches):
                seen += len(batch["inputs"])
                total += max(_loss(model, batch, number), 0.0) * len(batch["inputs"])
                yield seen, total / len(self._samples)
        finally:
            model.train(training)


def remark(config: Config) -> str:
    """What a person should know who scores students of this config by their loss; empty where that is nothing."""
    found = [part for part in OWN_TARGETS if part in _types(config.model)]
    if not found:
        return ""
    return (
        f"search.score: loss: the targets of {' and '.join(found)} depend on the student's own predictions, so a worse student may have "
        "the lower loss; measure with `detkds fidelity`, or write `score: ap`"
    )


def _types(part: Any) -> set[str]:
    """Names of everything that a part of a config builds, without registries."""
    if isinstance(part, Mapping):
        own = {str(part["type"]).rpartition(".")[2]} if "type" in part else set()
        return own.union(*map(_types, part.values()))
    return set().union(*map(_types, part)) if isinstance(part, list | tuple) else set()


def _loss(model: Any, batch: Any, number: int) -> float:
    """Mean detection loss of the images of a batch."""
    with preserved(), torch.no_grad():
        seed_all(derived_seed(SEED, Purpose.STEP, number))
        loss, _ = model.parse_losses(model(**model.data_preprocessor(batch, False), mode="loss"))
    return float(loss)


def _score(loss: float) -> float:
    return 1 / (1 + loss)
