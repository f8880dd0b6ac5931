"""The loop: candidate 0, answers, rejections, early stops, resuming."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from detkds.errors import ArtifactError, DetKDSError, Rejected
from detkds.genome import Genome, Knowledge, Recipe
from detkds.search import (
    Designer,
    Evolution,
    Goal,
    History,
    Journal,
    Outcome,
    RandomSearch,
    SearchSettings,
    SearchSpace,
    Study,
    Trial,
    TrialState,
    WeightSearch,
    run,
)  # fmt: skip

Score = Callable[[Recipe], float | None]

SETTINGS = SearchSettings(population=5, iterations=4, sample_ratio=0.9, top_k=2)
HEADER = {"seed": 0}


class Counting:
    """An objective that counts and remembers; scores by a function, or rejects."""

    def __init__(self, score: Score) -> None:
        self.score = score
        self.calls: list[tuple[Recipe, Goal]] = []

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        self.calls.append((recipe, goal))
        score = self.score(recipe)
        if score is None:
            raise Rejected("nan", "the loss is nan")
        return Outcome(score, student_steps=10, details={"AP50": score * 1.5, "APs": float("nan")})


def evolution(semantics: str = "paper", knowledge: Knowledge = Knowledge.GLOBAL) -> Evolution:
    return Evolution(SearchSpace.preset(semantics=semantics), knowledge, SETTINGS, seed=0)


def study(folder: Path, objective: Counting, designer: Designer | None = None, **options: object) -> Study:
    identify = options.pop("identify", lambda recipe: recipe.digest)
    with Journal(folder / "journal.jsonl", HEADER) as journal:
        return run(designer or evolution(), objective, journal, identify=identify, **options)  # type: ignore[arg-type]


def test_candidate_0_is_no_distillation_in_the_semantics_of_the_search(tmp_path: Path, structured: Score) -> None:
    objective = Counting(structured)
    result = study(tmp_path, objective, evolution("released"))
    assert objective.calls[0] == (Recipe(semantics="released"), Goal())
    assert result.trials[0].recipe == Recipe(semantics="released")
    assert [trial.number for trial in result.trials] == list(range(1 + 5 + 2 * 4))


def test_a_batch_is_measured_against_one_goal(tmp_path: Path, structured: Score) -> None:
    objective = Counting(structured)
    designer = evolution()
    result = study(tmp_path, objective, designer)
    goals = [goal for _, goal in objective.calls]
    assert goals[:6] == [Goal()] * 6
    scores = sorted((trial.score for trial in result.trials[1:6] if trial.score is not None), reverse=True)
    assert goals[6] == goals[7] == Goal(floor=scores[1], ceiling=scores[0])


def test_the_journal_tells_it_all(tmp_path: Path, structured: Score) -> None:
    result = study(tmp_path, Counting(structured))
    history = History.read(tmp_path / "journal.jsonl")
    assert tuple(history.trials.values()) == result.trials
    assert history.settings == HEADER
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert kinds == ["study", *["start", "end"] * len(result.trials)]
    assert result.best is not None
    assert result.best.score is not None
    assert history.trials[result.best.number].details == {"AP50": result.best.score * 1.5}  # APs is nan and left out
    assert len((tmp_path / "timings.jsonl").read_text().splitlines()) == len(result.trials)


def test_a_finished_study_is_replayed_without_measuring(tmp_path: Path, structured: Score) -> None:
    first = study(tmp_path, Counting(structured))
    before = (tmp_path / "journal.jsonl").read_bytes()

    def never(recipe: Recipe) -> str:
        raise AssertionError

    objective = Counting(structured)
    seen: list[Trial] = []
    assert study(tmp_path, objective, identify=never, progress=seen.append) == first
    assert objective.calls == []
    assert tuple(seen) == first.trials
    assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_rejections_are_recorded_and_the_search_goes_on(tmp_path: Path) -> None:
    result = study(tmp_path, Counting(lambda recipe: None if len(recipe.active) and recipe.active[0].weight > 1 else 0.3))
    rejected = [trial for trial in result.trials if trial.state is TrialState.REJECTED]
    assert rejected
    assert {(trial.score, trial.reason, trial.student_steps) for trial in rejected} == {(None, "nan: the loss is nan", 0)}
    assert result.counts.rejected == {"nan": len(rejected)}
    assert result.counts.candidates == 14
    assert result.counts.trained == 14 - len(rejected)
    assert result.counts.student_steps == 10 * result.counts.trained


@pytest.mark.parametrize(("score", "kind"), [(float("nan"), "nan"), (float("inf"), "infinite"), (-float("inf"), "infinite")])
def test_a_score_that_is_not_finite_is_a_rejection(tmp_path: Path, score: float, kind: str) -> None:
    result = study(tmp_path, Counting(lambda recipe: score if recipe.active else 0.2))
    assert result.counts.rejected == {kind: 13}
    assert result.best == result.trials[0]


def test_where_everything_is_rejected_nothing_is_best(tmp_path: Path) -> None:
    result = study(tmp_path, Counting(lambda recipe: None))
    assert result.best is None
    assert result.counts.rejected == {"nan": 14}


def test_best_includes_candidate_0_and_the_earlier_of_equals(tmp_path: Path) -> None:
    assert study(tmp_path, Counting(lambda recipe: 0.5)).best == Trial(
        0, Recipe(), TrialState.COMPLETE, 0.5, student_steps=10, details={"AP50": 0.75}
    )


def test_recipes_of_one_trial_id_are_trained_once(tmp_path: Path, structured: Score) -> None:
    objective = Counting(structured)
    result = study(tmp_path, objective, identify=lambda recipe: recipe.active[0].distance if recipe.active else "none")
    distances = {trial.recipe.active[0].distance for trial in result.trials[1:]}
    assert len(objective.calls) == 1 + len(distances) == len(result.trials) - result.counts.answered
    for trial in result.trials:
        if trial.answered_by is not None:
            source = result.trials[trial.answered_by]
            assert source.answered_by is None
            assert source.number < trial.number
            assert (source.score, source.state, source.reason) == (trial.score, trial.state, trial.reason)
            assert source.recipe.active[0].distance == trial.recipe.active[0].distance
            assert trial.student_steps == 0
    assert result.counts.student_steps == 10 * result.counts.trained


def test_other_studies_answer(tmp_path: Path, structured: Score) -> None:
    first = study(tmp_path / "global", Counting(structured))
    second = study(tmp_path / "logits", Counting(structured), evolution(knowledge=Knowledge.LOGITS))
    known: dict[str, Trial] = {}
    for name in ("global", "logits"):
        known |= History.read(tmp_path / name / "journal.jsonl").finished()
    assert first.best is not None
    assert second.best is not None
    genomes = [*first.best.recipe.genomes, *second.best.recipe.genomes]
    objective = Counting(structured)
    result = study(tmp_path / "weights", objective, WeightSearch(genomes, SearchSpace.preset(), SETTINGS, 0), known=known)
    borrowed = [trial for trial in result.trials if trial.borrowed]
    # candidate 0 and both genomes alone, whose scores stand
    assert [trial.number for trial in borrowed] == [0, 2, 3]
    assert [trial.score for trial in borrowed] == [first.trials[0].score, first.best.score, second.best.score]
    assert borrowed[1].answered_by == first.best.number
    assert len(objective.calls) == len(result.trials) - 3
    again = study(tmp_path / "weights", Counting(structured), WeightSearch(genomes, SearchSpace.preset(), SETTINGS, 0))
    assert again == result  # the journal holds the answers


def test_bounds_and_failures_of_other_studies_do_not_answer(tmp_path: Path) -> None:
    known = {
        Recipe().digest: Trial(0, Recipe(), TrialState.COMPLETE, 0.9, partial=True),
        "unknown": Trial(1, Recipe(), TrialState.RUNNING),
    }
    result = study(tmp_path, Counting(lambda recipe: 0.5), known=known)
    assert result.trials[0].score == 0.5


class Stopping(Counting):
    """Stops as soon as the goal allows: below the floor with the highest AP still possible, beyond the ceiling with the lowest."""

    def __init__(self, score: Score) -> None:
        super().__init__(score)
        self.below: list[Recipe] = []

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        score = super().__call__(recipe, goal).score
        if goal.floor is not None and score < goal.floor:
            self.below.append(recipe)
            return Outcome((score + goal.floor) / 2, partial=True)
        if goal.ceiling is not None and score > goal.ceiling:
            return Outcome((score + goal.ceiling) / 2, partial=True)
        return Outcome(score)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("search", [Evolution, RandomSearch])
def test_a_bound_below_the_floor_is_never_best(tmp_path: Path, structured: Score, search: type[Evolution], seed: int) -> None:
    objective = Stopping(structured)
    designer = search(SearchSpace.preset(), Knowledge.GLOBAL, SETTINGS, seed)
    result = study(tmp_path, objective, designer)
    assert objective.below
    assert result.best is not None
    assert result.best == designer.best
    assert result.best.recipe not in objective.below
    if search is RandomSearch:  # it has no ceiling, so every score that matters is whole
        assert result.best.score == max(structured(trial.recipe) or 0 for trial in result.trials)


def test_an_early_stop_that_the_goal_does_not_allow_is_a_fault(tmp_path: Path) -> None:
    seen: list[Trial] = []

    def lazy(recipe: Recipe, goal: Goal) -> Outcome:
        return Outcome(0.1, partial=True)

    with Journal(tmp_path / "journal.jsonl", HEADER) as journal, pytest.raises(DetKDSError, match=r"trial 0 stopped validation at 0\.1"):
        run(evolution(), lazy, journal, identify=str, progress=seen.append)
    assert [trial.state for trial in seen] == [TrialState.RUNNING, TrialState.FAILED]


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt(), MemoryError(), SystemExit(1)])
def test_after_a_failure_the_study_resumes_as_if_nothing_had_been(tmp_path: Path, structured: Score, error: BaseException) -> None:
    whole = study(tmp_path / "whole", Counting(structured))
    calls = iter(range(100))

    def fragile(recipe: Recipe) -> float | None:
        if next(calls) == 7:
            raise error
        return structured(recipe)

    objective = Counting(fragile)
    with pytest.raises(type(error)):
        study(tmp_path / "broken", objective)
    assert len(History.read(tmp_path / "broken" / "journal.jsonl").trials) == 7
    assert study(tmp_path / "broken", objective) == whole
    assert len(objective.calls) == 14 + 1  # one trial was begun twice
    assert (tmp_path / "broken" / "journal.jsonl").read_bytes() == (tmp_path / "whole" / "journal.jsonl").read_bytes()


def test_progress_sees_the_start_and_the_end(tmp_path: Path, structured: Score) -> None:
    seen: list[Trial] = []
    result = study(tmp_path, Counting(structured), progress=seen.append)
    assert [trial.number for trial in seen] == [number for trial in result.trials for number in (trial.number, trial.number)]
    assert {trial.state for trial in seen[::2]} == {TrialState.RUNNING}
    assert tuple(seen[1::2]) == result.trials


def test_a_journal_of_another_search_is_refused(tmp_path: Path, structured: Score) -> None:
    study(tmp_path, Counting(structured))
    with pytest.raises(ArtifactError, match=r"holds `global: .*` as trial 1, but this search requests `logits: "):
        study(tmp_path, Counting(structured), evolution(knowledge=Knowledge.LOGITS))
    shorter = Evolution(SearchSpace.preset(), Knowledge.GLOBAL, SearchSettings(5, 3, 0.9, 2), seed=0)
    with pytest.raises(ArtifactError, match=r"holds 2 more trials than this search requests"):
        study(tmp_path, Counting(structured), shorter)


def test_a_sound_line_that_is_no_record_of_a_study_is_refused(tmp_path: Path, structured: Score) -> None:
    for kind, fields in (("end", {"number": 0}), ("start", {"number": 0, "id": "a", "recipe": {}}), ("pause", {})):
        path = tmp_path / kind / "journal.jsonl"
        with Journal(path, HEADER) as journal:
            journal.append(kind, fields)
        with pytest.raises(ArtifactError, match=f"{path}, line 2: no record of a study"):
            History.read(path)
        with pytest.raises(ArtifactError, match="line 2"):
            study(path.parent, Counting(structured))


def test_a_designer_that_asks_nothing_leaves_candidate_0(tmp_path: Path) -> None:
    class Nothing(RandomSearch):
        def ask(self) -> tuple[Recipe, ...]:
            return ()

    designer = Nothing(SearchSpace.preset(), Knowledge.LOGITS, SETTINGS, 0)
    result = study(tmp_path, Counting(lambda recipe: 0.4), designer)
    assert [trial.recipe for trial in result.trials] == [Recipe()]


def test_a_trial_reads_back(structured: Score) -> None:
    recipe = Recipe((Genome.parse("logits: none | cor x 2"),))
    trial = Trial(3, recipe, TrialState.COMPLETE, 0.1 + 0.2, None, 7, answered_by=1, borrowed=True, partial=True, details={"AP50": 1 / 3})
    assert Trial.from_json(recipe, json.loads(json.dumps(trial.to_json()))) == trial
