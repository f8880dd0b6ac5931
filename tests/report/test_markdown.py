"""report.md."""

from __future__ import annotations

import dataclasses

import pytest
from sample_run import sheet

from detkds.evaluation.scores import Detector
from detkds.genome import Recipe
from detkds.report import Analysis, ReportData, ReportedStudy, ReportedTrial, markdown
from detkds.report.markdown import MAX_CHARACTERS, escape


def test_the_headline_and_the_recipe(data: ReportData) -> None:
    text = markdown(data)
    assert text.startswith("# bccd\n\nDistillation raises the student's AP from 34.8 to 37.5")
    assert "| AP50 | 80.2 | 61.0 | 65.7 | +4.7 |" in text
    assert f"```\n{data.recipe}\n```" in text
    assert "L_global = 8 · D(s, t) on whole neck levels" in text
    assert "| weights | 29.8 |" in text
    assert "| **attention** |" in text
    assert "| distilled student − student | AP | +2.7 | +1.3 to +4.2 | 0.002 | the distilled student is better |" in text


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("a | b\n# c", r"a \| b \# c"),
        ("<img src=x onerror=y>", "&lt;img src=x onerror=y&gt;"),
        ("[x](javascript:y)", r"\[x\](javascript\:y)"),
        ("https://evil.example", r"https\://evil.example"),
        ("*b* _i_ `c` ~~s~~ \\", r"\*b\* \_i\_ \`c\` \~\~s\~\~ \\"),
        ("a\x00\ud800b", "a\ufffd\ufffdb"),
    ],
)
def test_names_have_no_power_over_markdown(word: str, text: str) -> None:
    assert escape(word) == text


def test_hostile_names_stay_in_their_cell(data: ReportData) -> None:
    word = "| <script>\n\n# x `"
    scores = dataclasses.replace(sheet(0.3), per_class={word: {"AP": 0.3}})
    trials = (ReportedTrial(0, word, 0.3, "complete"), ReportedTrial(1, word, None, "rejected", word))
    text = markdown(
        dataclasses.replace(
            data,
            run=word,
            evaluation=Analysis(1, {word: Detector({"bbox": scores}, word)}),
            studies=(ReportedStudy(word, trials),),
            provenance={word: {word: word}},
        )
    )
    assert "<script" not in text
    for line in text.splitlines():
        assert not line.startswith("| ") or line.endswith(" |")
        assert not line.startswith("# ") or line.startswith("# \\|")


@pytest.mark.parametrize(("recipe", "text"), [(None, "has no recipe yet"), (Recipe(), "No distillation")])
def test_without_a_recipe(data: ReportData, recipe: Recipe | None, text: str) -> None:
    assert text in markdown(dataclasses.replace(data, recipe=recipe))


def test_an_empty_run() -> None:
    assert markdown(ReportData("early")) == "# early\n\nNo detector has been evaluated yet.\n\n## Recipe\n\nThis run has no recipe yet.\n"


def test_markdown_stays_below_the_limit_of_kfp(data: ReportData) -> None:
    heavy = dataclasses.replace(data, provenance={str(number): {str(line): "x" * 190 for line in range(50)} for number in range(60)})
    text = markdown(heavy)
    assert len(text) <= MAX_CHARACTERS
    assert len(text) > MAX_CHARACTERS * 0.9
    many = dataclasses.replace(sheet(0.3), per_class={f"class {number}": {"AP": 0.3} for number in range(150)})
    found = Analysis(1, {"teacher": Detector({"bbox": many})})
    assert "50 more rows are in results.json." in markdown(dataclasses.replace(data, evaluation=found))
