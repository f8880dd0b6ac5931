"""Formulas as MathML."""

from __future__ import annotations

from itertools import product
from xml.etree import ElementTree

import pytest

from detkds.genome import SLOTS, Genome, Knowledge
from detkds.genome.formula import tex
from detkds.genome.vocabulary import SEMANTICS
from detkds.report.mathml import mathml, prose


def test_a_fraction_a_root_and_a_power() -> None:
    assert mathml(r"\frac{f - \mu}{\sqrt{\sigma^2}}") == (
        '<math displaystyle="true" alttext="(f − μ) / √σ²"><mfrac><mrow><mi>f</mi><mo>−</mo><mi>μ</mi></mrow>'
        "<msqrt><msup><mi>σ</mi><mn>2</mn></msup></msqrt></mfrac></math>"
    )


def test_a_power_of_a_parenthesis_is_that_of_the_whole() -> None:
    element = ElementTree.fromstring(mathml("(s - t)^2"))
    (power,) = element
    assert power.tag == "msup"
    assert "".join(power[0].itertext()) == "(s−t)"
    assert [part.get("form") for part in power[0] if part.get("fence")] == ["prefix", "postfix"]


def test_text_is_escaped() -> None:
    assert "a &lt; b" in mathml(r"\text{a < b}")
    assert prose("N < 4 where $N < 4$").startswith("N &lt; 4 where <math")
    assert "<mo>&lt;</mo>" in prose("$N < 4$")


@pytest.mark.parametrize("semantics", SEMANTICS)
@pytest.mark.parametrize("knowledge", list(Knowledge))
def test_every_formula_is_well_formed(knowledge: Knowledge, semantics: str) -> None:
    pieces = set()
    for *words, distance in product(*SLOTS[knowledge].values()):
        pieces.update(tex(Genome(knowledge, tuple(words), distance), semantics))
    for line in pieces:
        ElementTree.fromstring(f"<p>{prose(line)}</p>")
