"""Cohorts: the journal of one candidate after the other, whatever is measured side by side and by however many workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from detkds.errors import ConfigError, DetKDSError, Rejected
from detkds.genome import Knowledge, Recipe
from detkds.objective import Answer, Goal, Job, Objective, Outcome, together
from detkds.pipeline.cohorts import Cohorts, cohorts
from detkds.pipeline.settings import SearchPlan, WeightsPlan
from detkds.pipeline.workers import hired
from detkds.search import Evolution, Journal, SearchSettings, SearchSpace, Study, run
from detkds.search.repeated import Repeated

SETTINGS = SearchSettings(population=5, iterations=2, sample_ratio=0.9, top_k=2)


class Scored:
    """Scores by digest; some are rejected, and one kind of loss may break the study. Notes what was measured together."""

    def __init__(self, folder: Path, breaking: str = "") -> None:
        self.folder, self.breaking = folder, breaking

    def together(self, jobs: Sequence[Job]) -> list[Answer]:
        with (self.folder / "cohorts.txt").open("a") as file:
            file.write(f"{len(jobs)}\n")
        return [self._answer(recipe) for recipe, _ in jobs]

    def _answer(self, recipe: Recipe) -> Answer:
        number = int(recipe.digest[:6], 16)
        if self.breaking and recipe.active and recipe.active[0].distance == self.breaking:
            return ConfigError(f"`{recipe}` breaks the study")
        if number % 2 == 0:
            return Rejected("too-large", f"the loss is {number}", 7)
        return Outcome(number % 1000 / 1000, student_steps=number % 50, seconds=2.5)


def study(folder: Path, size: int, workers: int = 1, breaking: str = "") -> Study:
    (folder / "measured").mkdir(parents=True, exist_ok=True)
    designer = Evolution(SearchSpace.preset(), Knowledge.GLOBAL, SETTINGS, seed=0)
    build: Callable[[], Objective] = partial(Scored, folder / "measured", breaking)  # type: ignore[assignment]
    with hired(workers, build, size) as crew, Journal(folder / "journal.jsonl", {"seed": 0}) as journal:
        return run(designer, crew, journal, identify=coarse, ahead=crew.ahead)


def coarse(recipe: Recipe) -> str:
    """So that some trials of a batch answer others of it."""
    return recipe.active[0].distance if recipe.active else "none"


def sizes(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "measured" / "cohorts.txt").read_text().splitlines()]


@pytest.mark.parametrize(("size", "workers"), [(2, 1), (8, 1), (3, 2)])
def test_cohorts_write_the_journal_of_one_after_the_other(tmp_path: Path, size: int, workers: int) -> None:
    alone, side = study(tmp_path / "alone", 1), study(tmp_path / "side", size, workers)
    assert alone == side
    assert alone.counts.answered > 0
    assert alone.counts.rejected
    journals = [(tmp_path / name / "journal.jsonl").read_bytes() for name in ("alone", "side")]
    assert journals[0] == journals[1]
    assert set(sizes(tmp_path / "alone")) == {1}
    assert max(sizes(tmp_path / "side")) == min(size, sizes(tmp_path / "side")[0]) > 1
    assert sum(sizes(tmp_path / "alone")) == sum(sizes(tmp_path / "side"))  # each measured once


def test_an_error_ends_the_study_where_it_would_have_ended_alone(tmp_path: Path) -> None:
    for name, size in (("alone", 1), ("side", 8)):
        with pytest.raises(ConfigError, match="breaks the study"):
            study(tmp_path / name, size, breaking="kl")
    journals = [(tmp_path / name / "journal.jsonl").read_bytes() for name in ("alone", "side")]
    assert journals[0] == journals[1]
    assert study(tmp_path / "side", 8) == study(tmp_path / "whole", 1)  # taken up again, with another size


def test_time_is_shared_among_a_cohort(tmp_path: Path) -> None:
    found = study(tmp_path, 8)
    own = [trial for trial in found.trials if trial.score is not None and trial.answered_by is None]
    assert {found.seconds[trial.number] for trial in own} == {2.5}


def test_workers_have_cohorts_of_equal_size_where_there_are_enough() -> None:
    jobs = [(Recipe(), Goal(floor=float(place))) for place in range(21)]
    assert [len(part) for part in cohorts(jobs, 8, 1)] == [8, 8, 5]
    assert [len(part) for part in cohorts(jobs, 8, 4)] == [6, 6, 6, 3]
    assert [len(part) for part in cohorts(jobs[:2], 8, 2)] == [1, 1]
    assert [job for part in cohorts(jobs, 8, 4) for job in part] == jobs


def test_what_was_not_announced_is_measured_by_itself() -> None:
    def half(recipe: Recipe, goal: Goal) -> Outcome:
        return Outcome(0.5)

    single = Cohorts(half, 4)
    assert single(Recipe(), Goal()) == Outcome(0.5)
    single.ahead([(Recipe(), Goal())])
    with pytest.raises(DetKDSError, match="but announced"):
        single(Recipe(), Goal(floor=0.1))


def test_repeats_train_those_that_keep_up_side_by_side() -> None:
    asked: list[list[float | None]] = []

    class Seed:
        def __init__(self, scores: dict[str, Answer]) -> None:
            self.scores = scores

        def together(self, jobs: Sequence[Job]) -> list[Answer]:
            asked.append([goal.floor for _, goal in jobs])
            return [self.scores[recipe.active[0].distance] for recipe, _ in jobs]

        def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
            raise AssertionError

    first: dict[str, Answer] = {name: Outcome(score, 10) for name, score in (("l1", 0.3), ("l2", 0.1), ("ssim", 0.4))}
    first["kl"] = Rejected("nan", "the loss is nan", 3)
    second: dict[str, Answer] = {"l1": Outcome(0.2, 10), "ssim": Rejected("nan", "the loss is nan", 4)}
    jobs = [(Recipe.parse(f"global: none > none > none | {name}"), Goal(floor=0.2)) for name in ("l1", "l2", "kl", "ssim")]
    answers = together(Repeated([Seed(first), Seed(second)]), jobs)
    assert asked == [[0.2] * 4, [pytest.approx(0.1), 0.0]]  # 2 x .2 - .3, and 2 x .2 - .4
    assert isinstance(answers[0], Outcome)
    assert (answers[0].score, answers[0].partial) == (pytest.approx(0.25), False)
    assert isinstance(answers[1], Outcome)
    assert (answers[1].score, answers[1].partial) == (0.1, True)
    steps = [answer.student_steps for answer in answers[2:] if isinstance(answer, Rejected)]
    assert steps == [3, 14]


def test_the_size_of_a_cohort_is_no_part_of_a_study() -> None:
    plan = SearchPlan("paper", "paper", "evolution", 4, 2, 0.9, 2)
    assert plan.identity == SearchPlan("paper", "paper", "evolution", 4, 2, 0.9, 2, cohort=3).identity
    assert plan.identity != SearchPlan("paper", "paper", "evolution", 4, 2, 0.9, 2, repeats=2).identity
    assert WeightsPlan(4, 2).identity == WeightsPlan(4, 2, cohort=3).identity
