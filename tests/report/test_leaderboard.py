"""The leaderboard of a search's final trainings, and the loss curves."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from detkds.errors import ArtifactError
from detkds.report import ReportData, figures, render, tables
from detkds.report.curve import MOST, LossCurve, read_log
from detkds.report.leaderboard import Leaderboard
from detkds.report.markdown import markdown
from detkds.report.results import read_results, results

ROWS = [
    {"name": "pkd x 20", "recipe": "global: none > none > norm_N | l2 x 20", "seeds": 3, "scores": [0.42, 0.41, 0.43], "AP": 0.42}
    | {"low": 0.41, "high": 0.43, "gain": 0.05, "gain_low": 0.03, "gain_high": 0.07, "rejected": "", "chosen": True},
    {"name": "search 1", "recipe": "fgbg: mask > none > none | cosine x 1", "seeds": 1, "scores": [0.40], "AP": 0.40}
    | {"low": None, "high": None, "gain": 0.03, "gain_low": None, "gain_high": None, "rejected": "", "chosen": False},
    {"name": "none", "recipe": "no distillation", "seeds": 3, "scores": [0.37, 0.37, 0.37], "AP": 0.37}
    | {"low": 0.36, "high": 0.38, "gain": 0.0, "gain_low": 0.0, "gain_high": 0.0, "rejected": "", "chosen": False},
    {"name": "fkd", "recipe": "global: none > none > none | l2 x 1", "seeds": 0, "scores": [], "AP": None}
    | {"low": None, "high": None, "gain": None, "gain_low": None, "gain_high": None, "rejected": "nan: the loss", "chosen": False},
]
CONTENT = {"schema": "detkds.leaderboard/1", "level": 0.95, "epochs": 4, "seeds": 3, "rows": ROWS}


@pytest.fixture
def board() -> Leaderboard:
    return Leaderboard.read(CONTENT)


def test_the_chart_has_a_row_per_gain_and_the_chosen_one_as_its_title(board: Leaderboard) -> None:
    chart = figures.leaderboard(board)
    assert chart is not None
    assert chart.title == "Chosen: pkd x 20, +5.0 points over no distillation"
    assert [note.text for note in chart.plot.notes] == ["0.0", "+3.0", "+5.0"]  # from the lowest row
    assert [mark.look for mark in chart.plot.marks if "whisker" in mark.look] == ["line whisker muted", "line whisker distilled"]


def test_the_caption_says_what_the_intervals_cover(board: Leaderboard) -> None:
    def caption(**changed: object) -> str:
        rows = tuple(dataclasses.replace(row, **changed) for row in board.rows)  # type: ignore[arg-type]
        chart = figures.leaderboard(dataclasses.replace(board, rows=rows))
        assert chart is not None
        return chart.caption

    assert caption().startswith("95 % intervals over seeds. ")
    assert caption(chosen=False).startswith("95 % intervals over seeds and test images. ")
    assert caption(chosen=False, seeds=1).startswith("95 % intervals over test images; with one seed, other seeds may differ more. ")


def test_no_distillation_chosen_is_said_so(board: Leaderboard) -> None:
    rows = tuple(dataclasses.replace(row, chosen=row.name == "none") for row in board.rows)
    chart = figures.leaderboard(dataclasses.replace(board, rows=rows))
    assert chart is not None
    assert chart.title == "No recipe is certainly better than no distillation"


def test_the_table(board: Leaderboard) -> None:
    table = tables.leaderboard(board)
    assert table.rows[0] == ("pkd x 20", "42.0", "+5.0", "+3.0 to +7.0", "3", ROWS[0]["recipe"], "chosen")
    assert table.rows[1][3] == "–"
    assert table.rows[3][-1] == "could not be trained: nan: the loss"


def test_page_markdown_and_results_hold_it(data: ReportData, board: Leaderboard) -> None:
    full = dataclasses.replace(data, leaderboard=board, curves=(LossCurve("distilled", ((1, 2.0), (2, 1.5))),))
    html = render(full)
    assert "Chosen: pkd x 20, +5.0 points over no distillation" in html
    assert "Loss of the final trainings" in html
    assert "pkd x 20" in markdown(full)
    again = read_results(json.dumps(results(full)), "results.json")
    assert again.leaderboard == board
    assert again.curves == full.curves


def test_results_without_a_leaderboard_are_read(data: ReportData) -> None:
    content = {name: value for name, value in results(data).items() if name not in ("leaderboard", "curves")}
    found = read_results(json.dumps(content), "results.json")
    assert found.leaderboard is None
    assert found.curves == ()


@pytest.mark.parametrize("broken", [[], "x", {"rows": [{}], "level": 0.95}, {"rows": 3, "level": 0.95}, {"level": 0.95}])
def test_a_damaged_leaderboard_is_refused(data: ReportData, broken: object) -> None:
    with pytest.raises(ArtifactError, match=r"results\.json"):
        read_results(json.dumps({**results(data), "leaderboard": broken}), "results.json")


def test_the_log_of_a_training_becomes_a_curve() -> None:
    lines = [json.dumps({"step": step, "loss": 2 / step, "loss_cls": 1 / step}) for step in (1, 2, 4)]
    assert read_log("student", lines) == LossCurve("student", ((1, 2.0), (2, 1.0), (4, 0.5)))


def test_torn_lines_and_losses_that_are_not_finite_are_passed_over() -> None:
    lines = ['{"step": 1, "loss": 2.0}', '{"step": 2, "loss": NaN}', '{"step": 3, "lo', "[]", '{"step": 4, "loss": 1.0}']
    assert read_log("student", lines).points == ((1, 2.0), (4, 1.0))


def test_a_long_log_is_thinned() -> None:
    found = read_log("student", [json.dumps({"step": step, "loss": 1.0}) for step in range(10_000)])
    assert len(found.points) <= MOST
    assert found.points[0][0] == 0


def test_a_curve_of_one_point_is_no_figure() -> None:
    assert figures.losses([LossCurve("student", ((1, 1.0),))]) is None
    chart = figures.losses([LossCurve("student", ((1, 2.0), (9, 1.0)))])
    assert chart is not None
    assert chart.numbers is not None
    assert math.isclose(chart.plot.y.high, 2.1)
