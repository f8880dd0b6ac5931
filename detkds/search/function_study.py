"""A study whose objective is a plain function: for notebooks, and for objectives that are not the training of a detector."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from detkds.errors import ConfigError
from detkds.genome import Genome, Knowledge, Recipe
from detkds.objective import Goal, Outcome
from detkds.search.algorithms import single_search
from detkds.search.journal import Journal
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.study import Study, run
from detkds.search.trial import Trial


def study(
    knowledge: str,
    objective: Callable[[Recipe], float],
    *,
    population: int = 20,
    iterations: int = 20,
    sample_ratio: float = 0.9,
    top_k: int = 5,
    algorithm: str = "evolution",
    space: str = "paper",
    semantics: str = "paper",
    warm_start: Sequence[str] = (),
    seed: int = 0,
    journal: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Callable[[Trial], None] = lambda trial: None,
) -> Study:
    """Search the loss of one knowledge (Alg. 1, lines 1 to 12) with an objective of your own.

    Args:
        knowledge: global, fgbg, instance, logits or localization.
        objective: called with each candidate, a Recipe of one genome; returns a score, higher is better. The first call has the empty
            recipe: no distillation. Candidates that are equal up to their canonical form are asked once. It may raise `detkds.Rejected`
            for a candidate that cannot work; any other exception ends the study, and a journal keeps what was measured.
        population: P of Alg. 1; evolution requests 1 + P + 2T candidates.
        iterations: T of Alg. 1.
        sample_ratio: r of Alg. 1, the share of the population that forms an iteration's pool.
        top_k: k of Alg. 1, how many of the pool's best may become the parent.
        algorithm: evolution, random, mcts or tpe.
        space: paper or extended.
        semantics: paper or released, see docs/genome.md.
        warm_start: genome texts that open the first population.
        seed: of the search. The same seed requests the same candidates as long as the objective returns the same scores.
        journal: file that records every trial as it ends; the same call resumes after an interruption, at the next candidate. None keeps
            the study in memory only.
        settings: what else decides the scores, such as the epochs or the version of your function; plain values. A journal that was
            written under other settings is refused instead of mixing two kinds of scores.
        progress: called with each trial when it starts and when it ends.

    Raises:
        ConfigError: a word or a number cannot be used, or the objective does not return a number.
        ArtifactError: the journal is damaged or belongs to another study.
        StudyHeldError: another process writes this journal.

    >>> found = study("logits", lambda recipe: sum(genome.weight for genome in recipe.genomes), population=3, iterations=2, top_k=2)
    >>> len(found.trials), found.baseline
    (8, 0.0)
    >>> found.best_distilled.recipe.weights[Knowledge.LOGITS] == max(trial.score for trial in found.trials)
    True
    """
    searched = _knowledge(knowledge)
    budget = SearchSettings(population, iterations, sample_ratio, top_k)
    genomes = [Genome.parse(text) for text in warm_start]
    designer = single_search(algorithm, SearchSpace.preset(space, semantics), searched, budget, seed, genomes)
    written = {
        **{"knowledge": str(searched), "algorithm": algorithm, "space": space, "semantics": semantics, "seed": seed},
        **{"population": population, "iterations": iterations, "sample_ratio": sample_ratio, "top_k": top_k},
        **{"warm_start": list(map(str, genomes)), "settings": _plain(settings or {})},
    }
    with ExitStack() as stack:
        # The loop writes a journal in any case: without a file of the caller's it is one that goes with the call.
        path = Path(journal) if journal else Path(stack.enter_context(tempfile.TemporaryDirectory())) / "journal.jsonl"
        book = stack.enter_context(Journal(path, written))
        found = run(designer, _Scored(objective), book, identify=lambda recipe: recipe.digest, progress=progress)
    return replace(found, name=str(searched))


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as a journal writes them, so that they compare equal when it is read back."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(settings), allow_nan=False))
        return plain
    except (TypeError, ValueError) as error:
        raise ConfigError(f"settings must be plain values, as JSON has them: {error}.") from None


class _Scored:
    """The function as an Objective: it measures every candidate in full, so it needs no goal."""

    def __init__(self, function: Callable[[Recipe], float]) -> None:
        if not callable(function):
            raise ConfigError(f"the objective must be a function of a recipe that returns a score, got {type(function).__name__}.")
        self._function = function

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        score: Any = self._function(recipe)
        try:
            return Outcome(float(score))
        except (TypeError, ValueError):
            raise ConfigError(f"the objective must return a number for every recipe, got {type(score).__name__} for `{recipe}`.") from None


def _knowledge(name: str) -> Knowledge:
    if name not in set(Knowledge):
        raise ConfigError(f"unknown knowledge {name!r}: choose from {', '.join(Knowledge)}.")
    return Knowledge(name)
