"""TeX as MathML, which browsers draw, and as one line of plain text. latex2mathml reads the TeX; here is what it leaves to its caller."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from html import unescape
from xml.etree.ElementTree import Element, tostring

_SPACE = "mspace"
_SCRIPTS = {"msub": "_", "munder": "_", "msup": "^", "msubsup": "_^", "munderover": "_^"}
_SMALL = {
    "^": dict(zip("0123456789αn", "⁰¹²³⁴⁵⁶⁷⁸⁹ᵅⁿ", strict=True)),
    "_": dict(zip("0123456789", "₀₁₂₃₄₅₆₇₈₉", strict=True)),
}
_FENCES, _LARGE = frozenset("()[]{}|‖"), frozenset("∑∏∫")
_PLAIN_SPACES = str.maketrans("\u00a0\u2006\u2009", "   ")


def mathml(tex: str) -> str:
    """A formula as a <math> element, with its plain text for screen readers.

    Raises:
        ValueError: it is not TeX of a formula, or has a command that latex2mathml does not know.
    """
    element = _element(tex)
    element.set("displaystyle", "true")
    element.set("alttext", plain(tex))
    return tostring(element, encoding="unicode")


def plain(tex: str) -> str:
    """A formula as one line of text: (f − μ) / √(σ² + ε). What has no such form, a matrix for example, stays TeX.

    Raises:
        ValueError: as `mathml`.
    """
    try:
        return _text(_element(tex))
    except KeyError:
        return tex


def segments(prose: str) -> Iterator[tuple[bool, str]]:
    """Text with formulas between dollar signs, piece by piece: (is it a formula, the piece)."""
    for place, piece in enumerate(prose.split("$")):
        if piece:
            yield place % 2 == 1, piece


@functools.lru_cache(4096)
def plain_prose(prose: str) -> str:
    """Text with formulas between dollar signs as plain text."""
    return "".join(plain(piece) if formula else piece for formula, piece in segments(prose))


def check(prose: str) -> None:
    """Whether every formula of a prose can be drawn.

    Raises:
        ValueError: one cannot, or a dollar sign is not closed.
    """
    if prose.count("$") % 2:
        raise ValueError("a dollar sign of the formula is not closed.")
    for formula, piece in segments(prose):
        if formula:
            plain(piece)


def _element(tex: str) -> Element:
    """The tree that latex2mathml makes, checked, with names and spaces as mathematics has them."""
    from latex2mathml.converter import Converter  # a quarter of a second, and only who shows formulas needs it

    bare = re.sub(r"\\[{}]", "", tex)
    if bare.count("{") != bare.count("}"):
        raise ValueError(f"the formula {tex!r} has a brace that is not closed.")
    try:
        root = Converter().convert_to_element(tex)
    except Exception as error:  # latex2mathml raises its own errors, and IndexError and others where TeX ends too early
        raise ValueError(f"the formula {tex!r} is not TeX that can be drawn ({type(error).__name__}).") from None
    root.attrib.clear()
    for part in root.iter():
        part.text = unescape(part.text or "") or None
        if (part.text or "").startswith("\\"):
            raise ValueError(f"the formula {tex!r} has the unknown command {part.text}.")
        if part.tag == "mfrac" and len(part) != 2:
            raise ValueError(f"the formula {tex!r} has a fraction without its second part.")
    _tidy(root)
    return root


def _tidy(element: Element) -> None:
    """Names such as softmax become identifiers, which an operator's space would set apart from their arguments; neighbours such as
    max f get a thin space."""
    if element.tag == "mo" and re.fullmatch(r"[A-Za-z]\w+", element.text or ""):
        element.tag = "mi"
    for part in element:
        _tidy(part)
    if element.tag == "mrow":
        parts = list(element)
        for place in reversed(range(1, len(parts))):
            if _spaced(parts[place - 1], parts[place]):
                element.insert(place, Element(_SPACE, {"width": "0.17em"}))


def _text(element: Element) -> str:
    """A tree as one line.

    Raises:
        KeyError: an element that has no such form.
    """
    match element.tag, list(element):
        case (("mi" | "mn" | "mo" | "mtext"), _):
            return (element.text or "").translate(_PLAIN_SPACES)
        case (("mspace"), _):
            return " "
        case (("math" | "mrow" | "mstyle"), parts):
            return _joined(parts)
        case "mfrac", [over, under]:
            return "½" if (_text(over), _text(under)) == ("1", "2") else f"{_grouped(over)} / {_grouped(under)}"
        case "msqrt", parts:
            return f"√{_grouped(_only(parts))}"
        case tag, [base, *scripts]:
            marks = zip(_SCRIPTS[tag], scripts, strict=True)
            return _text(base) + "".join(_script(mark, script) for mark, script in marks)
    raise KeyError(element.tag)


def _joined(parts: Sequence[Element]) -> str:
    """Parts with spaces around operators and behind commas."""
    text = ""
    for place, part in enumerate(parts):
        sign = _text(part)
        if _is_operator(part) and sign == ",":
            text += ", "
        elif _is_operator(part) and place:
            text += f" {sign} "
        else:
            text += sign
    return text.rstrip()


def _spaced(before: Element, part: Element) -> bool:
    """Whether a space belongs between two neighbours: max f, ½ D, 4 / π² (…), but cos(…)."""
    if _is_operator(before) or _is_operator(part) or _base(part).text in (")", "]"):
        return False
    if before.tag == "mfrac" or _is_name(part):
        return _base(before).text not in ("(", "[", "|", "‖") or _base(before).tag == "mfrac"
    return _is_name(before) and _base(part).text not in ("(", "[")


def _base(element: Element) -> Element:
    return _base(element[0]) if element.tag in _SCRIPTS or (element.tag == "mrow" and len(element)) else element


def _is_name(element: Element) -> bool:
    base = element[0] if element.tag in _SCRIPTS else element
    return base.tag == "mi" and len(base.text or "") > 1


def _is_operator(element: Element) -> bool:
    return element.tag == "mo" and element.text not in _FENCES | _LARGE


def _only(parts: Sequence[Element]) -> Element:
    if len(parts) == 1:
        return parts[0]
    row = Element("mrow")
    row.extend(parts)
    return row


def _grouped(element: Element) -> str:
    """A part beside a fraction's bar or under a root: in parentheses where it has an operator outside of fences."""
    text = _text(element)
    return f"({text})" if _has_operator(element) else text


def _has_operator(element: Element) -> bool:
    """Whether a part is a fraction, or a row with an operator or a fraction outside of fences."""
    if element.tag != "mrow":
        return element.tag == "mfrac"
    depth, absolute = 0, False
    for part in element:
        sign = _base(part).text if part.tag != "mrow" else None
        depth += (sign in ("(", "[")) - (sign in (")", "]"))
        absolute ^= sign in ("|", "‖")
        if not (depth or absolute) and (_is_operator(part) or part.tag == "mtext" or _has_operator(part)):
            return True
    return False


def _script(mark: str, element: Element) -> str:
    """An index or a power: in small letters where Unicode has them all, else behind _ or ^."""
    text = _text(element).replace(", ", "")
    whole = "mtext" in {part.tag for part in element.iter()}
    if not whole and all(letter in _SMALL[mark] for letter in text):
        return "".join(_SMALL[mark][letter] for letter in text)
    return mark + (text if text.isalnum() else f"({text})")
