"""Names as a reader sees them: signs that hide or deceive, and names that look the same."""

from __future__ import annotations

import unicodedata

# Letters that are drawn as nothing. Of the format characters (Cf: zero-width, reordering and tag characters) only the two joiners are let
# in: names in Persian and in several scripts of India, and emoji, are written with them.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_JOINERS = frozenset("\u200c\u200d")
_HIDDEN = frozenset({"Cc", "Cs", "Cf", "Zl", "Zp"})
_VARIATION = frozenset(map(chr, range(0xFE00, 0xFE10)))
# What is drawn as a slash or backslash and does not become one in Unicode's compatibility form.
SLASHES = frozenset("\u2044\u2215\u2216\u2571\u2572\u27cb\u27cd\u29f5\u29f8\u29f9\U0001d20f\U0001d23a")


def has_hidden(text: str) -> bool:
    """Whether a text has control characters, halves of surrogate pairs, line separators, or marks that are invisible or reorder it."""
    return not (text.isascii() and text.isprintable()) and any(map(is_hidden, text))


def is_hidden(character: str) -> bool:
    """Whether one character is such a mark."""
    return character in _BLANK or (unicodedata.category(character) in _HIDDEN and character not in _JOINERS)


def likeness(name: str) -> str:
    """A key that is the same for names which differ only in case, accents' encoding, spaces at the ends and invisible characters."""
    if name.isascii():
        return name.lower().strip()
    seen = "".join(character for character in name if character not in _JOINERS | _VARIATION and not is_hidden(character))
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold()).strip()
