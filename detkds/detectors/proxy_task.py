"""What all candidates of a search have in common."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from detkds.detectors.device import resolve
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.ensemble import Ensemble
from detkds.detectors.teacher_pass import TeacherPass
from detkds.detectors.training.batches import Samples
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.detectors.training.unlabelled import UnlabelledSamples
from detkds.errors import ConfigError, Rejected
from detkds.genome import Recipe


@dataclass(frozen=True, eq=False)
class ProxyTask:
    """The student's first weights, the teacher, the images and the settings of every candidate's training.

    Args:
        config: the student's, adapted to the data set.
        settings: epochs and seed of the proxy.
        samples: search-train.
        unlabelled: images without labels that each step sees too, or None.
        student: with its first weights; candidates train copies of it.
        teacher: on the device, in evaluation mode.
    """

    config: Config
    settings: TrainSettings
    samples: Samples
    unlabelled: UnlabelledSamples | None
    student: nn.Module
    teacher: nn.Module

    @cached_property
    def device(self) -> torch.device:
        """Where candidates are trained."""
        return resolve(self.settings.device)

    @cached_property
    def steps(self) -> int:
        """Of a candidate's training."""
        return self.settings.steps(self.samples)

    def training(self, recipe: Recipe, shared: TeacherPass) -> Training:
        """A candidate's training, at its beginning.

        Args:
            shared: the outputs of the teacher, for all candidates that see the same batches.

        Raises:
            Rejected: unsupported: one of several teachers lacks what a loss reads.
            ConfigError: the one teacher lacks it.
        """
        use = self.unlabelled.use if self.unlabelled else None
        try:
            distiller = DistilledDetector(copy.deepcopy(self.student), self.teacher, recipe, use, shared)
        except ConfigError as error:
            if isinstance(self.teacher, Ensemble):  # the probe looked at the first teacher, and a word may need what another lacks
                raise Rejected("unsupported", str(error)) from error
            raise
        return Training(distiller, self.config, self.samples, self.settings, unlabelled=self.unlabelled)

    def with_weights(self, weights: Mapping[str, Any]) -> nn.Module:
        """Another student, with these weights."""
        student = copy.deepcopy(self.student)
        student.load_state_dict(weights)
        return student
