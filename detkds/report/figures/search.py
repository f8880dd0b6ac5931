"""Search curves (Figure 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from detkds.report import tables
from detkds.report.figures.figure import Figure, Key
from detkds.report.figures.plot import Plot, Shape, linear
from detkds.report.study import RANDOM, ReportedStudy, ReportedTrial
from detkds.report.text import change, percent

MAX_POINTS = 600
"""More candidates than this are thinned evenly in the picture; the best-so-far line keeps all its steps."""


def search_curve(study: ReportedStudy, rival: ReportedStudy | None = None) -> Figure | None:
    """Every candidate of a study, the best so far, the best so far of a random search, and candidate 0; in percent.

    Candidates far below the others are drawn as triangles on the lower edge, so that they do not flatten the rest.

    Returns:
        None where no candidate has a score.
    """
    scores = [100 * trial.score for trial in study.trials if trial.score is not None and trial.scored]
    if not scores:
        return None
    rivals = rival.best_so_far() if rival else []
    lines = [100 * score for _, score in [*study.best_so_far(), *rivals]]  # a line is drawn whole, wherever it begins
    lowest = min([_lowest_shown(scores, study.baseline), *lines])
    highest = max(scores + [100 * score for _, score in rivals])
    last = max(1, study.last, rival.last if rival else 0)
    room = 0.08 * (highest - lowest or 1)
    x = linear(-0.02 * last, 1.02 * last, "candidate", grid=False)
    plot = Plot(
        f"Search curve of {len(study.trials)} candidates", x, linear(lowest - 2 * room, highest + room, f"search-val {study.word}, %")
    )
    _candidates(plot, study, lowest)
    if study.baseline is not None:
        plot.line([(plot.x.low, 100 * study.baseline), (plot.x.high, 100 * study.baseline)], "student")
    _progress(plot, rivals, last, "random")
    _progress(plot, study.best_so_far(), last, "random" if study.algorithm == RANDOM else "distilled")
    return Figure(_finding(study), plot, _caption(study, rival), tables.trials(study), _legend(study, rival, lowest))


def _candidates(plot: Plot, study: ReportedStudy, lowest: float) -> None:
    trials = study.trials[:: math.ceil(len(study.trials) / MAX_POINTS)]
    floor = plot.y.low + (plot.y.high - plot.y.low) / 30
    found = [trial for trial in trials if trial.number and trial.score is not None]
    within = [trial for trial in found if 100 * (trial.score or 0) >= lowest]
    below = [trial for trial in found if 100 * (trial.score or 0) < lowest]
    undone = [trial for trial in trials if trial.state.lower() in tables.search.UNDONE]
    _dots(plot, study.word, [trial for trial in within if not trial.partial], "muted")
    _dots(plot, study.word, [trial for trial in within if trial.partial], "muted hollow")
    _dots(plot, study.word, below, "muted", "triangle", floor)
    _dots(plot, study.word, [trial for trial in trials if trial.state.lower() == tables.search.LEFT], "muted hollow", "triangle", floor)
    _dots(plot, study.word, undone, "rejected", "cross", floor)


def _dots(plot: Plot, word: str, trials: Sequence[ReportedTrial], look: str, shape: Shape = "dot", at: float | None = None) -> None:
    """A marker per candidate, at its score in percent or at the height `at`; a pointer over it shows the candidate."""
    points = [(trial.number, 100 * (trial.score or 0) if at is None else at) for trial in trials]
    plot.dots(points, look, shape, [_label(trial, word) for trial in trials])


def _label(trial: ReportedTrial, word: str) -> str:
    if trial.score is None:
        return f"candidate {trial.number}, {trial.reason or trial.state.lower()}\n{trial.candidate}"
    bound = "at most " if trial.partial else ""
    return f"candidate {trial.number}, {word} {bound}{percent(trial.score)}\n{trial.candidate}"


def _progress(plot: Plot, best: Sequence[tuple[int, float]], last: int, look: str) -> None:
    if best:
        plot.steps([*((float(number), 100 * score) for number, score in best), (float(last), 100 * best[-1][1])], look)


def _lowest_shown(scores: Sequence[float], without_distillation: float | None) -> float:
    """The lower end of the scores that are drawn in place: three times as far below the best as the middle one, or candidate 0."""
    best, middle = max(scores), sorted(scores)[len(scores) // 2]
    bound = min(best - 3 * (best - middle), best if without_distillation is None else 100 * without_distillation)
    return max(bound, min(scores))


def _finding(study: ReportedStudy) -> str:
    if study.best_distilled is None:
        return f"{study.name}: no candidate has a score"
    if study.gain is None:
        return f"{study.name}: best {percent(study.best_distilled.score)}"
    step = change(study.best_distilled.score, study.baseline)
    return f"{study.name}: {step} points" if study.gain > 0 else f"{study.name}: no gain ({step})"


def _caption(study: ReportedStudy, rival: ReportedStudy | None) -> str:
    if study.best_distilled is None:
        return "No candidate has a score."
    text = f"Best {percent(study.best_distilled.score)}, candidate {study.best_distilled.number} of {study.last}."
    return text if rival is None or rival.best_distilled is None else f"{text} Random search: {percent(rival.best_distilled.score)}."


def _legend(study: ReportedStudy, rival: ReportedStudy | None, lowest: float) -> tuple[Key, ...]:
    """Only what is drawn."""
    undone = any(trial.state.lower() in tables.search.UNDONE for trial in study.trials)
    left = any(trial.state.lower() == tables.search.LEFT for trial in study.trials)
    entries = (
        (True, Key("random" if study.algorithm == RANDOM else "distilled", "line", "best so far")),
        (rival is not None, Key("random", "line", "best so far, random search")),
        (study.baseline is not None, Key("student", "line", "no distillation")),
        (any(not trial.partial for trial in study.scored), Key("muted", "dot", "candidate")),
        (
            any(trial.partial for trial in study.scored),
            Key("muted hollow", "dot", f"validation stopped early: the {study.word} is at most this"),
        ),
        (any(100 * (trial.score or 0) < lowest for trial in study.scored), Key("muted", "triangle", "far below, at the lower edge")),
        (left, Key("muted hollow", "triangle", "left its training at a rung")),
        (undone, Key("rejected", "cross", "rejected or failed")),
    )
    return tuple(key for there, key in entries if there)
