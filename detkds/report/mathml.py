"""Formulas as presentation MathML, which browsers draw by themselves."""

from __future__ import annotations

from markupsafe import Markup, escape

from detkds.genome.mathematics import Fraction, Node, Root, Row, Script, Symbol, parse, plain, segments, spaced

_TAGS = {"identifier": "mi", "number": "mn", "operator": "mo", "open": "mo", "close": "mo", "text": "mtext"}
_THIN_SPACE = Markup('<mspace width="0.17em"/>')


def prose(text: str) -> Markup:
    """Text with formulas between dollar signs as HTML: the formulas as MathML, with their plain text for who cannot see them."""
    return Markup("").join(mathml(piece) if formula else escape(piece) for formula, piece in segments(text))


def mathml(tex: str) -> Markup:
    """A formula of the part of TeX that `detkds.genome.mathematics` reads, as a <math> element.

    Raises:
        ValueError: it holds something else.
    """
    tree = parse(tex)
    return Markup('<math displaystyle="true" alttext="{}">{}</math>').format(plain(tree), _element(tree))


def _element(node: Node) -> Markup:
    match node:
        case Symbol(kind, text):
            # A fence beside a name would be spaced as an operator between two operands without its form.
            form = Markup(' form="{}" fence="true"').format("prefix" if kind == "open" else "postfix") if kind in ("open", "close") else ""
            return Markup("<{0}{1}>{2}</{0}>").format(_TAGS[kind], form, text)
        case Row(parts):
            return Markup("<mrow>{}</mrow>").format(_row(parts))
        case Fraction(over, under):
            return Markup("<mfrac>{}{}</mfrac>").format(_element(over), _element(under))
        case Root(inside):
            return Markup("<msqrt>{}</msqrt>").format(_element(inside))
        case Script(base, below, above):
            tag = "msubsup" if below and above else "msub" if below else "msup"
            pieces = Markup("").join(_element(part) for part in (base, below, above) if part)
            return Markup("<{0}>{1}</{0}>").format(tag, pieces)


def _row(parts: tuple[Node, ...]) -> Markup:
    pieces = [
        (_THIN_SPACE if spaced(before, part) else Markup("")) + _element(part) for before, part in zip((None, *parts), parts, strict=False)
    ]
    return Markup("").join(pieces)
