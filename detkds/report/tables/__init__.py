"""The tables of a report."""

from detkds.report.tables.costs import costs, footprints
from detkds.report.tables.curves import error_areas, precision_recall, tide
from detkds.report.tables.detectors import classes, comparisons, figures, intervals
from detkds.report.tables.errors import confused, confusion
from detkds.report.tables.leaderboard import leaderboard
from detkds.report.tables.ops import ops
from detkds.report.tables.search import importance, rejections, studies, trials
from detkds.report.tables.table import Column, Table

__all__ = [
    "Column",
    "Table",
    "classes",
    "comparisons",
    "confused",
    "confusion",
    "costs",
    "error_areas",
    "figures",
    "footprints",
    "importance",
    "intervals",
    "leaderboard",
    "ops",
    "precision_recall",
    "rejections",
    "studies",
    "tide",
    "trials",
]
