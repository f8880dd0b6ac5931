"""What a search tried and found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from detkds.report.data import Fidelity
from detkds.report.importance import Importance
from detkds.report.study import ReportedStudy, ReportedTrial
from detkds.report.tables.table import Column, Table
from detkds.report.text import MISSING, change, count, duration, percent, share

REASONS = {
    "nan": "the loss is not a number",
    "infinite": "the loss, the score or a box of the student is infinite",
    "too-large": "the loss is over 100",
    "zero-gradient": "the loss moves no weight of the student",
    "ascending": "a step along the gradient makes the loss larger",
    "exploding": "the gradient outgrew the detection loss's a hundredfold after some steps",
    "unsupported": "the pair does not offer what the loss reads",
    "out-of-memory": "the device's memory does not suffice",
    "raised": "the loss stopped with an error",
    "failed": "the training stopped with an error",
}
"""The kinds of detkds.errors.Rejected in words."""
UNDONE = ("rejected", "failed")
LEFT = "left"
"""The state of a candidate whose training ended at a rung."""


def studies(searches: Sequence[ReportedStudy]) -> Table:
    """One row per search: what the best candidate gains over no distillation, and how many candidates ended how."""
    left = any(study.states[LEFT] for study in searches)
    counted = ("candidates", "scored", *(["left at a rung"] if left else []), "rejected", "failed")
    columns = (Column("no distillation", "number"), Column("best", "number"), Column("gain", "change"))
    return Table(
        (Column("search"), *columns, *(Column(title, "number") for title in counted)),
        tuple(_study_row(study, left=left) for study in searches),
    )


def _study_row(study: ReportedStudy, *, left: bool) -> tuple[str, ...]:
    best = study.best_distilled.score if study.best_distilled else None
    ended = (count(study.states[state]) for state in ("complete", *([LEFT] if left else []), *UNDONE))
    scores = (percent(study.baseline), percent(best), change(best, study.baseline))
    return (study.name, *scores, count(len(study.trials)), *ended)


def trials(study: ReportedStudy) -> Table:
    """Every candidate of a search in its order."""
    columns = (
        Column("no.", "number"),
        Column("candidate", "code"),
        Column(study.word, "number"),
        Column("gain", "change"),
        Column("outcome"),
        Column("time", "number"),
    )
    return Table(columns, tuple(_trial_row(trial, study) for trial in study.trials))


def _trial_row(trial: ReportedTrial, study: ReportedStudy) -> tuple[str, ...]:
    outcome = trial.reason or trial.state.lower()
    if trial.partial:
        outcome = f"validation stopped early, the {study.word} is a bound"
    elif trial is study.best_distilled:
        outcome = "best"
    gain = MISSING if trial.number == 0 else change(trial.score, study.baseline)
    return (str(trial.number), trial.candidate, percent(trial.score), gain, outcome, duration(trial.seconds))


def rejections(searches: Sequence[ReportedStudy]) -> Table:
    """Candidates that were rejected or failed, by reason, the most frequent first; one of them as an example."""
    where: dict[str, Counter[str]] = defaultdict(Counter)
    example: dict[str, str] = {}
    for study in searches:
        for trial in study.trials:
            if trial.state.lower() in UNDONE:
                where[trial.kind][study.name] += 1
                example.setdefault(trial.kind, trial.candidate)
    asked = sum(len(study.trials) for study in searches)
    rows = [
        (
            kind,
            REASONS.get(kind, ""),
            count(places.total()),
            share(places.total(), asked),
            ", ".join(f"{name} {times}" for name, times in places.items()),
            example[kind],
        )
        for kind, places in sorted(where.items(), key=lambda item: -item[1].total())
    ]
    numeric = (Column("candidates", "number"), Column("of all", "share"))
    return Table((Column("reason"), Column("meaning"), *numeric, Column("where"), Column("for example", "code")), tuple(rows))


def importance(found: Sequence[Importance]) -> Table:
    """Slot by slot, how much of the scores' variance lies between its words."""
    rows = [(f"{one.study}: {one.slot}", f"{one.share:.2f}", f"{one.chance:.2f}", str(one.words), str(one.candidates)) for one in found]
    columns = ("η²", "95 % bound of chance", "words", "candidates")
    return Table((Column("slot"), *(Column(title, "number") for title in columns)), tuple(rows))


def fidelity(pairs: Sequence[Fidelity]) -> Table:
    """Candidates that were trained shortly and longer."""
    rows = tuple((pair.candidate, percent(pair.proxy), percent(pair.longer)) for pair in pairs)
    return Table((Column("candidate", "code"), Column("short training", "number"), Column("longer training", "number")), rows)
