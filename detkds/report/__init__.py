"""A run on one page: self-contained HTML, Markdown, and JSON for programs."""

from detkds.report.data import Detector, ReportData, Role, Scores, StageCost, Study, TrialPoint
from detkds.report.markdown import markdown
from detkds.report.page import render
from detkds.report.results import results

__all__ = ["Detector", "ReportData", "Role", "Scores", "StageCost", "Study", "TrialPoint", "markdown", "render", "results"]
