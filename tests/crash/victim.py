"""A cheap, deterministic study that can be told where to die.

    victim.py FOLDER KIND SEED [POINT NUMBER]

Runs the study whose journal is in FOLDER, from wherever it stands, and writes the best recipe beside it. With POINT the process ends
there without any cleaning up, at the NUMBERth time it comes by.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from detkds.errors import Rejected
from detkds.genome import Genome, Knowledge, Recipe
from detkds.search import Designer, Evolution, Goal, Journal, Outcome, RandomSearch, SearchSettings, SearchSpace, Trial, WeightSearch, run
from detkds.search import journal as journal_module

KINDS = ("evolution", "weights", "random")
POINTS = ("ask", "tell", "identify", "before-objective", "after-objective", "half-append", "after-append", "progress")
DIED = 9

SETTINGS = SearchSettings(population=6, iterations=10, sample_ratio=0.9, top_k=3)
FOUND = ("global: catt > scale_2 > norm_N | l1 x 5", "fgbg: none > none > none | l2 x 2", "logits: softmax_C | pearson x 0.5")


def survive(point: str) -> None:
    """What happens at a point that is not deadly."""


die_at: Callable[[str], None] = survive


def designer(kind: str, seed: int) -> Designer:
    space = SearchSpace.preset()
    if kind == "weights":
        return WeightSearch([Genome.parse(text) for text in FOUND], space, SETTINGS, seed)
    search = Evolution if kind == "evolution" else RandomSearch
    return search(space, list(Knowledge)[seed % 5], SETTINGS, seed)


class Mortal:
    """A designer that may die when it is asked or told."""

    def __init__(self, inner: Designer) -> None:
        self.inner = inner
        self.goal = inner.goal

    @property
    def best(self) -> Trial | None:
        return self.inner.best

    def ask(self) -> Sequence[Recipe]:
        die_at("ask")
        return self.inner.ask()

    def tell(self, trials: Sequence[Trial]) -> None:
        self.inner.tell(trials)
        die_at("tell")


def objective(recipe: Recipe, goal: Goal) -> Outcome:
    """Scores by digest: some are rejected, some stop early."""
    die_at("before-objective")
    number = int(recipe.digest[:6], 16)
    if number % 7 == 0:
        raise Rejected("too-large", f"the loss is {number}")
    score = number % 1000 / 1000
    die_at("after-objective")
    return Outcome(score, student_steps=number % 50, partial=goal.floor is not None and score < goal.floor, details={"AP50": score / 3})


def identify(recipe: Recipe) -> str:
    """Coarse, so that some trials answer others."""
    die_at("identify")
    return recipe.digest[:1] + str(len(recipe.active))


def search(folder: Path, kind: str, seed: int) -> None:
    with Journal(folder / "journal.jsonl", {"kind": kind, "seed": seed}) as journal:
        result = run(Mortal(designer(kind, seed)), objective, journal, identify=identify, progress=lambda trial: die_at("progress"))
    assert result.best is not None
    (folder / "recipe.json").write_text(result.best.recipe.dumps())


def arm(point: str, number: int) -> None:
    """Make `point` deadly at its `number`th time."""
    global die_at
    visits = itertools.count(1)

    def die(here: str) -> None:
        if here == point and next(visits) == number:
            os._exit(DIED)

    def append(fd: int, line: bytes) -> None:
        if point == "half-append" and next(visits) == number:
            os.write(fd, line[: len(line) // 2])
            os._exit(DIED)
        whole(fd, line)
        die("after-append")

    whole = journal_module._write_all
    journal_module._write_all = append
    die_at = die


if __name__ == "__main__":
    folder, kind, seed, *death = sys.argv[1:]
    if death:
        arm(death[0], int(death[1]))
    search(Path(folder), kind, int(seed))
