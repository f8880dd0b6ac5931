"""Take the trials of a search elsewhere: to Optuna's dashboard, to TensorBoard, or as a plain table."""

from __future__ import annotations

import csv
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from detkds.errors import ConfigError
from detkds.genome import SLOTS, Genome
from detkds.genome.decisions import ALL, BACKGROUND, IMAGES, LABELLED, decisions, differing
from detkds.objective import SCORES
from detkds.pipeline.event_file import event_file
from detkds.pipeline.searches import StudyView
from detkds.pipeline.task import WEIGHTS, run_name
from detkds.pipeline.watch import opened
from detkds.search.trial import Trial, TrialState

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

INSTALL = "pip install 'detkds[optuna]'"
SCORE = "score"
"""The column of scores; above it stands what they are."""
COLUMNS = ("study", "number", "state", SCORE, "is_bound", "seconds", "student_steps", "answered_by", "borrowed", "reason", "candidate")


def export(
    run: str,
    work: str,
    home: Path,
    *,
    optuna: Path | None = None,
    table: Path | None = None,
    tensorboard: Path | None = None,
    force: bool = False,
    console: Console,
) -> None:
    """Write the finished trials of a search; those in work are left out.

    Args:
        run, work, home: see `watch`.
        optuna: SQLite file for optuna-dashboard, one Optuna study for each study of the search.
        table: CSV file, one line per trial.
        tensorboard: folder of event files: each trial a run of the tab HPARAMS, and the scores of each study as a curve.
        force: replace files that exist; a folder of event files is never replaced.

    Raises:
        ConfigError: nothing is named to write, something there exists, or optuna is not installed.
        ArtifactError: there is no such run, or a journal is damaged.
    """
    check(optuna, table, tensorboard, force=force)
    targets: list[tuple[Path, Callable[[Sequence[StudyView], Path], None]]] = []
    targets += [(optuna, _write_optuna)] if optuna else []
    targets += [(table, _write_csv)] if table else []
    with opened(run, work, home, console) as (searches, name):
        studies = [study for study in searches.studies(name) if study.trials]
    for path, write in targets:
        with _replacing(path) as draft:
            write(studies, draft)
        trials = sum(len(study.trials) for study in studies)
        console.print(f"{path}  {trials} trials of {len(studies)} studies", markup=False, soft_wrap=True)
    if tensorboard:
        scored = write_events(studies, tensorboard)
        console.print(f"{tensorboard}  {scored} trials with a score of {len(studies)} studies", markup=False, soft_wrap=True)
        console.print(f"look at it with: tensorboard --logdir {tensorboard}", markup=False, soft_wrap=True)
    if optuna:
        console.print(f"look at it with: optuna-dashboard sqlite:///{optuna}", markup=False, soft_wrap=True)


def check(optuna: Path | None, table: Path | None, tensorboard: Path | None, *, force: bool) -> None:
    """Refuse what cannot be written before anything is read; the arguments are those of `export`.

    Raises:
        ConfigError: nothing is named to write, something there exists, or optuna is not installed.
    """
    if not (optuna or table or tensorboard):
        raise ConfigError(
            "name what to write: --optuna study.db, --csv trials.csv, --tensorboard FOLDER, --fiftyone FOLDER or --mlflow FOLDER."
        )
    if tensorboard and tensorboard.exists():
        raise ConfigError(f"--tensorboard {tensorboard} exists, and event files are only added to a folder of their own; name another one.")
    for path in filter(None, (optuna, table)):
        if path.exists() and not force:
            raise ConfigError(f"{path} exists and is not replaced; name another file, or add --force.")
    if optuna:
        _require_optuna()


def write_events(studies: Sequence[StudyView], folder: Path) -> int:
    """Write event files of the trials that have a score, and return how many these are. In the tab HPARAMS a trial has the words of its
    genome or the weights of its genomes; the curves of a study are the score of each trial and the best so far."""
    scored = 0
    for study in studies:
        word = SCORES[study.study.scored_by]
        with event_file(folder / run_name(study.task.name)) as written:
            best = 0.0
            for trial, params in zip(study.trials, _params(study), strict=True):
                if trial.score is None:
                    continue
                scored += 1
                best = best if trial.partial else max(best, trial.score)
                written.scalars(trial.number, {word: trial.score, f"best_{word}": best})
                given = {"candidate": _short(trial), "is_bound": str(trial.partial), **params}
                written.hyperparameters(f"trial {trial.number}", given, {f"trial/{word}": trial.score})
    return scored


def _short(trial: Trial) -> str:
    return "; ".join(map(str, trial.recipe.active)) or "no distillation"


def _write_csv(studies: Sequence[StudyView], path: Path) -> None:
    word = SCORES[studies[-1].study.scored_by] if studies else SCORES["ap"]  # all studies of a run have one
    details = sorted({name for study in studies for trial in study.trials for name in _details(trial, word)})
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(word if name == SCORE else name for name in COLUMNS), *details])
        for study in studies:
            for trial in study.trials:
                writer.writerow([*_line(study, trial), *(_details(trial, word).get(name) for name in details)])


def _details(trial: Trial, word: str) -> dict[str, float]:
    return {**{f"{word} at {share}": score for share, score in trial.rungs.items()}, **trial.details}


def _line(study: StudyView, trial: Trial) -> list[Any]:
    return [
        study.task.name, trial.number, str(trial.state), trial.score, trial.partial, study.seconds.get(trial.number),
        trial.student_steps, trial.answered_by, trial.borrowed, trial.reason, "; ".join(str(trial.recipe).splitlines()),
    ]  # fmt: skip


def _write_optuna(studies: Sequence[StudyView], path: Path) -> None:
    import optuna
    from sqlalchemy import URL

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(URL.create("sqlite", database=str(path)).render_as_string())
    try:
        for study in studies:
            runs = study.task.runs
            name = f"{runs[-1]} {study.task.name}" if runs else study.task.name
            made = optuna.create_study(storage=storage, study_name=name, direction="maximize")
            made.set_user_attr("journal", study.place)
            made.add_trials(_frozen(study))
    finally:
        storage.engine.dispose()


def _frozen(study: StudyView) -> Iterator[FrozenTrial]:
    """The trials as Optuna's. How long each took was measured; when it began was not, so they follow each other up to the last record."""
    from optuna.trial import FrozenTrial

    every = _params(study)
    distributions = _distributions(study, every)
    began = datetime.fromtimestamp(study.changed) - timedelta(seconds=sum(study.seconds.values()))
    for trial, params in zip(study.trials, every, strict=True):
        ended = began + timedelta(seconds=study.seconds.get(trial.number, 0.0))
        kept = {name: distributions[name] for name in params}
        attributes = {name: value for name, value in _attributes(study, trial).items() if value is not None and value is not False}
        yield FrozenTrial(trial.number, _state(trial), trial.score, began, ended, params, kept, attributes, {}, {}, -1)
        began = ended


def _state(trial: Trial) -> Any:
    """COMPLETE; PRUNED where validation was stopped and the score is a bound, or where the candidate left at a rung without a score; FAIL
    where it was rejected."""
    from optuna.trial import TrialState as Optuna

    if trial.state is TrialState.LEFT:
        return Optuna.PRUNED
    if trial.state is not TrialState.COMPLETE:
        return Optuna.FAIL
    return Optuna.PRUNED if trial.partial else Optuna.COMPLETE


def _attributes(study: StudyView, trial: Trial) -> dict[str, Any]:
    return {
        "candidate": str(trial.recipe),
        "reason": trial.reason,
        "seconds": study.seconds.get(trial.number),
        "student_steps": trial.student_steps,
        "answered_by": trial.answered_by,
        "borrowed": trial.borrowed,
        **_details(trial, SCORES[study.study.scored_by]),
    }


def _params(study: StudyView) -> list[dict[str, Any]]:
    """What was searched, for each trial: the slots and the weight of each genome, and what else the study's genomes differ in, or in the
    search over weights the weight of each. No distillation has none. Where a study has whole recipes (known distillers, the race), each
    name begins with the genome's knowledge."""
    recipes = [trial.recipe.genomes for trial in study.trials]
    if study.task.name == WEIGHTS:
        return [{f"{genome.knowledge} weight": genome.weight for genome in genomes} for genomes in recipes]
    beside = differing(genome for genomes in recipes for genome in genomes)
    return [
        {f"{place}{name}": value for place, genome in _placed(study, genomes) for name, value in _genes(genome, beside).items()}
        for genomes in recipes
    ]


def _placed(study: StudyView, genomes: Sequence[Genome]) -> Iterator[tuple[str, Genome]]:
    """Each genome of a recipe with what its names begin with: nothing where a study has one knowledge and a genome per recipe, else its
    knowledge, such as `global ` and, for a second one of the same, `global 2 `."""
    every = [trial.recipe.genomes for trial in study.trials]
    single = all(len(each) < 2 for each in every) and len({genome.knowledge for each in every for genome in each}) < 2
    seen: Counter[str] = Counter()
    for genome in genomes:
        seen[genome.knowledge] += 1
        number = f" {seen[genome.knowledge]}" if seen[genome.knowledge] > 1 else ""
        yield "" if single else f"{genome.knowledge}{number} ", genome


def _genes(genome: Genome, beside: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {**decisions(genome), BACKGROUND: genome.background}
    return {**genome.slots, "weight": genome.weight, **{name: values[name] for name in beside}}


def _distributions(study: StudyView, params: Sequence[dict[str, Any]]) -> dict[str, BaseDistribution]:
    """The words of each slot, what stands beside them, and the range of numbers that came up."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    seen: dict[str, list[Any]] = {}
    for of_trial in params:
        for name, value in of_trial.items():
            seen.setdefault(name, []).append(value)
    words = _words(study)
    return {
        name: CategoricalDistribution(words[name]) if name in words else FloatDistribution(min(values), max(values), log=min(values) > 0)
        for name, values in seen.items()
    }


def _words(study: StudyView) -> dict[str, tuple[str, ...]]:
    """The words that each decision of a study's genomes may have, by its name in `_params`; none in the search over weights."""
    if study.task.name == WEIGHTS:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for trial in study.trials:
        for place, genome in _placed(study, trial.recipe.genomes):
            slots = {**SLOTS[genome.knowledge], IMAGES: (ALL, LABELLED)}
            found |= {f"{place}{slot}": tuple(words) for slot, words in slots.items()}
    return found


def _require_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError:
        raise ConfigError(f"--optuna needs the package optuna, which is not installed: {INSTALL}") from None


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place when the block ends without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
