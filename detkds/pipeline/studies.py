"""What the two searching stages share: conduct a study beside its journal, publish it, read it back."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkds.errors import ArtifactError
from detkds.genome import Recipe
from detkds.objective import SCORES, scored_by
from detkds.pipeline.progress import say
from detkds.pipeline.settings import Result
from detkds.pipeline.task import FILE, Task
from detkds.pipeline.task import JOURNAL as JOURNAL
from detkds.pipeline.task import TIMINGS as TIMINGS
from detkds.pipeline.task_progress import Progress
from detkds.pipeline.workplace import Workplace, patiently, plain
from detkds.search.calibrated import Calibrated
from detkds.search.designer import Designer
from detkds.search.history import History
from detkds.search.journal import Journal, timings
from detkds.search.study import Study
from detkds.search.study import run as run_study
from detkds.search.trial import Trial, TrialState
from detkds.storage.artifacts import publishing, verify, write_atomic

if TYPE_CHECKING:
    from detkds.pipeline.cohorts import Cohorts
    from detkds.pipeline.proxy import Proxy  # it needs torch, a study does not
    from detkds.pipeline.workers import Workers

KIND = "study"
SUMMARY, RECIPE = "study.json", "recipe.json"


@dataclass(frozen=True)
class Conducted:
    """A study that ended in this process, and where its files are.

    Args:
        study: its trials; none where the knowledge was left out.
        journal: the folder of the journal and the timings; None where there is none.
        seconds: wall-clock time of this process on it.
    """

    study: Study
    journal: Path | None = None
    seconds: float = 0.0


def conduct(
    title: str,
    task: Task,
    designer: Designer,
    proxy: Proxy,
    settings: Mapping[str, Any],
    *,
    known: Mapping[str, Trial] | None = None,
    work: str = "",
    workers: Workers | Cohorts | None = None,
) -> Conducted:
    """Run a study to its end from wherever its journal stands, one progress line per trial.

    Args:
        title: of the progress lines.
        task: the description that watchers read.
        designer, proxy, known: see `search.run`.
        settings: what defines the study.
        work: see Workplace; the journal goes there with every record.
        workers: measure for `proxy`, several candidates at a time, which changes nothing in the journal; None: one after the other.

    Raises:
        StudyHeldError: another process took this study over, because this one was silent for too long.
        DetKDSError: see `search.run`.
    """
    written = plain(settings)
    began = time.monotonic()
    with Workplace(title.replace(" ", "-"), written, work) as place:
        task = tell(place, task)
        place.fetch(TIMINGS)
        journal_file = place.fetch(JOURNAL, check=History.read)
        narrate = _narrator(title, task.expected, began)
        count = _counter(title, task.expected, place, work)

        def progress(trial: Trial) -> None:
            place.put(JOURNAL, TIMINGS)
            count(trial)
            narrate(trial)

        with patiently(lambda: Journal(journal_file, written), title) as journal:
            if isinstance(designer, Calibrated):
                designer.remember(started.recipe for started in History.of(journal).started.values())
            result = run_study(
                designer,
                workers or proxy,
                journal,
                identify=proxy.identify,
                known=known,
                progress=progress,
                ahead=workers.ahead if workers else None,
            )
        tell(place, replace(task, finished=True))
    _say_counts(title, result)
    return Conducted(replace(result, name=task.name, scored_by=scored_by(written)), place.folder, round(time.monotonic() - began, 1))


def left_out(title: str, task: Task, reason: str, settings: Mapping[str, Any], work: str) -> Conducted:
    """A study that is not run, and why; watchers can read it."""
    tell(Workplace(title.replace(" ", "-"), plain(settings), work), replace(task, finished=True, reason=reason))
    return Conducted(Study(name=task.name, reason=reason))


def tell(place: Workplace, task: Task) -> Task:
    """Write the description that watchers read; returns it with the names of the runs that it is part of."""
    file = place.fetch(FILE)
    before = None
    if file.exists():
        with contextlib.suppress(ArtifactError):  # nothing depends on it: a damaged one is written again
            before = Task.loads(file.read_bytes(), file)
    task = task.joined(before)
    write_atomic(file, task.dumps())
    place.put(FILE)
    return task


def publish(
    conducted: Conducted, out: Path, recipe: Recipe | None = None, files: Mapping[str, str] | None = None, below: str = ""
) -> Result:
    """Publish a study: journal, timings, its best recipe (or the one given), a summary, and further `files`, text by name; `below` goes
    under its Markdown."""
    study, journal = conducted.study, conducted.journal
    best, word = study.best_distilled, SCORES[study.scored_by]
    found = recipe if recipe is not None else (best.recipe if best else Recipe())
    summary: dict[str, Any] = {
        "name": study.name,
        "reason": study.reason,
        "candidates": len(study.trials),
        "rejected": sum(study.rejected.values()),
        "student_steps": study.counts.student_steps,
        f"no_distillation_{word}": study.baseline,
        f"best_{word}": best.score if best else None,
        "recipe": str(found),
    }
    with publishing(out, kind=KIND, meta={"seconds": conducted.seconds}) as folder:
        (folder / SUMMARY).write_text(json.dumps(summary, indent=1))
        (folder / RECIPE).write_text(found.dumps())
        for name, content in (files or {}).items():
            (folder / name).write_text(content)
        for name in (JOURNAL, TIMINGS):
            if journal and (journal / name).exists():
                shutil.copy(journal / name, folder / name)
    numbers = ("candidates", "rejected", "student_steps", f"no_distillation_{word}", f"best_{word}")
    metrics = {name: float(summary[name]) for name in numbers if summary[name] is not None}
    return Result({"recipe": str(found), "study": study.name}, metrics, markdown(study, str(found)) + below)


def read(artifact: Path) -> tuple[dict[str, Any], History | None, float]:
    """Summary, history (None where the knowledge was left out) and seconds of a published study.

    Raises:
        ArtifactError: the artifact is not whole, or its journal is damaged.
    """
    meta = verify(artifact, KIND).meta
    summary = json.loads((artifact / SUMMARY).read_text())
    journal = artifact / JOURNAL
    return summary, History.read(journal) if journal.exists() else None, float(meta["seconds"])


def read_study(artifact: Path) -> Study:
    """The trials of a published study; none, and the reason, where its knowledge was left out.

    Raises:
        ArtifactError: see `read`.
    """
    summary, history, _ = read(artifact)
    trials = tuple(history.trials.values()) if history is not None else ()
    return Study(trials, summary["name"], timings(artifact / TIMINGS), summary["reason"], scored_by(history.settings if history else {}))


def markdown(study: Study, recipe: str) -> str:
    """The study as the UI's Markdown view shows it."""
    if study.reason:
        return f"**{study.name}** was left out: {study.reason}\n"
    rows = [f"| {trial.number} | `{_short(trial.recipe)}` | {_outcome(trial)} |" for trial in study.trials]
    head = f"| no. | candidate | search-val {SCORES[study.scored_by]} |"
    return "\n".join([f"**{study.name}**", "", f"```\n{recipe}\n```", "", head, "|---:|---|---|", *rows, ""])


def _short(recipe: Recipe) -> str:
    return "; ".join(map(str, recipe.active)).replace("|", "\\|") or "no distillation"


def _outcome(trial: Trial) -> str:
    if trial.state is TrialState.LEFT:
        return str(trial.reason)
    if trial.score is None:
        return f"{trial.state}: {trial.reason}"
    return f"{100 * trial.score:.1f}" + (" (stopped early: a bound)" if trial.partial else "")


def _narrator(task: str, expected: int, began: float) -> Callable[[Trial], None]:
    best: list[float] = []

    def narrate(trial: Trial) -> None:
        if trial.state is TrialState.RUNNING:
            return
        if trial.score is not None:
            best[:] = [max([*best, trial.score])]
        leader = f"best {100 * best[0]:.1f}" if best else "no score yet"
        minutes = (time.monotonic() - began) / 60
        number = trial.number + 1
        count = f"{number}/{max(expected, number)}"  # a budget of steps may allow one or two more
        say(task, f"{count}  {_outcome(trial)}  {leader}  {minutes:.1f} min  {_short(trial.recipe)}".replace("\\|", "|"))

    return narrate


def _counter(task: str, expected: int, place: Workplace, work: str) -> Callable[[Trial], None]:
    """Says how far the study is, to those who read that beside its lines."""
    seen = Progress(task, "candidate", work=work, lines=False)
    best: list[float] = []

    def count(trial: Trial) -> None:
        done = trial.number + (trial.state is not TrialState.RUNNING)
        if trial.score is not None and not trial.partial:
            best[:] = [max([*best, trial.score])]
        spent = sum(timings(place.folder / TIMINGS).values())
        left_s = spent / done * (expected - done) if done and expected else None
        kept = f"{done} of {expected} candidates" if done else ""
        note = f"best {100 * best[0]:.1f}" if best else ""
        begins = trial.state is TrialState.RUNNING  # after a replay, whose candidates follow each other within the same second
        seen.tell(done, max(expected, done), note=note, kept=kept, left_s=left_s, waits=begins)

    return count


def _say_counts(task: str, study: Study) -> None:
    counts = study.counts
    rejected = ", ".join(f"{number} {kind}" for kind, number in counts.rejected.items()) or "none"
    left = f"{counts.left} stopped at a rung, " if counts.left else ""
    say(
        task,
        f"{counts.trained} trained, {left}{counts.answered} equal to one trained before, rejected: {rejected}, "
        f"{counts.student_steps} training steps",
    )
