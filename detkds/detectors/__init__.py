"""Detectors: the only package that imports mmdet, mmengine and mmcv."""

import torch

from detkds.detectors.compiler import defer_compiler
from detkds.detectors.deferred import deferred
from detkds.detectors.silence import silence

with silence(), deferred():  # first of all: the modules below import mmdet, whose own import is noisy and long
    import mmdet.datasets
    import mmdet.engine
    import mmdet.models  # noqa: F401

    torch.meshgrid(torch.zeros(1), torch.zeros(1))  # torch warns once about mmdet's use of it; here is that once
    defer_compiler()

from detkds.detectors.checkpoints import (
    Checkpoint,
    InheritReport,
    apply_backbone,
    apply_weights,
    inherit,
    load_weights,
    read_checkpoint,
    save_student,
)
from detkds.detectors.configs.config import adapt, build_detector, load_config
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.sharing import supported

__all__ = [
    "Checkpoint",
    "DistilledDetector",
    "InheritReport",
    "adapt",
    "apply_backbone",
    "apply_weights",
    "build_detector",
    "inherit",
    "load_config",
    "load_weights",
    "read_checkpoint",
    "save_student",
    "supported",
]
