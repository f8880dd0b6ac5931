"""The contract of designers, which decide the candidates of a search, and a cheap objective to try them with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import pytest

from detkds.errors import DetKDSError
from detkds.genome import Recipe
from detkds.search import Designer, Goal, Trial, TrialState

Score = Callable[[Recipe], float | None]


def structured(recipe: Recipe) -> float | None:
    """A score in (0, 1) to which each word of a genome adds its share; None, a rejection, for distance kl."""
    total = 0.0
    for genome in recipe.active:
        if genome.distance == "kl":
            return None
        words = (*genome.transforms, genome.distance)
        total += sum(1 / (1 + sum(map(ord, word)) * 7 % 11) for word in words) + 1 / (1 + abs(genome.weight - 5))
    return total / (total + 5)


def drive(designer: Designer, score: Score, batches: int | None = None) -> list[Trial]:
    """Ask, score and tell until the designer is done, or for some batches."""
    trials: list[Trial] = []
    while (batches is None or batches > 0) and (asked := designer.ask()):
        told = [answer(len(trials) + index + 1, recipe, score(recipe)) for index, recipe in enumerate(asked)]
        designer.tell(told)
        trials += told
        batches = batches and batches - 1
    return trials


def answer(number: int, recipe: Recipe, score: float | None) -> Trial:
    """A trial with a score, or rejected."""
    if score is None:
        return Trial(number, recipe, TrialState.REJECTED, reason="nan: loss")
    return Trial(number, recipe, TrialState.COMPLETE, score=score, student_steps=10)


class DesignerContract(ABC):
    """What the study relies on; a subclass provides the designer and the number of candidates that it requests."""

    candidates: int

    @abstractmethod
    def make(self, seed: int = 0) -> Designer:
        """A designer at its start."""

    def test_it_asks_as_many_candidates_as_announced(self) -> None:
        designer = self.make()
        assert len(drive(designer, structured)) == self.candidates
        assert designer.ask() == ()

    def test_asking_again_before_tell_gives_the_same(self) -> None:
        designer = self.make()
        for _ in range(3):
            goal = designer.goal()
            asked = designer.ask()
            assert designer.ask() == asked
            assert designer.goal() == goal
            drive(designer, structured, batches=1)

    def test_the_seed_decides(self) -> None:
        first, again, other = (drive(self.make(seed), structured) for seed in (1, 1, 2))
        assert first == again
        assert [trial.recipe for trial in first] != [trial.recipe for trial in other]

    def test_the_future_depends_on_what_was_told_alone(self) -> None:
        """A new designer that is given the same trials continues in the same way: resuming is replaying."""
        whole = self.make()
        trials = drive(whole, structured)
        replayed = self.make()
        numbers = iter(trials)
        while asked := replayed.ask():
            replayed.tell([next(numbers) for _ in asked])
        assert replayed.best == whole.best
        assert replayed.goal() == whole.goal()

    def test_no_canonical_form_is_asked_twice(self) -> None:
        digests = [trial.recipe.digest for trial in drive(self.make(), structured)]
        assert len(set(digests)) == len(digests)
        assert Recipe().digest not in digests  # that is candidate 0

    def test_best_is_the_highest_score_the_earlier_of_equals(self) -> None:
        designer = self.make()
        assert designer.best is None
        trials = drive(designer, lambda recipe: round(int(recipe.digest[:2], 16) / 1000, 2))
        top = max(trial.score for trial in trials if trial.score is not None)
        assert designer.best == next(trial for trial in trials if trial.score == top)

    def test_it_goes_on_where_everything_is_rejected(self) -> None:
        designer = self.make()
        trials = drive(designer, lambda recipe: None)
        assert len(trials) == self.candidates
        assert designer.best is None
        assert designer.goal() == Goal(rungs=designer.goal().rungs)

    def test_the_goal_is_open_before_anything_is_known(self) -> None:
        designer = self.make()
        designer.ask()
        assert designer.goal() == Goal(rungs=designer.goal().rungs)

    @pytest.mark.parametrize("wrong", ["fewer", "none", "reversed", "twice"])
    def test_answers_to_something_else_are_refused(self, wrong: str) -> None:
        designer = self.make()
        right = [Trial(index + 1, recipe, TrialState.COMPLETE, 0.5) for index, recipe in enumerate(designer.ask())]
        told: dict[str, Sequence[Trial]] = {"fewer": right[:-1], "none": [], "reversed": right[::-1], "twice": right}
        if wrong == "twice":
            designer.tell(right)
        with pytest.raises(DetKDSError, match="tell takes the trials of the last ask"):
            designer.tell(told[wrong])
