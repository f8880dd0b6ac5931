"""docs/genome.md names every word and every preset."""

from __future__ import annotations

from pathlib import Path

import pytest

from detkds.genome import SLOTS
from detkds.genome.presets import ABSENT, names, preset
from detkds.genome.vocabulary import BACKGROUND

PAGE = (Path(__file__).parents[2] / "docs" / "genome.md").read_text()


def test_the_page_has_every_word() -> None:
    words = {word for slots in SLOTS.values() for vocabulary in slots.values() for word in vocabulary}
    assert not {word for word in words if f"`{word}`" not in PAGE}


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
