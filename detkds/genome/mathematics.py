"""Formulas written once, in a small part of TeX, and read into trees: as plain text here, as MathML in the report.

The part: letters, numbers, operators, `{…}`, `^`, `_`, `\\frac{}{}`, `\\sqrt{}`, `\\operatorname{}`, `\\mathrm{}`,
`\\text{}` and the symbols of SYMBOLS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind = Literal["identifier", "number", "operator", "open", "close", "text"]


@dataclass(frozen=True, slots=True)
class Symbol:
    """A leaf: its kind and its Unicode text. `open` and `close` are fences, `upright` a name of several letters."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """Parts side by side."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Fraction:
    """One part over another."""

    over: Node
    under: Node


@dataclass(frozen=True, slots=True)
class Root:
    """The square root."""

    inside: Node


@dataclass(frozen=True, slots=True)
class Script:
    """A base with an index below, a power above, or both."""

    base: Node
    below: Node | None
    above: Node | None


Node: TypeAlias = Symbol | Row | Fraction | Root | Script

SYMBOLS: dict[str, tuple[Kind, str]] = {
    **{name: ("identifier", letter) for name, letter in zip(
        ("alpha", "varepsilon", "lambda", "mu", "pi", "rho", "sigma", "sum", "tau"), "αελμπρσ∑τ", strict=True)},
    **{name: ("identifier", name) for name in ("arctan", "cos", "log", "max", "min")},
    "cdot": ("operator", "·"), "times": ("operator", "×"), "parallel": ("operator", "∥"),
    "lvert": ("open", "|"), "rvert": ("close", "|"), "lVert": ("open", "‖"), "rVert": ("close", "‖"),
}  # fmt: skip
_TOKEN = re.compile(r"\s*(\\[a-zA-Z]+|[0-9]+(?:\.[0-9]+)?|.)", re.DOTALL)
_FENCES: dict[str, Kind] = {"(": "open", ")": "close", "[": "open", "]": "close"}
_HIGH = dict(zip("0123456789αn", "⁰¹²³⁴⁵⁶⁷⁸⁹ᵅⁿ", strict=True))
_LOW = dict(zip("0123456789", "₀₁₂₃₄₅₆₇₈₉", strict=True))


def parse(tex: str) -> Node:
    """The tree of a formula of ours.

    Raises:
        ValueError: something outside the part of TeX that is known here.
    """
    tokens = list(_tokens(tex))
    row = _row(tokens)
    if tokens:
        raise ValueError(f"unexpected {tokens[0]!r} in the formula {tex!r}.")
    return row


def plain(node: Node) -> str:
    """A tree as one line of text: (f − μ) / √(σ² + ε)."""
    match node:
        case Symbol(_, text):
            return text
        case Row(parts):
            return _joined(parts)
        case Fraction(Symbol(_, "1"), Symbol(_, "2")):
            return "½"
        case Fraction(over, under):
            return f"{_grouped(over)} / {_grouped(under)}"
        case Root(inside):
            return f"√{_grouped(inside)}"
        case Script(base, below, above):
            return plain(base) + _script("_", below, _LOW) + _script("^", above, _HIGH)


def segments(prose: str) -> Iterator[tuple[bool, str]]:
    """Text with formulas between dollar signs, piece by piece: (is it a formula, the piece)."""
    for place, piece in enumerate(prose.split("$")):
        if piece:
            yield place % 2 == 1, piece


def plain_prose(prose: str) -> str:
    """Text with formulas between dollar signs as plain text."""
    return "".join(plain(parse(piece)) if formula else piece for formula, piece in segments(prose))


def _tokens(tex: str) -> Iterator[str]:
    """Commands, numbers and letters; what stands in the braces of \\text{} and its like in one piece, as `\\text{…`."""
    end = 0
    while end < len(tex.rstrip()):
        if found := re.compile(r"\s*\\(text|mathrm|operatorname)\{([^}]*)\}").match(tex, end):
            yield f"\\{found[1]}{{{found[2]}"
        else:
            found = _TOKEN.match(tex, end)
            assert found is not None  # the pattern takes any character
            yield found[1]
        end = found.end()


def _row(tokens: list[str]) -> Node:
    parts: list[Node] = []
    while tokens and tokens[0] != "}":
        base = _atom(tokens)
        scripts: dict[str, Node] = {}
        while tokens and tokens[0] in ("_", "^"):
            mark = tokens.pop(0)
            scripts[mark] = _atom(tokens)
        if scripts and isinstance(base, Symbol) and base.kind == "close":
            base = _fence(parts, base)
        parts.append(Script(base, scripts.get("_"), scripts.get("^")) if scripts else base)
    return parts[0] if len(parts) == 1 else Row(tuple(parts))


def _fence(parts: list[Node], close: Symbol) -> Node:
    """Take from the end of a row what a closing fence closes: the power of (s − t)² is that of the whole."""
    inside: list[Node] = [close]
    depth = 1
    while depth and parts:
        part = parts.pop()
        inside.insert(0, part)
        depth += (part.kind == "close") - (part.kind == "open") if isinstance(part, Symbol) else 0
    return Row(tuple(inside))


def _atom(tokens: list[str]) -> Node:
    if not tokens:
        raise ValueError("a formula ends where a part of it is expected.")
    token = tokens.pop(0)
    if token == "{":
        inside = _row(tokens)
        if not tokens:
            raise ValueError("a brace of a formula is not closed.")
        tokens.pop(0)
        return inside
    if token == "\\frac":
        return Fraction(_atom(tokens), _atom(tokens))
    if token == "\\sqrt":
        return Root(_atom(tokens))
    return _symbol(token)


def _symbol(token: str) -> Symbol:
    name, _, content = token.removeprefix("\\").partition("{")
    if token.startswith("\\"):
        if name in ("text", "mathrm", "operatorname"):
            return Symbol("text" if name == "text" else "identifier", content)
        if name not in SYMBOLS:
            raise ValueError(f"unknown command {token!r} in a formula.")
        return Symbol(*SYMBOLS[name])
    if token in _FENCES:
        return Symbol(_FENCES[token], token)
    kind: Kind = "number" if token[0].isdigit() else "identifier" if token.isalpha() else "operator"
    return Symbol(kind, "−" if token == "-" else token)


def _joined(parts: tuple[Node, ...]) -> str:
    """Parts with spaces around operators, behind commas, and between names such as max f."""
    text = ""
    for place, part in enumerate(parts):
        before = parts[place - 1] if place else None
        if isinstance(part, Symbol) and part.kind == "operator" and part.text == ",":
            text += ", "
        elif isinstance(part, Symbol) and part.kind == "operator" and before is not None:
            text += f" {part.text} "
        else:
            text += (" " if spaced(before, part) else "") + plain(part)
    return text.rstrip()


def spaced(before: Node | None, part: Node) -> bool:
    """True where a space belongs between two neighbours: max f, ½ D, 4 / π² (…), but cos(…)."""
    if before is None or (isinstance(part, Symbol) and part.kind in ("close", "operator", "text")):
        return False
    if isinstance(before, Fraction):
        return True
    if _is_name(part):
        return not (isinstance(before, Symbol) and before.kind in ("operator", "open", "text"))
    return _is_name(before) and not (isinstance(part, Symbol) and part.text in "([")


def _is_name(node: Node) -> bool:
    base = node.base if isinstance(node, Script) else node
    return isinstance(base, Symbol) and base.kind == "identifier" and len(base.text) > 1


def _grouped(node: Node) -> str:
    text = plain(node)
    single = isinstance(node, Symbol | Script | Root) or (isinstance(node, Row) and _fenced(node))
    return text if single else f"({text})"


def _fenced(row: Row) -> bool:
    """True where a row needs no parentheses to stand beside a fraction's bar: it has no operator outside of fences."""
    depth = 0
    for part in row.parts:
        base = part.base if isinstance(part, Script) else part
        if isinstance(base, Symbol):
            depth += (base.kind == "open") - (base.kind == "close")
            if base.kind in ("operator", "text") and not depth:
                return False
        elif isinstance(base, Fraction) and not depth:
            return False
    return True


def _script(mark: str, node: Node | None, small: dict[str, str]) -> str:
    """An index or a power: in small letters where Unicode has them all, else behind _ or ^."""
    if node is None:
        return ""
    text = plain(node).replace(", ", "")
    if all(letter in small for letter in text) and not (isinstance(node, Symbol) and node.kind == "text"):
        return "".join(small[letter] for letter in text)
    return mark + (text if text.isalnum() else f"({text})")
