"""Numbers as text, the verdict, and the tables row by row."""

from __future__ import annotations

import dataclasses
import math

import pytest
from sample_run import Sheet

from detkds.report import Detector, ReportData, Role, StageCost, Study, TrialPoint, tables
from detkds.report.text import change, clean, count, duration, percent
from detkds.report.verdict import verdict


@pytest.mark.parametrize(
    ("value", "text"), [(0.38312, "38.3"), (0.0, "0.0"), (1.0, "100.0"), (math.nan, "–"), (math.inf, "–"), (None, "–")]
)
def test_percent(value: float | None, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize(
    ("after", "before", "text"),
    [(0.375, 0.344, "+3.1"), (0.344, 0.348, "−0.4"), (0.3, 0.30001, "0.0"), (0.30001, 0.3, "0.0"), (math.nan, 0.3, "–"), (0.3, None, "–")],
)
def test_change(after: float | None, before: float | None, text: str) -> None:
    assert change(after, before) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (8.24, "8.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.9, "1 h 00 min"),
        (3900, "1 h 05 min"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_count_and_clean() -> None:
    assert (count(12800), count(None)) == ("12,800", "–")
    assert clean("a\tb\x07c\nd") == "a b\ufffdc\nd"
    assert clean("x" * 500) == "x" * 400 + "…"


def compared(teacher: float | None, before: float | None, after: float | None) -> ReportData:
    pairs = zip(Role, (teacher, before, after), strict=True)
    return ReportData("run", tuple(Detector(role, "d", Sheet({"AP": ap})) for role, ap in pairs if ap is not None))


@pytest.mark.parametrize(
    ("teacher", "before", "after", "text"),
    [
        (0.40, 0.30, 0.35, "Distillation raises the student's AP from 30.0 to 35.0 (+5.0 points), 50 % of the way to the teacher's 40.0."),
        (0.40, 0.30, 0.41, "Distillation raises the student's AP from 30.0 to 41.0 (+11.0 points); the teacher has 40.0."),
        (0.40, 0.30, 0.29, "Distillation lowers the student's AP from 30.0 to 29.0 (−1.0 points); the teacher has 40.0."),
        (None, 0.30, 0.3001, "Distillation leaves the student's AP at 30.0."),
        (0.40, None, 0.35, "The distilled student reaches 35.0 AP; the teacher has 40.0."),
        (0.40, 0.30, None, "No distilled student has been evaluated yet."),
        (0.40, math.nan, math.nan, "No distilled student has been evaluated yet."),
        (None, None, None, "No detector has been evaluated yet."),
    ],
)
def test_verdict(teacher: float | None, before: float | None, after: float | None, text: str) -> None:
    assert verdict(compared(teacher, before, after)) == text


def test_classes_stand_by_gain_and_unknown_ones_last() -> None:
    before = Sheet({"AP": 0.3}, {"a": 0.30, "b": 0.30, "c": math.nan, "d": 0.30})
    after = Sheet({"AP": 0.3}, {"a": 0.29, "b": 0.35, "c": math.nan})
    table = tables.classes(ReportData("run", (Detector(Role.BASELINE, "d", before), Detector(Role.DISTILLED, "d", after))))
    assert table.rows == (("b", "30.0", "35.0", "+5.0"), ("a", "30.0", "29.0", "−1.0"), ("c", "–", "–", "–"), ("d", "30.0", "–", "–"))


TRIALS = (
    TrialPoint(0, "no distillation", 0.30, "COMPLETE", seconds=10),
    TrialPoint(1, "one", 0.29, "complete", partial=True),
    TrialPoint(2, "two", 0.34, "complete", seconds=70),
    TrialPoint(3, "three", None, "REJECTED", "nan: loss of global"),
    TrialPoint(4, "four", 0.34, "complete"),
    TrialPoint(5, "five", None, "failed", None),
)


def test_a_study_knows_its_best_and_its_gain() -> None:
    study = Study("global", TRIALS)
    assert study.best is TRIALS[2]
    assert study.gain == pytest.approx(0.04)
    assert study.best_so_far() == [(1, 0.29), (2, 0.34)]
    assert tables.studies(ReportData("run", studies=(study,))).rows == (("global", "30.0", "34.0", "+4.0", "6", "4", "1", "1"),)


def test_trials_row_by_row() -> None:
    assert tables.trials(Study("global", TRIALS)).rows == (
        ("0", "no distillation", "30.0", "–", "complete", "10.0 s"),
        ("1", "one", "29.0", "−1.0", "validation stopped early, the AP is a bound", "–"),
        ("2", "two", "34.0", "+4.0", "best", "1 min 10 s"),
        ("3", "three", "–", "–", "nan: loss of global", "–"),
        ("4", "four", "34.0", "+4.0", "complete", "–"),
        ("5", "five", "–", "–", "failed", "–"),
    )


def test_rejections_by_reason() -> None:
    more = (*TRIALS, TrialPoint(6, "six", None, "rejected", "nan: again"))
    data = ReportData("run", studies=(Study("global", more), Study("logits", TRIALS)))
    assert tables.rejections(data).rows == (
        ("nan", "the loss is not a number", "3", "global 2, logits 1", "three"),
        ("failed", "the training stopped with an error", "2", "global 1, logits 1", "five"),
    )


def test_costs_have_shares_and_sums() -> None:
    data = ReportData("run", costs=(StageCost("search", 90, 1200), StageCost("train", 30, 300), StageCost("report", None)))
    assert tables.costs(data).rows == (
        ("search", "1 min 30 s", "75%", "1,200"),
        ("train", "30.0 s", "25%", "300"),
        ("report", "–", "", "–"),
        ("all", "2 min 00 s", "", "1,500"),
    )


def test_precision_at_every_tenth_recall() -> None:
    curve = tuple(1 - place / 200 for place in range(101))
    data = ReportData("run", (Detector(Role.TEACHER, "d", Sheet({"AP": 0.5}, curves={"0.50": curve})),))
    table = tables.precision_recall(data)
    assert [column.title for column in table.columns] == ["recall", "teacher at IoU .50"]
    assert (table.rows[0], table.rows[3], table.rows[10]) == (("0", "100.0"), ("30", "85.0"), ("100", "50.0"))
    assert not tables.precision_recall(dataclasses.replace(data, detectors=())).rows


def test_a_table_cut_short_counts_what_it_leaves_out() -> None:
    table = tables.trials(Study("global", TRIALS)).head(4)
    assert (len(table.rows), table.left_out) == (4, 2)
    assert table.head(3).left_out == 3
