"""Formulas in a small part of TeX, read into trees and written as plain text."""

from __future__ import annotations

import pytest

from detkds.genome.mathematics import Fraction, Row, Script, Symbol, parse, plain, plain_prose, segments


def test_a_tree_by_hand() -> None:
    f, two = Symbol("identifier", "f"), Symbol("number", "2")
    assert parse("f") == f
    assert parse(r"\frac{f}{2}") == Fraction(f, two)
    assert parse("f_2^2") == Script(f, two, two)
    fence = Row((Symbol("open", "("), f, Symbol("close", ")")))
    assert parse("2(f)^2") == Row((two, Script(fence, None, two)))


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        ("a - b", "a − b"),
        ("-f", "−f"),
        ("e^{-f}", "e^(−f)"),
        (r"\frac{a}{b}", "a / b"),
        (r"\frac{a + b}{c}", "(a + b) / c"),
        (r"\frac{(a + b)}{c}", "(a + b) / c"),
        (r"\frac{\frac{a}{b}}{c}", "(a / b) / c"),
        (r"\frac{1}{2} D", "½ D"),
        (r"\frac{4}{\pi^2} (a)^2", "4 / π² (a)²"),
        (r"\sqrt{a + b}", "√(a + b)"),
        (r"\frac{a}{\sqrt{b}}", "a / √b"),
        (r"\min f", "min f"),
        (r"a - \min f", "a − min f"),
        (r"\operatorname{corr}(s, t)", "corr(s, t)"),
        (r"\operatorname{mean}_C \lvert f \rvert", "mean_C |f|"),
        (r"x_{\text{2}}", "x_2"),
        (r"\log_2 x", "log₂ x"),
        (r"\lvert v \rvert^{2 \alpha}", "|v|²ᵅ"),
        (r"x^{a + b}", "x^(a + b)"),
        (r"D =", "D ="),
        (r"3.25 \times 2", "3.25 × 2"),
    ],
)
def test_plain_text(tex: str, text: str) -> None:
    assert plain(parse(tex)) == text


def test_prose_between_formulas() -> None:
    assert list(segments("$f$ over $C$")) == [(True, "f"), (False, " over "), (True, "C")]
    assert plain_prose(r"mean of $\frac{1}{2}$") == "mean of ½"


@pytest.mark.parametrize("tex", [r"\unknown", r"\frac{a}", "{a", "a}", "a_"])
def test_what_is_not_of_that_part_is_refused(tex: str) -> None:
    with pytest.raises(ValueError, match="formula"):
        parse(tex)
