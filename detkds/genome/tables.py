"""The tables of words and presets, in Markdown: those of docs/genome.md, and those of a plugin's words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from detkds.genome.knowledge import FEATURES, Knowledge
from detkds.genome.mathematics import plain_prose
from detkds.genome.presets import left_out, names, preset, source
from detkds.genome.words import Word, all_words

TITLES = {
    "attention": (Knowledge.GLOBAL, "attention"),
    "scale": (Knowledge.GLOBAL, "scale"),
    "norm": (Knowledge.GLOBAL, "norm"),
    "distance of features": (Knowledge.GLOBAL, "distance"),
    "transform of logits": (Knowledge.LOGITS, "transform"),
    "distance of logits": (Knowledge.LOGITS, "distance"),
    "transform of localization": (Knowledge.LOCALIZATION, "transform"),
    "distance of localization": (Knowledge.LOCALIZATION, "distance"),
}
"""Name of a table to one of its knowledges, and the slot."""


def words_of(title: str) -> list[Word]:
    """The words of a table; features share one, whichever of them a word is for."""
    of, slot = TITLES[title]
    alike = set(FEATURES if of.is_feature else (of,))
    return [word for word in all_words() if word.slot == slot and alike.intersection(word.knowledges)]


def table(words: Iterable[Word]) -> str:
    """One row per word: its name, what it means under either semantics, and the spaces that offer it."""
    rows = [f"| `{word.name}`{_only(word)} | {_meaning(word, 'paper')} | {_meaning(word, 'released')} | {_space(word)} |" for word in words]
    return "\n".join(["| word | means | semantics `released` | space |", "|---|---|---|---|", *rows])


def filled(page: str) -> str:
    """A page with the table of each `<!-- words: TITLE -->` and `<!-- presets -->` put between that line and the next `<!-- end -->`."""

    def fill(match: re.Match[str]) -> str:
        return f"<!-- words: {match[1]} -->\n\n{table(word for word in words_of(match[1]) if not word.module)}\n\n<!-- end -->"

    page = re.sub(r"<!-- words: (.*?) -->.*?<!-- end -->", fill, page, flags=re.DOTALL)
    listed = f"<!-- presets -->\n\n{presets()}\n\n<!-- end -->"
    return re.sub(r"<!-- presets -->.*?<!-- end -->", lambda match: listed, page, flags=re.DOTALL)


def presets() -> str:
    """One row per preset: its name, the published method, its losses with their weights, and what of the method they leave out."""
    rows = [f"| `{name}` | {source(name)} | {_losses(name)} | {left_out(name)} |" for name in names()]
    return "\n".join(["| name | method | losses | not included |", "|---|---|---|---|", *rows])


def _losses(name: str) -> str:
    """The genomes as code, each with the pipe escaped, as a table needs it."""
    return ", ".join("`{}`".format(str(genome).replace("|", "\\|")) for genome in preset(name).active)


def _only(word: Word) -> str:
    """The knowledges of a word that not every knowledge with its slots has."""
    narrow = word.knowledges[0].is_feature and len(word.knowledges) == 1
    return f" ({word.knowledges[0]})" if narrow else ""


def _meaning(word: Word, semantics: str) -> str:
    if semantics not in word.semantics:
        return "not offered"
    if semantics == "released" and not word.released:
        return "the same"
    return plain_prose(word.formula_of(semantics)).replace("|", "\\|")


def _space(word: Word) -> str:
    return word.spaces[0] if word.spaces else "none: read as `none`"
