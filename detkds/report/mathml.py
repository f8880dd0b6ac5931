"""Prose with formulas as HTML."""

from __future__ import annotations

from markupsafe import Markup, escape

from detkds.genome.mathematics import mathml, segments


def prose(text: str) -> Markup:
    """Text with formulas between dollar signs as HTML: the formulas as MathML, with their plain text for screen readers."""
    return Markup("").join(Markup(mathml(piece)) if formula else escape(piece) for formula, piece in segments(text))
