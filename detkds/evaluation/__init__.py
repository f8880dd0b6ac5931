"""Figures from ground truth and detections. Imports no torch."""

from detkds.evaluation.coco import FIGURES, Bounds, Evaluation, bounds, evaluate

__all__ = ["FIGURES", "Bounds", "Evaluation", "bounds", "evaluate"]
