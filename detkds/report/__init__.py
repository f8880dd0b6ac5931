"""A run on one page: self-contained HTML, Markdown, and JSON for programs; and several runs on one page."""

from detkds.evaluation.result import Analysis, Role
from detkds.report.data import Fidelity, ReportData, StageCost
from detkds.report.markdown import markdown
from detkds.report.page import render
from detkds.report.results import read_results, results
from detkds.report.study import ReportedStudy, ReportedTrial

__all__ = [
    "Analysis",
    "Fidelity",
    "ReportData",
    "ReportedStudy",
    "ReportedTrial",
    "Role",
    "StageCost",
    "markdown",
    "read_results",
    "render",
    "results",
]
