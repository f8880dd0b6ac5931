"""The page as a browser's parser reads it."""

from __future__ import annotations

import dataclasses
import math
import re
from html.parser import HTMLParser

import pytest
from sample_run import Sheet, sheet

from detkds.errors import ArtifactError
from detkds.genome import Recipe
from detkds.report import Detector, ReportData, Role, StageCost, Study, TrialPoint, page, render

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "</style></svg><iframe src=//evil.example>",
    "$x^{$ \\frac{",
    "javascript:alert(1)",
    "\u202eevil\x00\x1b[2J\ud800",
)
INERT = frozenset(
    {"html", "head", "body", "main", "header", "section", "nav", "meta", "title", "style", "h1", "h2", "h3", "p", "div", "span", "a"}
    | {"ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "small", "details", "summary", "dl", "dt", "dd"}
    | {"figure", "figcaption", "svg", "g", "path", "defs", "use", "text", "clippath", "rect", "circle"}
)
"""Elements that load nothing and run nothing."""


class Reader(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.cells: list[str] = []
        self.text = ""
        self.in_cell = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "td":
            self.cells.append("")
            self.in_cell = True

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.in_cell:
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag != "td"


def hostile(data: ReportData, word: str) -> ReportData:
    """The run with one word in every place that comes from outside."""
    scores = dataclasses.replace(sheet(0.3), per_class={word: 0.3})
    trials = (
        TrialPoint(0, word, 0.3, "complete"),
        TrialPoint(1, word, 0.4, "complete"),
        TrialPoint(2, word, None, "rejected", f"{word}: {word}"),
    )
    return dataclasses.replace(
        data,
        run=word,
        detectors=tuple(Detector(role, word, scores) for role in Role),
        studies=(Study(word, trials),),
        costs=(StageCost(word, 1.0), StageCost(word, None)),
        provenance={word: {word: word}},
        formulas=dict.fromkeys(data.formulas, word),
    )


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_names_are_inert_text(data: ReportData, word: str) -> None:
    html = render(hostile(data, word))
    html.encode()
    reader = Reader(html)
    assert set(reader.tags) <= INERT
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    assert not [value for _, name, value in reader.attributes if name in ("href", "src") and not value.startswith("#")]
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", html)
    kept = "".join(letter if letter.isprintable() else "\ufffd" for letter in word)
    assert reader.cells.count(kept) >= 3


def test_the_page_is_self_contained(data: ReportData) -> None:
    html = render(data)
    assert "//" not in html.replace("/* ", "").replace(" */", "")
    assert "@import" not in html
    reader = Reader(html)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(reader.tags)
    assert not [name for _, name, _ in reader.attributes if name == "src" or name.startswith("xmlns")]
    assert ("meta", "content", "default-src 'none'; style-src 'unsafe-inline'") in reader.attributes
    # Every url() is a clip path of the page itself, and every id that is referred to is there.
    ids = {value for _, name, value in reader.attributes if name == "id"}
    referred = set(re.findall(r"url\(#([^)]*)\)", html)) | {value[1:] for _, name, value in reader.attributes if name == "href"}
    assert html.count("url(") == html.count("url(#")
    assert referred <= ids


def test_the_numbers_are_those_of_the_data(data: ReportData) -> None:
    reader = Reader(render(data))
    # .3753 - .3484 = .0269; .0269 / (.4581 - .3484) = 24.5 %.
    assert "Distillation raises the student's AP from 34.8 to 37.5 (+2.7 points), 25 % of the way to the teacher's 45.8." in reader.text
    row = reader.cells.index("AP50")
    # AP50 = 1.75 AP: .8017, .6097, .6568; .6568 - .6097 = .0471.
    assert reader.cells[row + 1 : row + 5] == ["80.2", "61.0", "65.7", "+4.7"]
    for study in data.studies:
        for trial in study.trials:
            assert trial.text.splitlines()[0] in reader.text
            assert trial.score is None or f"{100 * trial.score:.1f}" in reader.cells
    for entries in data.provenance.values():
        for key, value in entries.items():
            assert key in reader.text
            assert value in reader.text
    assert str(data.recipe) in reader.text
    assert all(line in reader.text for formula in data.formulas.values() for line in formula.splitlines())


def test_what_is_missing_is_a_dash(data: ReportData) -> None:
    reader = Reader(render(dataclasses.replace(data, studies=())))
    row = reader.cells.index("APs")
    assert reader.cells[row + 1 : row + 5] == ["–"] * 4
    assert not {"nan", "None", "inf"} & set(reader.cells)


def test_all_nan(data: ReportData) -> None:
    empty = Sheet(dict.fromkeys(("AP", "AP50"), math.nan), {"cat": math.nan}, {"0.50": (math.nan,) * 101}, images=0)
    trials = (TrialPoint(0, "no distillation", math.nan, "complete"), TrialPoint(1, "x", math.nan, "complete", seconds=math.nan))
    nothing = dataclasses.replace(
        data,
        detectors=tuple(Detector(role, "d", empty) for role in Role),
        studies=(Study("global", trials),),
        costs=(StageCost("train", math.nan),),
    )
    reader = Reader(render(nothing))
    assert "The distilled student reaches" not in reader.text
    assert "No candidate has a score." in reader.text
    assert not {"nan", "None", "inf"} & set(reader.cells)


@pytest.mark.parametrize(
    "trials", [(), (TrialPoint(0, "no distillation", 0.3, "complete"),), (TrialPoint(1, "x", None, "rejected", "nan: x"),)]
)
def test_studies_of_one_trial_or_none(data: ReportData, trials: tuple[TrialPoint, ...]) -> None:
    assert "No candidate has a score." in render(dataclasses.replace(data, studies=(Study("global", trials),)))


def test_a_run_that_has_only_begun() -> None:
    reader = Reader(render(ReportData("early")))
    assert "No detector has been evaluated yet." in reader.text
    assert "This run has no recipe yet." in reader.text


@pytest.mark.parametrize("recipe", [Recipe(), Recipe.parse("global: none > none > none | l2 x 0")])
def test_no_recipe_found(data: ReportData, recipe: Recipe) -> None:
    assert "No distillation: no loss was found that helps" in render(dataclasses.replace(data, recipe=recipe))


def test_a_transfer_run_has_no_search(data: ReportData) -> None:
    reader = Reader(render(dataclasses.replace(data, studies=(), detectors=data.detectors[:1])))
    assert "The distilled student reaches 37.5 AP." in reader.text
    assert not {"search", "gain"} & {value for _, name, value in reader.attributes if name == "id"}


def test_the_same_data_give_the_same_page(data: ReportData) -> None:
    assert render(data) == render(data)


def test_a_long_search_of_many_classes_stays_below_the_limit(data: ReportData) -> None:
    text = "weights:\n" + "\n".join(["global: catt > scale_2 > norm_minmax | smooth_l1 x 0.5"] * 5)
    trials = tuple(TrialPoint(number, text, 0.3 + number * 1e-5, "complete", seconds=2.0) for number in range(3000))
    scores = dataclasses.replace(sheet(0.3), per_class={f"class {number} {'<' * 300}": 0.3 for number in range(1203)})
    large = dataclasses.replace(
        data,
        studies=tuple(Study(name, trials) for name in ("global", "weights")),
        detectors=tuple(Detector(role, "d", scores) for role in Role),
    )
    html = render(large)
    assert len(html.encode()) <= page.MAX_BYTES
    assert re.search(r"\d+ more rows are in results\.json", html)


def test_a_page_that_cannot_fit_says_so(data: ReportData) -> None:
    heavy = dataclasses.replace(data, provenance={"packages": {f"p{number}": "x" * 400 for number in range(6000)}})
    with pytest.raises(ArtifactError, match="at most 2000000 bytes"):
        render(heavy)
