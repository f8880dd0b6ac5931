"""Formulas in TeX as plain text; tests/report/test_mathml.py has them as MathML."""

from __future__ import annotations

import pytest

from detkds.genome.mathematics import check, plain, plain_prose, segments


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
        (r"\left| v \right|^{2 \alpha}", "|v|²ᵅ"),
        (r"\delta^2 (\sqrt{1 + (\frac{s - t}{\delta})^2} - 1)", "δ²(√(1 + ((s − t) / δ)²) − 1)"),
        (r"\text{a < b}", "a < b"),
        # What has no form on one line stays TeX.
        (r"\begin{matrix} a & b \end{matrix}", r"\begin{matrix} a & b \end{matrix}"),
        (r"\hat{x}", r"\hat{x}"),
    ],
)
def test_plain_text(tex: str, text: str) -> None:
    assert plain(tex) == text


def test_prose_between_formulas() -> None:
    assert list(segments("$f$ over $C$")) == [(True, "f"), (False, " over "), (True, "C")]
    assert plain_prose(r"mean of $\frac{1}{2}$") == "mean of ½"


@pytest.mark.parametrize("tex", [r"\unknown", r"\frac{a}", "{a", "a}", "a_", r"\left( a", r"\sqrt"])
def test_what_cannot_be_drawn_is_refused(tex: str) -> None:
    with pytest.raises(ValueError, match="the formula") as refused:
        check(f"mean of ${tex}$")
    assert "\n" not in str(refused.value)


def test_an_open_dollar_sign_is_refused() -> None:
    with pytest.raises(ValueError, match="dollar sign"):
        check("mean of $f")
