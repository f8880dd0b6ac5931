"""The charts of a report: plain SVG, drawn without a plotting library."""

from detkds.report.figures.curves import losses
from detkds.report.figures.detectors import average_precisions, differences, intervals
from detkds.report.figures.errors import STACKS, error_stacks, tide
from detkds.report.figures.fidelity import fidelity
from detkds.report.figures.figure import Figure, Key
from detkds.report.figures.importance import importance
from detkds.report.figures.leaderboard import leaderboard
from detkds.report.figures.parallel import parallel
from detkds.report.figures.precision import precision_recall
from detkds.report.figures.search import search_curve

__all__ = [
    "STACKS",
    "Figure",
    "Key",
    "average_precisions",
    "differences",
    "error_stacks",
    "fidelity",
    "importance",
    "intervals",
    "leaderboard",
    "losses",
    "parallel",
    "precision_recall",
    "search_curve",
    "tide",
]
