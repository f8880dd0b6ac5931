"""A candidate's student scored on search-val."""

from __future__ import annotations

import math
from typing import Any

from mmengine.config import Config
from torch import nn

from detkds.detectors.predict import Detection, detections, predict
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import TrainSettings
from detkds.detectors.training.masks import measured_kind, require
from detkds.detectors.training.randomness import preserved
from detkds.errors import DatasetError, Rejected
from detkds.evaluation.coco import bounds, evaluate
from detkds.objective import Outcome

CHECKS = 8
"""How often, at most, a validation asks whether it can stop; each time costs an evaluation."""


class Validation:
    """Scores students by the AP of boxes, or of masks where they predict these.

    Args:
        config: the student's, adapted to the data set.
        val: search-val, with at least one box.
        student: any of those that are scored.
        settings: batch size and device.
        early_stop: stop where the AP that is still possible is below the floor.

    Raises:
        DatasetError: the images have no box, or no masks where these are scored.
    """

    def __init__(self, config: Config, val: Source, student: nn.Module, settings: TrainSettings, *, early_stop: bool) -> None:
        self._samples = Samples(config, val, training=False)
        if not any(not annotation["iscrowd"] for annotation in self._samples.truth["annotations"]):
            raise DatasetError(f"{val.annotations} must hold at least one box to score candidates on, but holds none.")
        self._kind = measured_kind(student)
        if self._kind == "segm":
            require(self._samples.truth, val.annotations)
        self._early_stop = early_stop
        self._how: dict[str, Any] = {"batch_size": settings.batch_size, "device": settings.device}

    def outcome(self, student: nn.Module, steps: int, floor: float | None) -> Outcome:
        """The score of a student at the end of its training, and `details`.

        Args:
            steps: that it has trained.
            floor: AP that it has to reach, see Goal.

        Raises:
            Rejected: infinite: a box has no finite side.
        """
        truth, total = self._samples.truth, len(self._samples)
        found: list[Detection] = []
        seen: list[int] = []
        due = interval = math.ceil(total / CHECKS)
        for batch in predict(student, self._samples, **self._how):
            if not all(map(_finite, batch.detections)):
                raise Rejected("infinite", "a box of the trained student has no finite side", steps)
            found += batch.detections
            seen += batch.image_ids
            if self._early_stop and floor is not None and due <= len(seen) < total:
                due = len(seen) + interval
                highest = bounds(truth, found, seen, kind=self._kind).upper
                if highest < floor:
                    return Outcome(highest, partial=True)
        figures = evaluate(truth, found, kind=self._kind).figures
        return Outcome(figures["AP"], details={name: figures[name] for name in ("AP50", "AP75")})

    def score(self, student: nn.Module) -> float:
        """AP of a student in the middle of a training, which does not notice."""
        with preserved():
            found = detections(student, self._samples, **self._how)
        # The sides of a box may overflow while the learning rate is high; such a box hits nothing. At the end it is a fault.
        return float(evaluate(self._samples.truth, [detection for detection in found if _finite(detection)], kind=self._kind).figures["AP"])


def _finite(detection: Detection) -> bool:
    return all(map(math.isfinite, detection["bbox"]))
