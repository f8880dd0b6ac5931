"""docs/genome.md has the registry's tables, and every preset.

After a change of words, write the tables again: `DETKDS_REGENERATE=1 python -m pytest tests/genome/test_genome_page.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from detkds.genome.presets import ABSENT, names, preset
from detkds.genome.tables import TITLES, filled, words_of
from detkds.genome.vocabulary import BACKGROUND
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


@pytest.mark.parametrize("name", names())
def test_the_page_has_every_preset(name: str) -> None:
    assert f"`{name}`" in PAGE
    if not name.startswith(("detkds-", "released-")):
        for genome in preset(name).genomes:
            share = "" if genome.background == BACKGROUND else f" bg {genome.background:g}"
            chain = " > ".join(genome.transforms)
            assert f"`{genome.knowledge}: {chain} \\| {genome.distance}{share}`" in PAGE


def test_the_page_names_what_no_genome_expresses() -> None:
    assert all(f"**{name}**" in PAGE for name in ("DiffKD", "MasKD"))
    assert set(ABSENT) == {"diffkd", "maskd"}
