"""Numbers as the paper writes them, and words from outside made fit to stand on a page."""

from __future__ import annotations

import math

MISSING = "–"
MAX_CHARACTERS = 400


def percent(value: float | None) -> str:
    """An AP in [0, 1] as the paper writes it: .3831 is 38.3; a dash where there is none."""
    return f"{100 * value:.1f}" if value is not None and math.isfinite(value) else MISSING


def change(after: float | None, before: float | None) -> str:
    """The difference of two APs in points, with its sign: +3.1, −0.4, 0.0; a dash where one is missing."""
    if after is None or before is None or not math.isfinite(after - before):
        return MISSING
    text = f"{100 * (after - before):+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def duration(seconds: float | None) -> str:
    """8.2 s, 3 min 20 s, 1 h 05 min; a dash where unknown."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def count(value: int | None) -> str:
    """12,800; a dash where it does not apply."""
    return MISSING if value is None else f"{value:,}"


def clean(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Text from outside, of at most `limit` characters, without control characters and half surrogates, which a UTF-8 page cannot hold."""
    kept = text[:limit]
    safe = "".join(letter if letter.isprintable() or letter == "\n" else " " if letter.isspace() else "\ufffd" for letter in kept)
    return safe + ("…" if len(text) > limit else "")
