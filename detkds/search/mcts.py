"""Monte-Carlo tree search, which Table 12 of the paper compares with. It gives no details; this is plain UCT."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from detkds.genome import Genome, Knowledge, Recipe
from detkds.objective import Goal
from detkds.search.designer import SingleSearch
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.trial import Trial

EXPLORATION = math.sqrt(2)
"""c of UCB1 (Kocsis and Szepesvári, 2006), for rewards in [0, 1]."""
_PLAYOUTS = 200
"""How many playouts of a step may end at genomes that were measured before."""

Path = tuple[object, ...]
"""The choices from the root on: words of the slots, then a weight, then what else the space offers."""


@dataclass
class _Node:
    """What playouts through a node brought: how many, how many of them were rejected, and the sum of the others' scores."""

    visits: int = 0
    rejected: int = 0
    total: float = 0.0


class MonteCarloTreeSearch(SingleSearch):
    """UCT over the slots of one knowledge: a tree with a level for each of the space's choices, slots first.

    A playout goes down from the root. Where all children of a node were visited it takes the one of highest
    mean reward + c sqrt(ln N / n), ties by lot; else one of the others by lot, and the rest of the genome at random. Its reward goes into
    the nodes on its path that exist and into one that is added (Coulom, 2006). A reward is the score stretched so that the lowest score so
    far is 0 and the highest 1; a rejected candidate has 0. A playout that ends at a genome measured before is given that genome's
    score again, at no cost, and the next one is made.

    It starts from the same initial population as Evolution with this seed, which counts as playouts, and asks as many candidates, but one
    at a time. Scores enter means, so none may be a bound: the goal is always open.

    Args and errors: as SingleSearch.
    """

    def __init__(
        self, space: SearchSpace, knowledge: Knowledge, settings: SearchSettings, seed: int, warm_start: Sequence[Genome] = ()
    ) -> None:
        super().__init__(space, knowledge, settings, seed, warm_start)
        self._levels: dict[str, tuple[object, ...]] = space.choices(knowledge)
        self._nodes: dict[Path, _Node] = {(): _Node()}
        self._scores: dict[str, float | None] = {}

    def goal(self) -> Goal:
        """Open: every score is measured in full."""
        return Goal()

    def _propose(self, step: int, rng: random.Random) -> list[Recipe]:
        if step == 0:
            return self._initial(rng)
        if step > 2 * self._settings.iterations:
            return []
        for _ in range(_PLAYOUTS):
            path = self._playout(rng)
            recipe = self._recipe(self._space.genome(self._knowledge, dict(zip(self._levels, path, strict=True))))
            if self._admit(recipe):
                return [recipe]
            self._back(path, self._scores.get(recipe.digest))
        return self._random(rng)

    def _learn(self, step: int, trials: Sequence[Trial]) -> None:
        for trial in trials:
            genome = trial.recipe.genomes[0]
            self._scores[trial.recipe.digest] = trial.score
            self._back(tuple(self._space.chosen(genome).values()), trial.score)

    def _playout(self, rng: random.Random) -> Path:
        """Selection and expansion, then a rollout."""
        path: Path = ()
        for choices in self._levels.values():
            fresh = [choice for choice in choices if (*path, choice) not in self._nodes]
            path = (*path, rng.choice(fresh) if fresh else self._select(path, choices, rng))
            if fresh:
                break
        return (*path, *(rng.choice(choices) for choices in list(self._levels.values())[len(path) :]))

    def _select(self, path: Path, choices: tuple[object, ...], rng: random.Random) -> object:
        """UCB1."""
        every = math.log(self._nodes[path].visits)
        bounds = []
        for choice in choices:
            node = self._nodes[(*path, choice)]
            bounds.append(self._reward(node) + EXPLORATION * math.sqrt(every / node.visits))
        best = max(bounds)
        return rng.choice([choice for choice, bound in zip(choices, bounds, strict=True) if bound == best])

    def _reward(self, node: _Node) -> float:
        scored = [score for score in self._scores.values() if score is not None]
        low, high = (min(scored), max(scored)) if scored else (0.0, 0.0)
        if high == low:
            return 0.0
        return (node.total - (node.visits - node.rejected) * low) / (high - low) / node.visits

    def _back(self, path: Path, score: float | None) -> None:
        """Backpropagation; the first node that does not exist yet is added, those below it are not."""
        for length in range(len(path) + 1):
            known = path[:length] in self._nodes
            node = self._nodes.setdefault(path[:length], _Node())
            node.visits += 1
            node.rejected += score is None
            node.total += score or 0.0
            if not known:
                return
