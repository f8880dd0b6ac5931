"""Several runs in one chart."""

from __future__ import annotations

from collections.abc import Sequence

from detkds.evaluation.result import Role
from detkds.report.comparison import Run, race_table
from detkds.report.figures.figure import Figure, Key
from detkds.report.figures.plot import Plot, Shape, categories, linear
from detkds.report.series import TITLES, run_look
from detkds.report.text import percent, short

SHAPES: dict[Role, Shape] = {Role.TEACHER: "square", Role.STUDENT: "diamond", Role.DISTILLED: "dot"}
ROW = 34


def run_figures(runs: Sequence[Run]) -> Figure | None:
    """AP of each run's teacher, student and distilled student, the last with its interval; None where nothing was evaluated."""
    known = [100 * value for run in runs for role in Role if (value := run.ap(role)) is not None]
    if not known:
        return None
    intervals = {run.label: scores.interval.of("AP") for run in runs if (scores := run.scores(Role.DISTILLED)) and scores.interval}
    ends = known + [100 * end for bounds in intervals.values() if bounds for end in bounds]
    room = 0.06 * (max(ends) - min(ends) or 1)
    x = linear(min(ends) - room, max(ends) + room, "AP, %")
    rows = list(reversed(runs))
    plot = Plot("AP of the detectors of each run", x, categories([short(run.label) for run in rows]), height=46 + ROW * len(rows), left=128)
    for place, run in enumerate(rows):
        if bounds := intervals.get(run.label):
            plot.line([(100 * bounds[0], place), (100 * bounds[1], place)], "whisker distilled")
        for role, shape in SHAPES.items():
            if (value := run.ap(role)) is not None:
                plot.dots([(100 * value, place)], role, shape)
        if (value := run.ap(Role.DISTILLED)) is not None:
            plot.write((100 * value, place), percent(value), dy=-8)
    legend = tuple(Key(role, SHAPES[role], TITLES[role]) for role in Role)
    return Figure("AP, and the interval of the distilled students", plot, "", legend=legend)


def searches(runs: Sequence[Run]) -> list[Figure]:
    """One chart per study that several runs share: the best score so far of each."""
    names = list(dict.fromkeys(study.name for run in runs for study in run.data.searches))
    return [chart for name in names if (chart := _race(name, runs)) is not None]


def _race(name: str, runs: Sequence[Run]) -> Figure | None:
    found = [
        (place, run, study) for place, run in enumerate(runs) for study in run.data.searches if study.name == name and study.best_distilled
    ]
    if not found:
        return None
    best = {place: [(float(number), 100 * score) for number, score in study.best_so_far()] for place, _, study in found}
    floors = [100 * study.baseline for _, _, study in found if study.baseline is not None]
    values = [score for steps in best.values() for _, score in steps] + floors
    room = 0.08 * (max(values) - min(values) or 1)
    last = max(study.last for _, _, study in found)
    words = " and ".join(sorted({study.word for _, _, study in found}))
    x = linear(0, max(1, last), "candidate", grid=False)
    plot = Plot(f"Best score so far of {len(found)} runs", x, linear(min(values) - room, max(values) + room, f"search-val {words}, %"))
    for place, _, study in found:
        plot.steps([*best[place], (float(study.last), best[place][-1][1])], run_look(place))
        if study.baseline is not None:
            plot.dots([(0, 100 * study.baseline)], run_look(place), "diamond")
    legend = tuple(Key(run_look(place), "line", f"{short(run.label)} ({study.algorithm})") for place, run, study in found)
    return Figure(name, plot, "", race_table(name, runs), legend)
