"""The page as a browser's parser reads it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sample_run import evaluation, example, picture, sheet

from detkds import report
from detkds.errors import ArtifactError
from detkds.evaluation.example import Box
from detkds.evaluation.result import Comparison
from detkds.evaluation.scores import Confusion, Cost, Detector, Scores
from detkds.genome import Recipe
from detkds.report import Analysis, Fidelity, ReportData, ReportedStudy, ReportedTrial, Role, StageCost, page, render
from detkds.report.compare import compare
from detkds.report.comparison import Run

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "</style></svg><iframe src=//evil.example>",
    "$x^{$ \\frac{",
    "javascript:alert(1)",
    "50%; background: url(//evil.example)",
    "\u202eevil\x00\x1b[2J\ud800",
)
INERT = frozenset(
    {"html", "head", "body", "main", "header", "footer", "section", "nav", "meta", "title", "style", "h1", "h2", "h3", "p", "div"}
    | {"span", "strong", "a", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "small", "details", "summary"}
    | {"dl", "dt", "dd", "figure", "figcaption", "svg", "g", "path", "defs", "use", "text", "pattern", "rect", "circle", "image"}
    | {"math", "mrow", "mi", "mo", "mn", "mtext", "mspace", "mfrac", "msqrt", "msub", "msup", "msubsup"}
)
"""Elements that run nothing, and load nothing but data URIs."""


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
        if tag in ("td", "th"):
            self.cells.append("")
            self.in_cell = True

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.in_cell:
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag not in ("td", "th")


def hostile(data: ReportData, word: str) -> ReportData:
    """The run with one word in every place that comes from outside."""
    scores = dataclasses.replace(
        sheet(0.3),
        per_class={word: {"AP": 0.3, "objects": 3.0}},
        confusion=Confusion((word, "background"), ((1, 1), (1, 0)), 0.5, 0.3),
    )
    box = Box((0, 0, 9, 9), word, 0.9)
    shown = dataclasses.replace(
        example(0), file=word, truth=(box,), detections=dict.fromkeys(Role, (box,)), picture=word.encode("utf-8", "replace")
    )
    trials = (
        ReportedTrial(0, word, 0.3, "complete"),
        ReportedTrial(1, word, 0.4, word),
        ReportedTrial(2, word, None, "rejected", f"{word}: {word}"),
    )
    detector = Detector({"bbox": scores}, word, Cost(1, None, {}, word, (1, 2)))
    test = Comparison(word, word, "bbox", word, 0.1, 0.05, 0.2, 0.95, 0.01, 10)
    return dataclasses.replace(
        data,
        run=word,
        evaluation=Analysis(2, {**dict.fromkeys(Role, detector), word: detector}, (test,), (shown,)),
        studies=(ReportedStudy(word, trials, word), ReportedStudy("global", trials, "random")),
        fidelity=(Fidelity(word, 0.1, 0.2), Fidelity(word, 0.2, 0.1)),
        costs=(StageCost(word, 1.0), StageCost(word, None)),
        provenance={word: {word: word}},
    )


def without_our_script(html: str) -> str:
    """The page without its one script, which is the file of the package, and the one that the content security policy admits."""
    script = (Path(report.__file__).parent / "templates" / "page.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in html
    assert html.count(f"<script>{script}</script>") == 1
    return html.replace(f"<script>{script}</script>", "")


def assert_inert(html: str, word: str) -> Reader:
    html.encode()
    html = without_our_script(html)
    reader = Reader(html)
    assert set(reader.tags) <= INERT
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    assert not [value for _, name, value in reader.attributes if name in ("href", "src") and not value.startswith("#")]
    assert not [value for _, name, value in reader.attributes if name == "style" and not re.fullmatch(r"--(share|heat): \d+%", value)]
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", html)
    kept = "".join(letter if letter.isprintable() else "\ufffd" for letter in word)
    assert kept in reader.text
    assert "49" not in re.findall(r"\b49\b", reader.text)
    return reader


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_names_are_inert_text(data: ReportData, word: str) -> None:
    assert_inert(render(hostile(data, word)), word)


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_runs_are_inert_in_a_comparison(data: ReportData, word: str) -> None:
    assert_inert(compare([Run(word, hostile(data, word)), Run("other", data)]), word)


def without_pictures(html: str) -> str:
    """The page without its data URIs, whose base64 may hold anything."""
    return re.sub(r'href="data:image/(?:jpeg|png);base64,[A-Za-z0-9+/=]*"', "", html)


def test_the_page_is_self_contained(data: ReportData) -> None:
    html = without_our_script(render(data))
    bare = without_pictures(html)
    assert bare.count("data:") == 1  # the one in the content security policy
    assert "//" not in bare.replace("/* ", "").replace(" */", "")
    assert "@import" not in bare
    reader = Reader(html)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(reader.tags)
    assert not [name for _, name, _ in reader.attributes if name == "src" or name.startswith("xmlns")]
    # Every url() is a pattern of the page itself, and every id that is referred to is there.
    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = {value[1:] for _, name, value in reader.attributes if name == "href" and value.startswith("#")}
    assert html.count("url(") == html.count("url(#")
    assert set(re.findall(r"url\(#([^)]*)\)", html)) | links <= set(ids)


def test_every_drawing_and_table_says_what_it_is(data: ReportData) -> None:
    html = render(data)
    for drawing in re.findall(r"<svg[^>]*>", html):
        assert 'aria-hidden="true"' in drawing or re.search(r'role="img" aria-label="[^"]+"', drawing)
    for math_element in re.findall(r"<math[^>]*>", html):
        assert re.search(r'alttext="[^"]+"', math_element)
    assert html.count("<table>") == html.count('<div class="scroll" tabindex="0" role="region" aria-label="')
    assert len(re.findall(r"<h1", html)) == 1


def test_the_numbers_are_those_of_the_data(data: ReportData) -> None:
    reader = Reader(render(data))
    # .3753 - .3484 = .0269, its interval .0269 - .014 to .0269 + .015; .0269 / (.4581 - .3484) = 24.5 %.
    assert (
        "Distillation raises the student's AP from 34.8 to 37.5 (+2.7 points, 95 % interval +1.3 to +4.2, p = 0.002), "
        "25 % of the way to the teacher's 45.8."
    ) in reader.text
    row = reader.cells.index("AP50")
    # AP50 = 1.75 AP: .8017, .6097, .6568; .6568 - .6097 = .0471.
    assert ["AP50", "80.2", "61.0", "65.7", "+4.7"] in [reader.cells[place : place + 5] for place in range(row, len(reader.cells))]
    for study in data.studies:
        for trial in study.trials:
            assert trial.candidate.splitlines()[0] in reader.text
            assert trial.score is None or f"{100 * trial.score:.1f}" in reader.cells
    for entries in data.provenance.values():
        for key, value in entries.items():
            assert key in reader.text
            assert value in reader.text
    assert str(data.recipe) in reader.text
    # Table 5 as mathematics, in words, and in TeX.
    assert "L_global = 8 · D(s, t) on whole neck levels, mean over levels" in reader.text
    assert r"\frac{f - \mu}{\sqrt{\sigma^2 + \varepsilon}}" in reader.text


def test_an_interval_that_holds_zero_tells_no_difference(data: ReportData) -> None:
    assert data.evaluation is not None
    test = Comparison("distilled", "student", "bbox", "AP", 0.0269, -0.004, 0.05, 0.95, 0.11, 1000)
    html = render(dataclasses.replace(data, evaluation=dataclasses.replace(data.evaluation, comparisons=(test,))))
    text = Reader(html).text
    assert "No difference is shown: the student has 34.8 AP without distillation and 37.5 with it" in text
    assert "95 % interval −0.4 to +5.0, p = 0.11" in text
    assert "raises" not in text


def test_what_is_missing_is_a_dash(data: ReportData) -> None:
    reader = Reader(render(dataclasses.replace(data, studies=())))
    row = reader.cells.index("APs")
    assert reader.cells[row + 1 : row + 5] == ["–"] * 4
    assert not {"nan", "None", "inf"} & set(reader.cells)


def test_all_nan(data: ReportData) -> None:
    nothing = Scores(
        dict.fromkeys(("AP", "AP50"), math.nan),
        {"cat": {"AP": math.nan, "objects": 0.0}},
        {"0.50": (math.nan,) * 101},
        {"C75": (math.nan,) * 101},
        {"Cls": math.nan},
    )
    trials = (ReportedTrial(0, "no distillation", math.nan, "complete"), ReportedTrial(1, "x", math.nan, "complete", seconds=math.nan))
    html = render(
        dataclasses.replace(
            data,
            evaluation=Analysis(0, {role: Detector({"bbox": nothing}) for role in Role}),
            studies=(ReportedStudy("global", trials),),
            costs=(StageCost("train", math.nan),),
        )
    )
    reader = Reader(html)
    assert "No distilled student has been evaluated yet." in reader.text
    assert "No candidate has a score." in reader.text
    assert not {"nan", "None", "inf"} & set(reader.cells)
    assert "nan" not in "".join(re.findall(r' d="([^"]*)"', html))


@pytest.mark.parametrize(
    "trials", [(), (ReportedTrial(0, "no distillation", 0.3, "complete"),), (ReportedTrial(1, "x", None, "rejected", "nan: x"),)]
)
def test_studies_of_one_trial_or_none(data: ReportData, trials: tuple[ReportedTrial, ...]) -> None:
    assert "No candidate has a score." in render(dataclasses.replace(data, studies=(ReportedStudy("global", trials),)))


def test_a_run_that_has_only_begun() -> None:
    reader = Reader(render(ReportData("early")))
    assert "No detector has been evaluated yet." in reader.text
    assert "This run has no recipe yet" in reader.text


@pytest.mark.parametrize("recipe", [Recipe(), Recipe.parse("global: none > none > none | l2 x 0")])
def test_no_recipe_found(data: ReportData, recipe: Recipe) -> None:
    assert "No loss was found that helps" in render(dataclasses.replace(data, recipe=recipe))


def test_a_transfer_run_has_no_search(data: ReportData) -> None:
    assert data.evaluation is not None
    alone = Analysis(72, {"distilled": data.evaluation.detectors["distilled"]})
    reader = Reader(render(dataclasses.replace(data, studies=(), evaluation=alone)))
    assert "The distilled student reaches 37.5 AP." in reader.text
    assert "search" not in {value for _, name, value in reader.attributes if name == "id"}


def test_detectors_without_a_role_are_shown_by_name() -> None:
    found = Analysis(3, {"mine": Detector({"segm": sheet(0.2)}), "yours": Detector({"segm": sheet(0.3)})})
    reader = Reader(render(ReportData("two", found)))
    assert {"mine", "yours"} <= set(reader.cells)
    assert "Masks, 3 test images" in reader.text


def test_the_same_data_give_the_same_page(data: ReportData) -> None:
    assert render(data) == render(data)


def test_a_long_search_of_many_classes_stays_below_the_limit(data: ReportData) -> None:
    text = "weights:\n" + "\n".join(["global: catt > scale_2 > norm_minmax | smooth_l1 x 0.5"] * 5)
    trials = tuple(ReportedTrial(number, text, 0.3 + number * 1e-5, "complete", seconds=2.0) for number in range(3000))
    scores = dataclasses.replace(sheet(0.3), per_class={f"class {number} {'<' * 300}": {"AP": 0.3} for number in range(1203)})
    html = render(
        dataclasses.replace(
            data,
            studies=tuple(ReportedStudy(name, trials) for name in ("global", "weights")),
            evaluation=Analysis(5, {role: Detector({"bbox": scores}) for role in Role}),
        )
    )
    assert len(html.encode()) <= page.MAX_BYTES
    assert re.search(r"\d+ more rows are in results\.json", html)


def test_pictures_that_do_not_fit_are_counted(data: ReportData) -> None:
    assert data.evaluation is not None
    large = b"\xff\xd8\xff" + bytes(250_000)  # 333,336 letters in base64: five fit beside the rest, twelve do not
    shown = tuple(dataclasses.replace(example(number), picture=large) for number in range(12))
    html = render(dataclasses.replace(data, evaluation=dataclasses.replace(data.evaluation, examples=shown)))
    assert len(html.encode()) <= page.MAX_BYTES
    assert html.count("data:image/jpeg;base64,") == 3
    assert "9 more images did not fit" in html


def test_only_pictures_are_embedded(data: ReportData) -> None:
    shown = [dataclasses.replace(example(0), picture=content) for content in (picture(1), b"<svg onload=alert(1)>", None)]
    html = render(ReportData("run", dataclasses.replace(evaluation(), examples=tuple(shown))))
    assert html.count("data:image/jpeg;base64,") == 1
    assert "onload" not in html


def test_a_page_that_cannot_fit_says_so(data: ReportData) -> None:
    heavy = dataclasses.replace(data, provenance={"packages": {f"p{number}": "x" * 400 for number in range(6000)}})
    with pytest.raises(ArtifactError, match="at most 2000000 bytes"):
        render(heavy)
