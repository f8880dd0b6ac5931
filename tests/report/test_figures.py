"""The drawings: what they show, and that they bring nothing of their own into the page."""

from __future__ import annotations

import dataclasses
import math
import re

import pytest
from sample_run import evaluation, sheet, study

from detkds.evaluation.scores import Detector, Scores
from detkds.report import Analysis, Fidelity, ReportData, ReportedStudy, ReportedTrial, figures
from detkds.report.comparison import Run
from detkds.report.figures import runs
from detkds.report.figures.plot import Axis, Plot, categories, linear
from detkds.report.figures.search import MAX_POINTS


def looks(chart: figures.Figure | None) -> list[str]:
    assert chart is not None
    return [mark.look for mark in chart.plot.marks]


def subpaths(chart: figures.Figure | None, look: str) -> int:
    """How many markers of a look are drawn."""
    assert chart is not None
    return sum(mark.path.count("M") for mark in chart.plot.marks if mark.look == look)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 100, ["0", "20", "40", "60", "80", "100"]),
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (28.1, 33.0, ["29", "30", "31", "32", "33"]),
        (-1.3, 4.1, ["0", "2", "4"]),
        (-3, 1, ["−3", "−2", "−1", "0", "1"]),
        (35, 46, ["35.0", "37.5", "40.0", "42.5", "45.0"]),
        (7, 7, ["6.6", "6.8", "7.0", "7.2", "7.4"]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, labels: list[str]) -> None:
    axis = linear(low, high)
    assert [label for _, label in axis.ticks] == labels
    assert all(axis.low - 1e-9 <= value <= axis.high + 1e-9 for value, _ in axis.ticks)


def plot() -> Plot:
    """A plot whose inside is 100 by 100, from (10, 110) at (0, 0) to (110, 10) at (1, 1)."""
    axis = Axis(0, 1, ())
    return Plot("x", axis, axis, width=120, height=120, left=10, right=10, top=10, bottom=10)


def test_marks_are_where_the_axes_say() -> None:
    drawing = plot()
    drawing.line([(0, 0), (0.5, math.nan), (0.25, 1), (1, 0.5)], "a")
    drawing.steps([(0, 0), (0.5, 1)], "b")
    drawing.bar((0, 0.1), (0, 0.5), "c")
    drawing.bar((0, 0.1), (0, math.nan), "d")
    drawing.dots([(0.5, 0.5), (math.nan, 0)], "e", "cross")
    drawing.area([(0, 1), (1, 1)], [(0, 0), (1, 0)], "f")
    assert [(mark.look, mark.path) for mark in drawing.marks] == [
        ("line a", "M10 110M35 10L110 60"),
        ("line b", "M10 110L60 110L60 10"),
        ("bar c", "M10 110V60H20V110z"),
        ("dots cross e", "M60 60m-3-3l6 6m0-6l-6 6"),
        ("area f", "M10 10L110 10L110 110L10 110z"),
    ]
    assert Plot("x", categories(["a", "b"]), Axis(0, 1, ()), width=120, height=120, left=10, right=10).px(1) == 85


def test_every_candidate_is_a_marker() -> None:
    trials = (
        ReportedTrial(0, "no distillation", 0.30, "complete"),
        ReportedTrial(1, "a", 0.31, "complete"),
        ReportedTrial(2, "b", 0.32, "complete", partial=True),
        ReportedTrial(3, "c", None, "REJECTED", "nan: x"),
        ReportedTrial(4, "d", 0.01, "complete"),
        ReportedTrial(5, "e", 0.315, "complete"),
    )
    chart = figures.search_curve(ReportedStudy("global", trials))
    assert subpaths(chart, "dots dot muted") == 2
    assert subpaths(chart, "dots dot muted hollow") == 1
    assert subpaths(chart, "dots cross rejected") == 1
    assert subpaths(chart, "dots triangle muted") == 1
    assert {"line student", "line distilled"} <= set(looks(chart))
    # The candidate far below (1.0) does not flatten the rest: 32 - 3 * (32 - 31) = 29 is the lowest score drawn in place.
    assert chart is not None
    assert chart.plot.y.low > 28
    assert chart.title == "global: +2.0 points"


def test_the_images_are_named_as_what_matters_most() -> None:
    """The images alone explain the scores; of eight candidates with two words each, chance explains less."""
    texts = [f"{norm} | {distance}" for norm in ("none", "norm_C") for distance in ("l1", "l2")]
    candidates = [(f"global: none > none > {text}{end}", 0.2 + 0.1 * bool(end)) for text in texts for end in ("", " on labelled")]
    trials = tuple(ReportedTrial(place, *candidate, "complete") for place, candidate in enumerate(candidates, 1))
    chart = figures.importance([ReportedStudy("global", trials)])
    assert chart is not None
    assert chart.title == "The choice of images for global matters most"


def test_a_random_search_is_drawn_beside_the_evolution() -> None:
    chart = figures.search_curve(study("global", 1), study("global", 2, 40, "random"))
    assert looks(chart).count("line random") == 1
    assert chart is not None
    assert chart.plot.x.high > 39
    assert "best so far, random search" in [key.name for key in chart.legend]
    assert "Random search: " in chart.caption


def test_without_a_score_there_is_no_drawing() -> None:
    assert figures.search_curve(ReportedStudy("global", ())) is None
    assert figures.search_curve(ReportedStudy("global", (ReportedTrial(0, "x", math.nan, "complete"),))) is None
    assert figures.parallel(ReportedStudy("global", ())) is None
    assert figures.importance([ReportedStudy("global", ())]) is None
    assert figures.fidelity([Fidelity("a", 0.1, 0.2)]) is None
    nothing = Analysis(1, {"teacher": Detector({"bbox": Scores({})})})
    assert figures.average_precisions(nothing, "bbox") is None
    assert figures.intervals(nothing, "bbox") is None
    assert figures.differences(nothing, "bbox") is None
    assert figures.precision_recall(nothing, "bbox", "0.50") is None
    assert figures.tide(nothing, "bbox") is None
    assert figures.error_stacks(nothing, "bbox") == []
    assert runs.run_figures([Run("a", ReportData("a"))]) is None


@pytest.mark.parametrize("ap", [0.0, 1.0, math.nan])
def test_extreme_scores_are_drawn(ap: float) -> None:
    scores = Scores({"AP": ap}, curves={"0.50": (0.0 if math.isnan(ap) else ap,) * 101}, tide={"Cls": ap, "Miss": 0.1})
    found = Analysis(1, {"distilled": Detector({"bbox": scores})})
    for chart in (
        figures.average_precisions(found, "bbox"),
        figures.precision_recall(found, "bbox", "0.50"),
        figures.tide(found, "bbox"),
    ):
        assert chart is not None
        assert not [mark for mark in chart.plot.marks if "nan" in mark.path]


def test_a_long_search_is_thinned() -> None:
    trials = tuple(ReportedTrial(number, "x", 0.3 + 1e-6 * number, "complete") for number in range(10 * MAX_POINTS))
    assert MAX_POINTS * 0.9 < subpaths(figures.search_curve(ReportedStudy("global", trials)), "dots dot muted") <= MAX_POINTS


def test_every_candidate_with_a_score_is_a_thread() -> None:
    searched = study("localization", 3, 60)
    chart = figures.parallel(searched)
    scored = [trial for trial, _ in searched.choices if trial.scored]
    threads = [look for look in looks(chart) if look.startswith("thread")]
    assert len(threads) == len(scored)
    # A fifth of them, at least three, stand out, and are drawn last.
    assert threads[-1] == "thread distilled"
    assert threads.count("thread distilled") == max(3, len(scored) // 5)


def test_axes_beside_the_words_have_the_space_of_one() -> None:
    texts = ("", " bg 4", " bg 1", " on labelled", " bg 4 on labelled", " bg 1 on labelled")
    trials = [ReportedTrial(place, f"fgbg: none > none > none | l2{text}", 0.1 * place, "complete") for place, text in enumerate(texts, 1)]
    chart = figures.parallel(ReportedStudy("fgbg", tuple(trials)))
    assert chart is not None
    assert [label for _, label in chart.plot.x.ticks] == ["attention", "scale", "norm", "distance", "background", "images", "AP, %"]
    assert chart.plot.px(1) - chart.plot.px(0) == 75
    heights = {note.text: note.y for note in chart.plot.notes if note.look == "word"}
    assert heights["0.5"] > heights["1"] > heights["4"]
    assert heights["all"] > heights["labelled"]


def test_threads_of_weights_are_ordered_by_size() -> None:
    text = "global: none > none > none | l2 x {}"
    trials = tuple(
        ReportedTrial(place, text.format(weight), 0.1 + place / 100, "complete") for place, weight in enumerate((10, 2, 0.5, 5, 8, 1), 1)
    )
    chart = figures.parallel(ReportedStudy("weights", trials))
    assert chart is not None
    heights = {note.text: note.y for note in chart.plot.notes if note.look == "word"}
    assert sorted(heights, key=lambda word: -heights[word]) == ["0.5", "1", "2", "5", "8", "10"]


def test_the_stack_of_errors_lies_curve_upon_curve() -> None:
    (teacher, *_) = figures.error_stacks(evaluation(), "bbox")
    assert [mark.look for mark in teacher.plot.marks] == [f"area stack{place}" for place in range(1, 8)]
    assert [key.name.split()[0] for key in teacher.legend] == ["C75", "C50", "Loc", "Sim", "Oth", "BG", "FN"]


def test_the_title_is_the_finding() -> None:
    tide = figures.tide(evaluation(), "bbox")
    difference = figures.differences(evaluation(), "bbox")
    assert tide is not None
    assert difference is not None
    # Miss costs .082 * .5 / AP: .1177 and .1092.
    assert tide.title == "With distillation, missed objects cost 0.8 points less: the largest change"
    assert difference.title == "The distilled student is better than the student (AP)"


def test_a_kind_of_error_that_grows_is_called_worse_in_words() -> None:
    found = evaluation()
    scores = {
        "student": dataclasses.replace(sheet(0.3), tide={"Cls": 0.01}),
        "distilled": dataclasses.replace(sheet(0.3), tide={"Cls": 0.11}),
    }
    worse = dataclasses.replace(found, detectors={name: Detector({"bbox": result}) for name, result in scores.items()})
    chart = figures.tide(worse, "bbox")
    assert chart is not None
    assert chart.title == "With distillation, detections of a wrong class cost 10.0 points more: the largest change"


def test_a_pointer_over_a_candidate_shows_its_genome_and_score() -> None:
    trials = (
        ReportedTrial(0, "none", 0.30, "complete"),
        ReportedTrial(1, "global: none > none > none | l2 x 1", 0.342, "complete"),
        ReportedTrial(2, "global: none > none > none | l1 x 1", 0.29, "complete", partial=True),
        ReportedTrial(3, "global: none > none > none | l2 x 9", None, "rejected", "nan: the loss"),
    )
    chart = figures.search_curve(ReportedStudy("global", trials))
    assert chart is not None
    labels = [mark.label for mark in chart.plot.marks if mark.label]
    assert labels == [
        "candidate 1, AP 34.2\nglobal: none > none > none | l2 x 1",
        "candidate 2, AP at most 29.0\nglobal: none > none > none | l1 x 1",
        "candidate 3, nan: the loss\nglobal: none > none > none | l2 x 9",
    ]


def test_the_line_of_the_best_so_far_stays_in_the_plot() -> None:
    # The first candidates are far below the later ones: their dots move to the edge, the line that begins at them does not leave the plot.
    scores = [0.30, 0.02, 0.31, *[0.32] * 12]
    trials = tuple(ReportedTrial(number, "none", score, "complete") for number, score in enumerate(scores))
    chart = figures.search_curve(ReportedStudy("global", trials))
    assert chart is not None
    for mark in chart.plot.marks:
        for y in re.findall(r"[ML][\d.]+ ([\d.]+)", mark.path):
            assert chart.plot.top <= float(y) <= chart.plot.bottom


def test_a_candidate_at_the_edge_is_in_the_legend() -> None:
    # Best 0.32, median 0.32: candidates below candidate 0 are far below, except where the line of the best so far begins there.
    scores = [0.30, 0.31, 0.02, *[0.32] * 12]
    trials = tuple(ReportedTrial(number, "none", score, "complete") for number, score in enumerate(scores))
    chart = figures.search_curve(ReportedStudy("global", trials))
    assert chart is not None
    assert ("triangle", "far below, at the lower edge") in [(key.shape, key.name) for key in chart.legend]
    assert any(mark.look == "dots triangle muted" for mark in chart.plot.marks)


def test_differences_that_cannot_be_told_have_another_marker() -> None:
    found = evaluation()
    unsure = tuple(dataclasses.replace(test, low=-0.01) for test in found.comparisons)
    chart = figures.differences(dataclasses.replace(found, comparisons=unsure), "bbox")
    assert chart is not None
    assert chart.title == "No difference is shown (AP)"
    assert looks(chart).count("dots diamond distilled") == 2


def test_names_never_become_markup() -> None:
    name = '"><script>'
    found = Analysis(1, {name: Detector({"bbox": sheet(0.3)})})
    charts = [figures.average_precisions(found, "bbox"), figures.precision_recall(found, "bbox", "0.50"), figures.intervals(found, "bbox")]
    for chart in charts:
        assert chart is not None
        assert all(re.fullmatch(r"[-\w ]+", mark.look) for mark in chart.plot.marks)
        assert all(re.fullmatch(r"[-\w. ]+", mark.path) for mark in chart.plot.marks)
