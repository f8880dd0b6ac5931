"""Numbers as text, the verdict, and the tables row by row."""

from __future__ import annotations

import dataclasses
import math

import pytest
from sample_run import evaluation

from detkds.evaluation.result import Comparison
from detkds.evaluation.scores import Confusion, Cost, Detector, Scores
from detkds.genome import Recipe
from detkds.report import Analysis, ReportData, ReportedStudy, ReportedTrial, Role, StageCost, tables
from detkds.report.study import top
from detkds.report.text import chance, change, clean, count, duration, large, percent, points, share, short, span
from detkds.report.verdict import detectors_heading, verdict


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


def test_small_words() -> None:
    assert (count(12800), count(None)) == ("12,800", "–")
    assert (chance(0.0004), chance(0.0121), chance(0.19), chance(math.nan)) == ("p < 0.001", "p = 0.012", "p = 0.19", "p unknown")
    assert (points(-0.0149), points(math.inf)) == ("−1.5", "–")
    assert (span((0.331, 0.3624)), span(None)) == ("33.1 – 36.2", "–")
    assert (share(1, 8), share(1, 0), share(math.nan, 8)) == ("12%", "", "")
    assert (large(1_130_000), large(61.3e9), large(999), large(None)) == ("1.1 million", "61.3 billion", "999", "–")
    assert (short("twenty letters or so"), short("one letter too many!!")) == ("twenty letters or so", "one letter too many…")
    assert clean("a\tb\x00\u202ec\ud800", 20) == "a b\ufffd\ufffdc\ufffd"
    assert clean("long word", 4) == "long…"


def scores(ap: float) -> Detector:
    return Detector({"bbox": Scores({"AP": ap})})


@pytest.mark.parametrize(
    ("aps", "text"),
    [
        ({}, "No detector has been evaluated yet."),
        ({"teacher": 0.4}, "No distilled student has been evaluated yet."),
        ({"distilled": 0.3}, "The distilled student reaches 30.0 AP."),
        ({"student": 0.3, "distilled": 0.3002}, "Distillation leaves the student's AP at 30.0."),
        ({"student": 0.3, "distilled": 0.28}, "Distillation lowers the student's AP from 30.0 to 28.0 (−2.0 points)."),
        (
            {"teacher": 0.4, "student": 0.3, "distilled": 0.35},
            "Distillation raises the student's AP from 30.0 to 35.0 (+5.0 points), 50 % of the way to the teacher's 40.0.",
        ),
        (
            {"teacher": 0.4, "student": 0.3, "distilled": 0.45},
            "Distillation raises the student's AP from 30.0 to 45.0 (+15.0 points); the teacher has 40.0.",
        ),
    ],
)
def test_verdict(aps: dict[str, float], text: str) -> None:
    assert verdict(ReportData("run", Analysis(1, {name: scores(ap) for name, ap in aps.items()}))) == text


def test_a_recipe_that_is_no_distillation_is_not_said_to_have_changed_anything() -> None:
    data = ReportData("run", Analysis(1, {"teacher": scores(0.5), "student": scores(0.4), "distilled": scores(0.4)}), recipe=Recipe())
    assert verdict(data) == "The recipe is no distillation, so both students are trained alike: 40.0 and 40.0 AP; the teacher has 50.0."
    assert detectors_heading(data) == "Both students are trained without distillation"
    assert "alike" not in verdict(dataclasses.replace(data, recipe=None))


def test_figures_name_the_gain() -> None:
    table = tables.figures(evaluation(), "bbox")
    assert [column.title for column in table.columns] == ["figure", "teacher", "student", "distilled student", "gain", "of"]
    assert table.rows[0] == ("AP", "45.8", "34.8", "37.5", "+2.7", "IoU .50 to .95")
    assert table.gaps


def test_classes_by_gain() -> None:
    # AP of class k is factor_k times that of the detector; the gain is factor_k * .0269: .7, 1.04, 1.26.
    assert tables.classes(evaluation(), "bbox").rows == (
        ("WBC", "19", "57.7", "43.9", "47.3", "+3.4"),
        ("RBC", "18", "47.6", "36.2", "39.0", "+2.8"),
        ("Platelets", "17", "32.1", "24.4", "26.3", "+1.9"),
    )


def test_paired_tests_in_words() -> None:
    def test_of(low: float, high: float) -> Comparison:
        return Comparison("distilled", "student", "bbox", "AP", (low + high) / 2, low, high, 0.95, 0.5, 100)

    found = Analysis(1, {}, (test_of(-0.01, 0.02), test_of(0.01, 0.02), test_of(-0.02, -0.01), test_of(math.nan, math.nan)))
    assert [(row[1], row[3], row[5]) for row in tables.comparisons(found, "bbox").rows] == [
        ("AP", "−1.0 to +2.0", "no difference is shown"),
        ("AP", "+1.0 to +2.0", "the distilled student is better"),
        ("AP", "−2.0 to −1.0", "the student is better"),
        ("AP", "– to –", "not measured"),
    ]
    assert not tables.comparisons(found, "segm").rows


def test_a_test_the_other_way_round_is_the_same_test() -> None:
    found = Analysis(1, {}, (Comparison("student", "distilled", "bbox", "AP", -0.03, -0.05, -0.01, 0.95, 0.02, 100),))
    test = found.comparison("distilled", "student")
    assert test is not None
    assert (test.difference, test.low, test.high, test.p) == (0.03, 0.01, 0.05, 0.02)
    assert found.comparison("distilled", "teacher") is None


TRIALS = (
    ReportedTrial(0, "no distillation", 0.30, "complete", seconds=10),
    ReportedTrial(1, "one", 0.29, "complete", partial=True),
    ReportedTrial(2, "two", 0.34, "complete", seconds=70),
    ReportedTrial(3, "three", None, "rejected", "nan: loss of global"),
    ReportedTrial(4, "four", 0.34, "complete"),
    ReportedTrial(5, "five", None, "failed"),
)


def test_the_best_of_a_study_is_the_first_of_equals() -> None:
    study = ReportedStudy("global", TRIALS)
    assert study.best_distilled is TRIALS[2]
    assert study.gain == pytest.approx(0.04)
    assert study.best_so_far() == [(1, 0.29), (2, 0.34)]
    assert tables.studies([study]).rows == (("global", "30.0", "34.0", "+4.0", "6", "4", "1", "1"),)


def test_trials_row_by_row() -> None:
    assert tables.trials(ReportedStudy("global", TRIALS)).rows == (
        ("0", "no distillation", "30.0", "–", "complete", "10.0 s"),
        ("1", "one", "29.0", "−1.0", "validation stopped early, the AP is a bound", "–"),
        ("2", "two", "34.0", "+4.0", "best", "1 min 10 s"),
        ("3", "three", "–", "–", "nan: loss of global", "–"),
        ("4", "four", "34.0", "+4.0", "complete", "–"),
        ("5", "five", "–", "–", "failed", "–"),
    )


def test_rejections_by_reason() -> None:
    more = (*TRIALS, ReportedTrial(6, "six", None, "rejected", "nan: again"))
    # 3 and 2 of 7 + 6 = 13 candidates: 23 % and 15 %.
    assert tables.rejections([ReportedStudy("global", more), ReportedStudy("logits", TRIALS)]).rows == (
        ("nan", "the loss is not a number", "3", "23%", "global 2, logits 1", "three"),
        ("failed", "the training stopped with an error", "2", "15%", "global 1, logits 1", "five"),
    )


def test_ops_of_the_best_against_all() -> None:
    trials = [
        ReportedTrial(number, f"localization: {transform} | {distance}", score, "complete")
        for number, (transform, distance, score) in enumerate(
            [
                ("none", "iou", 0.1),
                ("none", "giou", 0.2),
                ("none", "diou", 0.3),
                ("pow2", "iou", 0.4),
                ("sigmoid", "giou", 0.5),
                ("sigmoid", "iou", 0.6),
            ],
            1,
        )
    ]
    rejected = (
        ReportedTrial(7, "localization: pow2 | ciou", None, "rejected", "nan: x"),
        ReportedTrial(8, "localization: none | iou", 0.1, "complete"),
    )
    study = ReportedStudy("localization", (*trials, *rejected))
    # Different candidates: 7, the last repeats the first. Best three: sigmoid iou, sigmoid giou, pow2 iou.
    assert [words for _, words in top(study.choices)] == [("sigmoid", "iou"), ("sigmoid", "giou"), ("pow2", "iou")]
    (table,) = tables.ops([study])
    assert [column.title for column in table.columns] == ["op", "localization: top 3", "all 7"]
    assert table.groups == {0: "transform", 3: "distance"}
    assert table.rows == (
        ("none", "0%", "43%"),
        ("pow2", "33%", "29%"),
        ("sigmoid", "67%", "29%"),
        ("iou", "67%", "43%"),
        ("ciou", "0%", "14%"),
        ("giou", "33%", "29%"),
        ("diou", "0%", "14%"),
    )
    assert tables.ops([ReportedStudy("localization", tuple(trials[:5]))]) == []


def test_candidates_that_differ_in_the_weight_alone_are_different_candidates() -> None:
    """The best of six with the same words but other weights is among the best, and each of them counts."""
    trials = tuple(ReportedTrial(place, f"localization: none | iou x {2**place}", place / 10, "complete") for place in range(1, 7))
    study = ReportedStudy("localization", (*trials, ReportedTrial(7, trials[0].candidate, 0.1, "complete")))
    assert [trial.number for trial, _ in study.choices] == [1, 2, 3, 4, 5, 6]
    assert [trial.number for trial, _ in top(study.choices)] == [6, 5, 4]
    (table,) = tables.ops([study])
    assert [column.title for column in table.columns] == ["op", "localization: top 3", "all 6"]


def searched_images(name: str, beside: tuple[str, ...]) -> ReportedStudy:
    """Six candidates that differ in what stands beside their words, the last the best."""
    trials = (
        ReportedTrial(place, f"{name}: none > none > none | l2{text}", 0.1 * place, "complete") for place, text in enumerate(beside, 1)
    )
    return ReportedStudy(name, tuple(trials))


def test_ops_name_the_images_and_the_background_where_a_search_chose_them() -> None:
    fgbg = searched_images("fgbg", ("", " bg 4", " bg 1", " on labelled", " bg 4 on labelled", " bg 1 on labelled"))
    # The best three are the last ones. Candidates that differ in nothing else are different candidates.
    assert [words[-2:] for _, words in top(fgbg.choices)] == [("1", "labelled"), ("4", "labelled"), ("0.5", "labelled")]
    (table,) = tables.ops([fgbg])
    assert table.groups == {0: "attention", 1: "scale", 2: "norm", 3: "distance", 4: "background", 7: "images"}
    assert table.rows[4:] == (
        ("0.5", "33%", "33%"),
        ("1", "33%", "33%"),
        ("4", "33%", "33%"),
        ("all", "0%", "50%"),
        ("labelled", "100%", "50%"),
    )


def test_ops_leave_the_cells_of_a_search_empty_that_did_not_choose_images() -> None:
    chosen = searched_images("fgbg", ("", " bg 4", " bg 1", " on labelled", " bg 4 on labelled", " bg 1 on labelled"))
    texts = ("none | l1", "none | l2", "none | pearson", "norm_C | l1", "norm_C | l2", "norm_N | l1")
    plain = tuple(ReportedTrial(place, f"global: none > none > {text}", 0.1 * place, "complete") for place, text in enumerate(texts, 1))
    (table,) = tables.ops([ReportedStudy("global", plain), chosen])
    assert {row[0]: row[1:] for row in table.rows}["labelled"] == ("", "", "100%", "50%")
    assert list(table.groups.values()) == ["attention", "scale", "norm", "distance", "background", "images"]
    assert [row[0] for row in table.rows if row[0][0] in "np"] == ["none", "none", "none", "norm_C", "norm_N", "pearson"]
    assert tables.ops([ReportedStudy("global", plain)])[0].groups.keys() == {0, 1, 2, 5}, "no group beside the slots"


def test_ops_of_several_searches_are_in_the_order_of_the_vocabulary() -> None:
    def search(name: str, norm: str) -> ReportedStudy:
        texts = [f"{name}: none > none > {norm} | {distance}" for distance in ("l1", "l2", "smooth_l1", "cosine", "pearson", "kl")]
        return ReportedStudy(name, tuple(ReportedTrial(place, text, 0.1 * place, "complete") for place, text in enumerate(texts, 1)))

    (table,) = tables.ops([search("global", "norm_N"), search("fgbg", "norm_HW")])
    assert [row[0] for row in table.rows][:4] == ["none", "none", "norm_HW", "norm_N"]


def test_ops_of_the_weights_are_weights_by_knowledge() -> None:
    text = "global: none > none > none | l2 x {}\nlogits: none | kl x {}"
    pairs = [(0, 1), (1, 0), (1, 1), (2, 1), (2, 2), (8, 2)]
    trials = tuple(ReportedTrial(place, text.format(*pair), 0.1 * place, "complete") for place, pair in enumerate(pairs, 1))
    (table,) = tables.ops([ReportedStudy("weights", trials)])
    # The best three are (8, 2), (2, 2) and (2, 1).
    assert [column.title for column in table.columns] == ["weight", "global: top 3", "all 6", "logits: top 3", "all 6"]
    assert table.rows == (
        ("0", "0%", "17%", "0%", "17%"),
        ("1", "0%", "33%", "33%", "50%"),
        ("2", "67%", "33%", "67%", "33%"),
        ("8", "33%", "17%", "0%", "0%"),
    )


def test_a_candidate_of_another_knowledge_counts_nowhere() -> None:
    study = ReportedStudy(
        "logits", (ReportedTrial(1, "localization: none | iou", 0.1, "complete"), ReportedTrial(2, "nonsense", 0.2, "complete"))
    )
    assert study.choices == []


def test_costs_have_shares_and_sums() -> None:
    stages = (StageCost("search", 90, 1200), StageCost("train", 30, 300), StageCost("report", None))
    assert tables.costs(stages).rows == (
        ("search", "1 min 30 s", "75%", "1,200"),
        ("train", "30.0 s", "25%", "300"),
        ("report", "–", "", "–"),
        ("all", "2 min 00 s", "", "1,500"),
    )


def test_footprints() -> None:
    cost = Cost(1_130_000, None, {"median": 21.84, "low": 20.0, "high": 30.0}, "CPU", (240, 320))
    found = Analysis(1, {"student": Detector({}, cost=cost), "distilled": Detector({})})
    assert tables.footprints(found).rows == (("student", "1.1 million", "–", "21.8 ms", "20.0 – 30.0", "240 × 320", "CPU"),)


def test_precision_at_every_tenth_recall() -> None:
    curve = tuple(1 - place / 200 for place in range(101))
    found = Analysis(1, {"teacher": Detector({"bbox": Scores({"AP": 0.5}, curves={"0.50": curve})})})
    table = tables.precision_recall(found, "bbox", "0.50")
    assert [column.title for column in table.columns] == ["recall, %", "teacher"]
    assert (table.rows[0], table.rows[3], table.rows[10]) == (("0", "100.0"), ("30", "85.0"), ("100", "50.0"))
    assert not tables.precision_recall(found, "bbox", "0.75").rows


def test_classes_that_are_taken_for_each_other() -> None:
    # Of 10 cats 2 were taken for dogs, of 4 dogs 1 for a cat, and one detection lies on the background.
    confusion = Confusion(("cat", "dog", "background"), ((7, 2, 1), (1, 3, 0), (1, 0, 0)), 0.5, 0.3)
    assert tables.confused(confusion).rows == (("cat", "dog", "2", "20%"), ("dog", "cat", "1", "25%"))
    assert tables.confusion(confusion).rows == (
        ("cat", "10", "70%", "20%", "10%"),
        ("dog", "4", "25%", "75%", "0%"),
        ("background", "1", "100%", "0%", "0%"),
    )


def test_of_many_classes_those_with_most_errors_are_shown() -> None:
    size = 20
    rows = [[5 if row == column else 0 for column in range(size + 1)] for row in range(size + 1)]
    rows[17][19] = 4
    confusion = Confusion((*map(str, range(size)), "background"), tuple(map(tuple, rows)), 0.5, 0.3)
    titles = [column.title for column in tables.confusion(confusion).columns[2:]]
    assert len(titles) == 13
    assert {"17", "19", "background"} <= set(titles)


def test_a_table_cut_short_counts_what_it_leaves_out() -> None:
    table = tables.trials(ReportedStudy("global", TRIALS)).head(4)
    assert (len(table.rows), table.left_out) == (4, 2)
    assert table.head(3).left_out == 3


def test_a_random_search_beside_an_evolution_is_its_rival() -> None:
    evolution, rival = ReportedStudy("global", TRIALS), ReportedStudy("global", TRIALS, "random")
    alone = ReportedStudy("logits", TRIALS, "random")
    data = ReportData("run", studies=(evolution, rival, alone))
    assert data.searches == (evolution, alone)
    assert data.rival(evolution) is rival
    assert data.rival(alone) is None


def test_roles_come_first() -> None:
    raw = evaluation().to_json()
    raw["detectors"] = {"mine": raw["detectors"]["teacher"], **dict(reversed(raw["detectors"].items()))}
    assert list(Analysis.read(raw).detectors) == [*Role, "mine"]


def test_no_scores_of_a_kind() -> None:
    found = dataclasses.replace(evaluation(), detectors={"teacher": Detector({})})
    assert found.kinds == ()
    assert not tables.figures(found, "segm").rows
