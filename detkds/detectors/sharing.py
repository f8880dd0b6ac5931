"""Which knowledges a student and a teacher can share, and why not the others."""

from __future__ import annotations

from typing import Any

from torch import nn

from detkds.detectors.average_teacher import as_detector
from detkds.detectors.backbone_teacher import detects
from detkds.detectors.configs.classes import class_count
from detkds.detectors.connectors import match_levels, shown_strides, stride_mismatch
from detkds.detectors.ensemble import Ensemble
from detkds.detectors.heads import crossing, mismatch
from detkds.detectors.normalization import shown_scale
from detkds.detectors.taps import neck_shape
from detkds.errors import ConfigError
from detkds.genome import Knowledge, Recipe


def supported(student: nn.Module, teacher: nn.Module) -> dict[Knowledge, str | None]:
    """For each knowledge, None where this pair of detectors can share it, else the reason why not. Of several teachers each must."""
    if isinstance(teacher, Ensemble):
        found = [supported(student, one) for one in teacher.teachers]
        named = [{name: reason and f"teacher {number}: {reason}" for name, reason in one.items()} for number, one in enumerate(found, 1)]
        return {name: next((one[name] for one in named if one[name]), None) for name in Knowledge}
    teacher = as_detector(teacher)
    features, responses = _features_mismatch(student, teacher), _responses_mismatch(student, teacher)
    reasons = {knowledge: features if knowledge.is_feature else responses for knowledge in Knowledge}
    if features is None:
        reasons[Knowledge.INSTANCE] = _crops_mismatch(student, teacher)
    return reasons


def require_shared(student: nn.Module, teacher: nn.Module, recipe: Recipe) -> None:
    """
    Args:
        teacher: one, not several.

    Raises:
        ConfigError: the pair cannot share what a loss of the recipe compares; the message says why.
    """
    reasons = supported(student, teacher)
    for genome in recipe.active:
        if reason := reasons[genome.knowledge]:
            name = genome.knowledge
            raise ConfigError(f"this pair cannot share {name} knowledge: {reason}; leave {name} out or change the pair.")
    if recipe.needs_responses and (reason := reasons[Knowledge.LOGITS]):
        raise ConfigError(f"a loss of this recipe reads scores or boxes, which this pair does not share: {reason}; leave it out.")
    if recipe.crosses and (reason := crossing.mismatch(student, as_detector(teacher))):
        raise ConfigError(f"this pair cannot share cross-head predictions: {reason}; use another transform than cross.")


def _features_mismatch(student: nn.Module, teacher: nn.Module) -> str | None:
    strides = shown_strides(neck_shape(teacher), _scale(teacher))
    return stride_mismatch("neck", neck_shape(student).strides, strides)


def _crops_mismatch(student: nn.Module, teacher: nn.Module) -> str | None:
    """Objects of several sizes are compared in one tensor, each from the level of its size."""
    shape = neck_shape(teacher)
    pairs = match_levels(neck_shape(student).strides, shown_strides(shape, _scale(teacher)))
    channels = [shape.channels[level] for _, level in pairs]
    if len(set(channels)) == 1:
        return None
    return f"objects are compared across levels of equal channels, and those of the teacher have {', '.join(map(str, channels))}"


def _responses_mismatch(student: nn.Module, teacher: nn.Module) -> str | None:
    if not detects(teacher):
        return "the teacher is a backbone, which has neither scores nor boxes; it shares features"
    ours, theirs = class_count(student), class_count(teacher)
    if ours != theirs:
        return f"the student distinguishes {ours} classes, the teacher {theirs}"
    if _scale(teacher) != 1:
        return f"the teacher is shown images {_scale(teacher):g} times as large, and its scores and boxes are of another grid then"
    return mismatch(student, teacher)


def _scale(teacher: Any) -> float:
    return shown_scale(teacher.data_preprocessor)
