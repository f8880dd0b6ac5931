"""Numbers as the paper writes them, and text from outside made safe for a page."""

from __future__ import annotations

import math

MISSING = "–"
MAX_CHARACTERS = 2000


def percent(value: float | None) -> str:
    """An AP in [0, 1] as the paper writes it: .3831 is 38.3; a dash where there is none."""
    return f"{100 * value:.1f}" if value is not None and math.isfinite(value) else MISSING


def change(after: float | None, before: float | None) -> str:
    """The difference of two APs in points, with its sign: +3.1, −0.4, 0.0; a dash where one is missing."""
    return MISSING if after is None or before is None else points(after - before)


def points(difference: float) -> str:
    """A difference of APs in points, with its sign: +3.1, −0.4, 0.0; a dash where it is not finite."""
    if not math.isfinite(difference):
        return MISSING
    text = f"{100 * difference:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def span(bounds: tuple[float, float] | None) -> str:
    """An interval of APs in percent: 33.1 – 36.2; a dash where there is none."""
    return MISSING if bounds is None else f"{percent(bounds[0])} – {percent(bounds[1])}"


def chance(p: float) -> str:
    """p = 0.012, or p < 0.001; "p unknown" where it is not finite."""
    if not math.isfinite(p):
        return "p unknown"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def share(part: float, whole: float) -> str:
    """A share in whole percent, 37%; empty if the whole is 0."""
    return f"{100 * part / whole:.0f}%" if whole > 0 and math.isfinite(part / whole) else ""


def duration(seconds: float | None) -> str:
    """8.2 s, 3 min 20 s, 1 h 05 min; a dash where unknown."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def counted(number: int, noun: str) -> str:
    """1 seed, 2 seeds."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def count(value: int | None) -> str:
    """12,800; a dash where it does not apply."""
    return MISSING if value is None else f"{value:,}"


def large(value: float | None) -> str:
    """A number with a thousand's word: 1.1 million, 34.2 billion; a dash where unknown."""
    if value is None or not math.isfinite(value):
        return MISSING
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if abs(value) >= size:
            return f"{value / size:.1f} {word}"
    return f"{value:,.0f}"


def short(text: str, limit: int = 20) -> str:
    """Text of at most `limit` letters, for the axis of a chart."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def clean(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Text from outside, of at most `limit` characters, without control characters and half surrogates, which a UTF-8 page cannot hold."""
    kept = text[:limit]
    safe = "".join(letter if letter.isprintable() or letter == "\n" else " " if letter.isspace() else "\ufffd" for letter in kept)
    return safe + ("…" if len(text) > limit else "")
