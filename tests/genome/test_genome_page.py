"""docs/genome.md has the registry's tables, and every preset.

After a change of words, write the tables again: `DETKDS_REGENERATE=1 python -m pytest tests/genome/test_genome_page.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

from detkds.genome.presets import ABSENT, names
from detkds.genome.tables import TITLES, filled, presets, words_of
from detkds.genome.words import all_words

FILE = Path(__file__).parents[2] / "docs" / "genome.md"
PAGE = FILE.read_text()


def test_the_tables_are_those_of_the_registry() -> None:
    if os.environ.get("DETKDS_REGENERATE"):
        FILE.write_text(filled(PAGE))
    assert FILE.read_text() == filled(PAGE)


def test_the_page_has_a_table_for_every_word() -> None:
    assert all(f"<!-- words: {title} -->" in PAGE for title in TITLES)
    of_tables = {word for title in TITLES for word in words_of(title)}
    assert {word for word in all_words() if not word.module} <= of_tables


def test_the_page_has_every_preset_with_its_losses() -> None:
    assert "<!-- presets -->" in PAGE
    rows = {row.split("`")[1]: row for row in presets().splitlines()[2:]}
    assert tuple(rows) == names()
    method, losses = "PKD (Cao et al., 2022): mean squared error of standardised channels", r"`global: none > none > norm_batch \| l2 x 20`"
    assert rows["pkd"] == f"| `pkd` | {method} | {losses} |  |"
    assert rows["frs"].split(" | ")[2] == r"`global: score > none > none \| l2 x 1`, `logits: score \| bce x 1`"


def test_the_page_names_what_no_genome_expresses() -> None:
    assert all(f"**{name}**" in PAGE for name in ("DiffKD", "MasKD"))
    assert set(ABSENT) == {"diffkd", "maskd"}
