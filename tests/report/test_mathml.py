"""Formulas as MathML."""

from __future__ import annotations

from itertools import product
from xml.etree import ElementTree

import pytest

from detkds.genome import SLOTS, Genome, Knowledge
from detkds.genome.formula import tex
from detkds.genome.vocabulary import SEMANTICS
from detkds.report.mathml import prose


def test_a_fraction_a_root_and_a_power() -> None:
    element = ElementTree.fromstring(prose(r"$\frac{f - \mu}{\sqrt{\sigma^2}}$"))
    assert (element.tag, element.get("alttext")) == ("math", "(f − μ) / √σ²")
    over, under = element.find(".//mfrac") or ()
    assert "".join(over.itertext()) == "f−μ"
    assert [part.text for part in under.find(".//msqrt//msup") or ()] == ["σ", "2"]


def test_names_are_identifiers_with_a_thin_space_before_what_is_not_in_parentheses() -> None:
    element = ElementTree.fromstring(prose(r"$\operatorname{mean}_C f \cdot \operatorname{corr}(s, t)$"))
    assert [part.text for part in element.iter("mi")] == ["mean", "C", "f", "corr", "s", "t"]
    assert len(list(element.iter("mspace"))) == 1


def test_text_is_escaped() -> None:
    assert "<mtext>a\u00a0&lt;\u00a0b</mtext>" in prose(r"$\text{a < b}$")
    assert "<script" not in prose(r"<script> $<script>$ $\text{<script>}$")
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
