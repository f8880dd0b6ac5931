"""The contract of every designer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import pytest

from detkds.errors import DetKDSError
from detkds.genome import Genome, Knowledge, Recipe
from detkds.search import Designer, Evolution, Goal, RandomSearch, SearchSettings, SearchSpace, Trial, TrialState, WeightSearch

Drive = Callable[..., list[Trial]]
Score = Callable[[Recipe], float | None]

SETTINGS = SearchSettings(population=6, iterations=5, sample_ratio=0.9, top_k=3)
SPACE = SearchSpace.preset()
FOUND = [
    Genome.parse("global: catt > scale_2 > norm_N | l1 x 5"),
    Genome.parse("instance: none > none > none | l2 x 2"),
    Genome.parse("logits: softmax_C | pearson x 0.5"),
]


class DesignerContract(ABC):
    """What the study relies on; a subclass gives the designer and how many candidates it asks."""

    candidates: int

    @abstractmethod
    def make(self, seed: int = 0) -> Designer: ...

    def test_it_asks_as_many_candidates_as_announced(self, drive: Drive, structured: Score) -> None:
        designer = self.make()
        assert len(drive(designer, structured)) == self.candidates
        assert designer.ask() == ()

    def test_asking_again_before_tell_gives_the_same(self, drive: Drive, structured: Score) -> None:
        designer = self.make()
        for _ in range(3):
            goal = designer.goal()
            asked = designer.ask()
            assert designer.ask() == asked
            assert designer.goal() == goal
            drive(designer, structured, batches=1)

    def test_the_seed_decides(self, drive: Drive, structured: Score) -> None:
        first, again, other = (drive(self.make(seed), structured) for seed in (1, 1, 2))
        assert first == again
        assert [trial.recipe for trial in first] != [trial.recipe for trial in other]

    def test_the_future_depends_on_what_was_told_alone(self, drive: Drive, structured: Score) -> None:
        """A designer made later and told the same goes on the same: resuming is replaying."""
        whole = self.make()
        trials = drive(whole, structured)
        replayed = self.make()
        numbers = iter(trials)
        while asked := replayed.ask():
            replayed.tell([next(numbers) for _ in asked])
        assert replayed.best == whole.best
        assert replayed.goal() == whole.goal()

    def test_no_canonical_form_is_asked_twice(self, drive: Drive, structured: Score) -> None:
        digests = [trial.recipe.digest for trial in drive(self.make(), structured)]
        assert len(set(digests)) == len(digests)
        assert Recipe().digest not in digests  # that is candidate 0

    def test_best_is_the_highest_score_the_earlier_of_equals(self, drive: Drive) -> None:
        designer = self.make()
        assert designer.best is None
        trials = drive(designer, lambda recipe: round(int(recipe.digest[:2], 16) / 1000, 2))
        top = max(trial.score for trial in trials if trial.score is not None)
        assert designer.best == next(trial for trial in trials if trial.score == top)

    def test_it_goes_on_where_everything_is_rejected(self, drive: Drive) -> None:
        designer = self.make()
        trials = drive(designer, lambda recipe: None)
        assert len(trials) == self.candidates
        assert designer.best is None
        assert designer.goal() == Goal()

    def test_the_goal_is_open_before_anything_is_known(self) -> None:
        designer = self.make()
        designer.ask()
        assert designer.goal() == Goal()

    @pytest.mark.parametrize("wrong", ["fewer", "none", "reversed", "twice"])
    def test_answers_to_something_else_are_refused(self, wrong: str) -> None:
        designer = self.make()
        right = [Trial(index + 1, recipe, TrialState.COMPLETE, 0.5) for index, recipe in enumerate(designer.ask())]
        told: dict[str, Sequence[Trial]] = {"fewer": right[:-1], "none": [], "reversed": right[::-1], "twice": right}
        if wrong == "twice":
            designer.tell(right)
        with pytest.raises(DetKDSError, match="tell answers the last ask"):
            designer.tell(told[wrong])


class TestEvolution(DesignerContract):
    candidates = 6 + 2 * 5

    def make(self, seed: int = 0) -> Designer:
        return Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, seed)


class TestEvolutionOfLocalizationReleased(DesignerContract):
    candidates = 6 + 2 * 5

    def make(self, seed: int = 0) -> Designer:
        return Evolution(SearchSpace.preset(semantics="released"), Knowledge.LOCALIZATION, SETTINGS, seed)


class TestRandomSearch(DesignerContract):
    candidates = 6 + 2 * 5

    def make(self, seed: int = 0) -> Designer:
        return RandomSearch(SPACE, Knowledge.GLOBAL, SETTINGS, seed)


class TestWeightSearch(DesignerContract):
    candidates = 6 + 5

    def make(self, seed: int = 0) -> Designer:
        return WeightSearch(FOUND, SPACE, SETTINGS, seed)
