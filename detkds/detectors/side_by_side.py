"""Candidates trained side by side: they share the batches and the teacher's pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from detkds.detectors.candidate import Candidate
from detkds.detectors.teacher_pass import TeacherPass
from detkds.detectors.training.course import supply
from detkds.detectors.training.loop import memory_limit
from detkds.detectors.training.randomness import preserved
from detkds.errors import DetKDSError, Rejected
from detkds.genome import Recipe
from detkds.objective import Answer, Goal, Job, Outcome

Build = Callable[[Recipe, Goal, TeacherPass], Candidate]
"""Begins a candidate, which shares the pass with its neighbours."""


def side_by_side(jobs: Sequence[Job], build: Build, kept: TeacherPass | None, note: Callable[[str], None]) -> list[Answer]:
    """The answers to some jobs, each what its candidate gets alone, bit for bit on the CPU.

    One that runs out of memory beside others is trained again alone, so that its neighbours decide nothing.

    Args:
        jobs: as many as memory has room for.
        build: begins a candidate.
        kept: the teacher's pass, with what it said to earlier candidates; None keeps nothing for later ones.
        note: called with what a person should know, a line each.
    """
    began = time.monotonic()
    answers, trained = _trained(jobs, build, kept or TeacherPass())
    share = (time.monotonic() - began) / max(trained, 1)
    for place, job in enumerate(jobs):
        answer = answers[place]
        if isinstance(answer, Outcome):
            answers[place] = replace(answer, seconds=share)
        elif isinstance(answer, Rejected) and answer.kind == "out-of-memory" and len(jobs) > 1:
            note(f"memory ran out side by side: `{job[0]}` is trained again alone")
            (answers[place],) = side_by_side([job], build, kept, note)
    return [answers[place] for place in range(len(jobs))]


def _trained(jobs: Sequence[Job], build: Build, shared: TeacherPass) -> tuple[dict[int, Answer], int]:
    """The answers by place, and how many candidates were trained; nothing else of the trainings is left."""
    answers: dict[int, Answer] = {}
    candidates: dict[int, Candidate] = {}
    for place, (recipe, goal) in enumerate(jobs):
        with _answering(recipe, answers, place):
            candidates[place] = build(recipe, goal, shared)
    with preserved():
        faults = supply({place: candidate.course() for place, candidate in candidates.items()})
    for place, candidate in candidates.items():
        with _answering(jobs[place][0], answers, place):
            answers[place] = candidate.outcome(faults.get(place))
    return answers, len(candidates)


@contextmanager
def _answering(recipe: Recipe, answers: dict[int, Answer], place: int) -> Iterator[None]:
    """Whatever is raised inside is the candidate's answer."""
    try:
        with memory_limit():
            yield
    except (DetKDSError, OSError) as error:
        answers[place] = error
    except Exception as error:
        # The student alone, candidate 0, went through the same code, so whatever comes up now is the losses' doing, and one
        # bad candidate must not end a search. Without losses it is a fault of the whole set-up.
        answers[place] = _raised(error) if recipe.active else error


def _raised(error: Exception) -> Rejected:
    rejected = Rejected("raised", " ".join(f"{type(error).__name__}: {error}".split())[:300])
    rejected.__cause__ = error
    return rejected
