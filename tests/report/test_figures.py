"""The drawings: what they show, and that they bring nothing of their own into the page."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from sample_run import Sheet, sheet

from detkds.report import Detector, ReportData, Role, Study, TrialPoint, figures


def drawings(data: ReportData) -> list[str]:
    return [
        figures.average_precisions(data.ranked),
        figures.precision_recall(data.ranked, "0.50"),
        *(figures.search_curve(study) for study in data.studies),
    ]


def test_a_drawing_is_plain_svg_in_the_colours_of_the_page(data: ReportData) -> None:
    for svg in drawings(data):
        root = ElementTree.fromstring(svg)
        assert (root.tag, root.get("role")) == ("svg", "img")
        assert root.get("aria-label")
        assert root.get("width") is None
        assert not re.search(r"xmlns|https?:|<style|metadata|font-family|#[0-9a-fA-F]{6}", svg)
        assert "currentColor" in svg or "var(--muted)" in svg


def test_drawings_share_no_id(data: ReportData) -> None:
    ids = [re.findall(r' id="([^"]*)"', svg) for svg in drawings(data)]
    together = [one for several in ids for one in several]
    assert len(together) == len(set(together))


def uses(svg: str) -> int:
    """How many markers stand in a drawing."""
    return svg.count("<use ")


def test_every_candidate_is_a_marker() -> None:
    trials = (
        TrialPoint(0, "no distillation", 0.30, "complete"),
        TrialPoint(1, "a", 0.31, "complete"),
        TrialPoint(2, "b", 0.32, "complete", partial=True),
        TrialPoint(3, "c", None, "REJECTED", "nan: x"),
        TrialPoint(4, "d", 0.01, "complete"),
    )
    svg = figures.search_curve(Study("global", trials))
    assert uses(svg) == 4
    assert svg.count("var(--rejected)") >= 1
    assert "var(--baseline)" in svg
    assert "var(--distilled)" in svg
    # The candidate far below (1.0) does not flatten the rest: the axis has no tick under 29.
    ticks = [float(tick) for tick in re.findall(r">([\d.]+)</text>", svg) if "." in tick]
    assert min(ticks) > 29


def test_without_a_score_there_is_no_drawing() -> None:
    assert figures.search_curve(Study("global", ())) == ""
    assert figures.search_curve(Study("global", (TrialPoint(0, "x", math.nan, "complete"),))) == ""
    assert figures.average_precisions(()) == ""
    assert figures.precision_recall([Detector(Role.TEACHER, "d", Sheet({"AP": 0.3}))], "0.50") == ""


@pytest.mark.parametrize("ap", [0.0, 1.0, math.nan])
def test_extreme_scores_are_drawn(ap: float) -> None:
    scores = Sheet({"AP": ap}, curves={"0.50": (ap,) * 101})
    detectors = [Detector(Role.DISTILLED, "d", scores)]
    assert figures.average_precisions(detectors).startswith("<svg")
    assert figures.precision_recall(detectors, "0.50").startswith("<svg")


def test_a_long_search_is_thinned() -> None:
    trials = tuple(TrialPoint(number, "x", 0.3 + 1e-6 * number, "complete") for number in range(10 * figures.MAX_POINTS))
    assert figures.MAX_POINTS * 0.9 < uses(figures.search_curve(Study("global", trials))) <= figures.MAX_POINTS


def test_names_never_reach_a_drawing() -> None:
    detectors = [Detector(Role.TEACHER, "NAME", sheet(0.3))]
    trials = (TrialPoint(0, "NAME", 0.3, "complete"), TrialPoint(1, "NAME", None, "rejected", "NAME: NAME"))
    svgs = [figures.average_precisions(detectors), figures.precision_recall(detectors, "0.50"), figures.search_curve(Study("NAME", trials))]
    assert not [svg for svg in svgs if "NAME" in svg]
