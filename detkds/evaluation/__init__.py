"""Figures from ground truth and detections. Imports no torch."""

from detkds.evaluation.coco import Bounds, Evaluation, bounds, evaluate
from detkds.evaluation.engine import FIGURES, Engine
from detkds.evaluation.truth import Kind

__all__ = ["FIGURES", "Bounds", "Engine", "Evaluation", "Kind", "bounds", "evaluate"]
