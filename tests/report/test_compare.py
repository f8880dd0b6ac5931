"""Several runs on one page, and the verb that makes it."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from sample_run import evaluation, study

from detkds.errors import ArtifactError, ConfigError
from detkds.evaluation.scores import Detector, Scores
from detkds.experiments.runs_page import find, report
from detkds.genome import Recipe
from detkds.report import Analysis, ReportData, StageCost, results
from detkds.report import comparison as compared
from detkds.report.compare import compare, lead
from detkds.report.comparison import Run


def other(data: ReportData, ap: float = 0.381, **changes: object) -> ReportData:
    """The same run with another distilled student."""
    assert data.evaluation is not None
    detectors = {**data.evaluation.detectors, "distilled": Detector({"bbox": Scores({"AP": ap})})}
    return dataclasses.replace(data, run="other", evaluation=Analysis(72, detectors), **changes)  # type: ignore[arg-type]


@pytest.fixture
def runs(data: ReportData) -> list[Run]:
    recipe = Recipe.parse("global: none > none > norm_batch | l2 x 5")
    second = other(data, recipe=recipe, studies=(study("global", 4, 9, "random"),), costs=(StageCost("train", 60.0, 10),))
    return [Run("first", data), Run("second", dataclasses.replace(second, provenance={**data.provenance, "Run": {"seed": "1"}}))]


def test_runs_are_measured_against_the_first(runs: list[Run]) -> None:
    # .381 - .3484 = .0326 and .381 - .3753 = .0057.
    assert compared.runs_table(runs).rows == (
        ("first", "45.8", "34.8", "37.5", "36.3 – 38.6", "+2.7", "+1.3 to +4.2", "–"),
        ("second", "45.8", "34.8", "38.1", "–", "+3.3", "–", "+0.6"),
    )
    assert lead(runs) == "second has the best distilled student, 38.1 AP, +0.6 points over first."


def test_recipes_costs_and_searches_side_by_side(runs: list[Run]) -> None:
    assert compared.recipes_table(runs).rows == (
        ("global", "catt > scale_2 > norm_N | l2 x 8", "none > none > norm_batch | l2 x 5"),
        ("fgbg", "none > none > norm_HW | pearson x 2", "–"),
        ("logits", "softmax_C | kl x 1", "–"),
        ("localization", "none | giou x 0.5", "–"),
    )
    costs = compared.costs_table(runs).rows
    assert ("train", "6 min 53 s", "1 min 00 s") in costs
    assert costs[-1] == ("student steps", "31,000", "10")
    assert [row[0] for row in compared.searches_table(runs).rows] == ["global", "fgbg", "instance", "logits", "localization", "weights"]
    assert compared.searches_table(runs).rows[1][3:] == ("–", "–")


def test_only_what_differs_in_provenance_is_shown(runs: list[Run]) -> None:
    assert compared.differing(runs).rows == (
        ("Run: configuration", "run.yaml", "–"),
        ("Run: seed", "0", "1"),
        ("Run: budget", "24 candidates a search, 200 steps each", "–"),
    )


def test_runs_on_other_test_images_are_not_compared(data: ReportData) -> None:
    digests = [{"annotations (sha256)": {"test.json": digest}} for digest in ("a", "b", "a")]
    first, second, third = (Run(str(place), dataclasses.replace(data, provenance=entry)) for place, entry in enumerate(digests))
    assert compared.same_test_set([first, third])
    assert not compared.same_test_set([first, second])
    assert "different test images" in compare([first, second])
    assert not compared.same_test_set([first, Run("x", dataclasses.replace(data, evaluation=evaluation(images=9)))])


def test_runs_without_anything_can_be_compared() -> None:
    page = compare([Run("a", ReportData("a")), Run("b", ReportData("b"))])
    assert "Fewer than two of the runs have a distilled student" in page
    assert "No run uses distillation." in page


@pytest.fixture
def home(data: ReportData, tmp_path: Path) -> Path:
    """Results as a user has them: pulled, below .detkds, and as a file."""
    for place, run in (("pulled", data), (".detkds/runs/other", other(data)), ("twin", data)):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "results.json").write_text(json.dumps(results(run)))
    return tmp_path


def test_runs_are_found_by_folder_file_and_name(home: Path) -> None:
    assert find(str(home / "pulled"), home) == home / "pulled" / "results.json"
    assert find(str(home / "pulled" / "results.json"), home) == home / "pulled" / "results.json"
    assert find("other", home / ".detkds") == home / ".detkds" / "runs" / "other" / "results.json"
    with pytest.raises(ArtifactError, match=r"absent must be a folder with a results\.json, such a file, or a run below"):
        find("absent", home)


def test_the_verb_writes_a_page_and_prints_the_figures(home: Path) -> None:
    stream = io.StringIO()
    out = home / "deep" / "compare.html"
    report([str(home / "pulled"), "other"], out=out, home=home / ".detkds", console=Console(file=stream, width=140))
    assert "other has the best distilled student, 38.1 AP" in stream.getvalue()
    assert "+1.3 to +4.2" in stream.getvalue()
    assert "2 runs compared" in out.read_text()


def test_the_command_line_takes_runs_and_a_page(home: Path) -> None:
    command = [sys.executable, "-c", "from detkds.cli import main; main()", "report"]
    good = subprocess.run([*command, "pulled", "twin/results.json", "other"], cwd=home, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    assert (home / "compare.html").is_file()
    absent = subprocess.run([*command, "pulled", "absent"], cwd=home, capture_output=True, text=True, check=False)
    assert absent.returncode == 65
    assert absent.stderr.startswith("detkds: absent must be a folder with a results.json")


def test_runs_of_one_name_go_by_what_the_user_called_them(home: Path) -> None:
    stream = io.StringIO()
    names = [str(home / "pulled"), str(home / "twin")]
    report(names, out=home / "c.html", home=home, console=Console(file=stream, width=300))
    assert all(name in stream.getvalue() for name in names)


def test_a_comparison_needs_two_runs(home: Path) -> None:
    with pytest.raises(ConfigError, match="needs two runs or more, got 1"):
        report(["pulled"], out=home / "c.html", home=home, console=Console(file=io.StringIO()))
    assert not (home / "c.html").exists()


def test_a_damaged_file_is_named(home: Path) -> None:
    (home / "twin" / "results.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"twin/results\.json"):
        report([str(home / "pulled"), str(home / "twin")], out=home / "c.html", home=home, console=Console(file=io.StringIO()))
