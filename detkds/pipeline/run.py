"""Run: a run.yaml, opened. Its store, its teacher, the parameters of its pipeline, the stages one by one, the whole pipeline."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console

from detkds.errors import ConfigError, Stopped
from detkds.genome import Genome, Recipe
from detkds.pipeline import run_config
from detkds.pipeline.addresses import code_digest, config_address, data_version, source_of, student_address, teacher_address, unlabelled_use
from detkds.pipeline.form import Form
from detkds.pipeline.local_store import ensure_bucket, environment, local_store
from detkds.pipeline.progress import shown
from detkds.pipeline.run_config import RunConfig
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.stage_line import StageLine
from detkds.pipeline.stages import stages
from detkds.pipeline.task import RUN
from detkds.pipeline.transcript import Transcript
from detkds.pipeline.values import Values
from detkds.pipeline.workplace import digest
from detkds.processes import VISIBLE, first_gpus, spins
from detkds.search.budgets import is_time
from detkds.search.study import Study
from detkds.storage.artifacts import write_atomic

if TYPE_CHECKING:
    from detkds.detectors.student import Student  # it needs torch and mmdet, opening a run does not

SEED_OF_TEACHER = 0
SEED_APART = 10_000
"""From the seed of a run to that of its student's first generation, so that this is not a copy of the student without distillation."""


class Run:
    """A run.yaml, opened on this machine: its store is at hand, and each part of the pipeline can be run alone or all together.

    Open it with `Run.open`. In a notebook it may stay open to the end; `with Run.open(...) as run:` gives the environment its former
    values back, and ends the embedded server where there is one. Plugins stay imported, and DETKDS_PLUGINS names them.

    Attributes:
        config: the checked content of run.yaml.
        home: the folder for caches, unfinished work and results, absolute.
        store: the name of its store among the others of the same home, see `local_store`.
        console: gets progress.
        nothing_inherited: once it was looked at, why a student that inherits would have nothing of the teacher; empty where it would.
    """

    def __init__(self, path: Path, config: RunConfig, home: Path, store: str, *, trust: bool, console: Console) -> None:
        self.config, self.home, self.store, self.console = config, home, store, console
        self._path, self._trust, self._recipe = path, trust, ""
        self._looked, self.nothing_inherited = False, ""
        self._stack = contextlib.ExitStack()
        self._line: StageLine | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        home: str | Path = ".detkds",
        trust: bool = False,
        pair: str = "",
        embedded_s3: bool = False,
        console: Console | None = None,
    ) -> Run:
        """Read and check a run.yaml and open its store. Nothing is trained yet.

        Args:
            path: of the run.yaml.
            home: the folder for caches, unfinished work and results.
            trust: run the Python code of plugins and of config files that are not mmdet's own.
            pair: name of a tested pair, whose configs teacher and student take.
            embedded_s3: start a SeaweedFS server as the store; otherwise it is a folder, or the S3 that DETKDS_S3_ENDPOINT names.
            console: gets progress; None prints to the terminal.

        Raises:
            ConfigError: run.yaml breaks rules, one line for each fault; or the store cannot be used.
        """
        console = console or Console(highlight=False)
        with contextlib.ExitStack() as stack:
            stack.enter_context(environment(spins()))  # before plugins, which may import torch
            config, place = run_config.load(Path(path), pair), Path(home).resolve()
            run_config.load_plugins(config, Path(path), trust=trust)
            store = stack.enter_context(local_store(place, console, embedded=embedded_s3))
            stack.enter_context(environment({VISIBLE: first_gpus(config.resources.gpus), RUN: config.name}))
            run = cls(Path(path), config, place, store, trust=trust, console=console)
            run._stack = stack.pop_all()
        return run

    def close(self) -> None:
        """Give the environment its former values back, and end the embedded server where there is one."""
        self._stack.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def name(self) -> str:
        """Of the run."""
        return self.config.name

    @property
    def results(self) -> str:
        """The address where results are published."""
        return f"s3://{self.config.store.bucket}/runs"

    @cached_property
    def values(self) -> dict[str, Any]:
        """The parameters of the search pipeline by name. Plans what `search.budget` allows, so that a time that is too short is refused
        first, and then trains the teacher where run.yaml has `teacher.train`."""
        teacher_config = teacher_address(self.config.teacher, self.home, self._trust)
        checkpoint = self.config.teacher.checkpoint or ""
        student_config = student_address(self.config, self.home, self._trust)
        config = self.config
        if config.search.budget:
            pair = Pair(teacher_config, checkpoint, student_config, config.student.checkpoint or "", config.student.inherit)
            config = _planned(config, pair, self.home, self.show)
        if config.teacher.train:
            checkpoint = self._trained_teacher()
        version = data_version(self.config, checkpoint)
        return parameters(config, teacher_config, checkpoint, student_config, self.results, version=version)

    def leave_budget(self) -> None:
        """Plan no search: what is asked for has none, so that a budget in time is neither measured nor refused."""
        self.config = self.config.model_copy(update={"search": self.config.search.model_copy(update={"budget": ""})})

    def show(self, line: str) -> None:
        """Print a progress line of a task."""
        (self._line.show if self._line else shown(self.console))(line)

    @contextlib.contextmanager
    def followed(self, recipe: str = "") -> Iterator[None]:
        """Show on a terminal in which stage the run is and how far, and say what is kept where Ctrl-C ends it.

        Args:
            recipe: as of `execute`.

        Raises:
            Stopped: Ctrl-C.
        """
        if self._line is not None:
            yield
            return
        searched = [str(name) for name in self.config.search.knowledge]
        titles = stages(searched, recipe=bool(recipe), teacher=self.config.teacher.train is not None)
        with StageLine(self.console, titles, self.home / "work", self.name) as line:
            self._line = line
            try:
                yield
            except KeyboardInterrupt:
                raise Stopped(line.interrupted()) from None
            finally:
                self._line = None

    def execute(self, recipe: str = "") -> None:
        """Run the whole search pipeline, or with a recipe the transfer pipeline, and print what it found. Finished stages are answered from
        the cache, interrupted ones resume.

        Args:
            recipe: train with this preset, `PRESET x 5` or genome text instead of searching.

        Raises:
            ConfigError: the run needs a cluster.
            DetKDSError: a stage failed.
            Stopped: Ctrl-C.
        """
        with self.followed(recipe):
            self._execute(recipe)
        self._show_results()

    def _execute(self, recipe: str) -> None:
        from detkds.pipeline.kubeflow.local import run_local
        from detkds.pipeline.kubeflow.package import compiled, parameter_defaults

        self.look(recipe, whole=True)
        self._recipe = recipe
        if recipe:
            self.leave_budget()
        ensure_bucket(self.config.store.bucket)
        pipeline = "transfer" if recipe else "search"
        known = parameter_defaults(compiled(pipeline))
        values = {**Form.of(Values.read(self.values)).parameters(), "recipe": recipe}
        run_local(
            pipeline,
            {name: value for name, value in values.items() if name in known},
            home=self.home,
            cache_key=digest([code_digest(), self.store])[:16],  # what was published in one store is not in another
            transcript=self.home / "logs" / f"{self.name}.log",
            show=self.show,
            begun=self._line.enter if self._line else lambda stage: None,
        )

    def _show_results(self) -> None:
        from detkds.pipeline import publish as published

        option = " --embedded-s3" if self.store == "embedded" else ""
        published.show(self.name, results=self.results, home=self.home, console=self.console, option=option)

    def look(self, recipe: str = "", *, whole: bool = False) -> None:
        """Find whatever would stop the run before its first training step, before anything expensive starts; once, unless it is `whole`.

        Args:
            recipe: train with it instead of searching.
            whole: the whole run is asked for, not one of its parts.

        Raises:
            DetKDSError: everything that is wrong, one line per fault.
        """
        from detkds.pipeline.preflight import different_here, preflight
        from detkds.processes import gpus

        if whole or not self._looked:
            facts = preflight(self.config, self._path, home=self.home, trust=self._trust, recipe=recipe, whole=whole)
            for line in different_here(self.config, len(gpus())) if not self._looked else ():
                self.show(f"[machine] {line}")
            self._looked, self.nothing_inherited = True, facts.nothing_inherited

    @cached_property
    def subset(self) -> Path:
        """The artifact of the subset stage: the data checked, search-train and search-val drawn."""
        from detkds.pipeline import stage
        from detkds.pipeline.workplace import Workplace

        out = Workplace("subset", Values.read(self.values).of_stage("subset")).folder / "subset"
        with self._transcript():
            stage.subset(self.values, out=out)
        return out

    def search(self, knowledge: str) -> Study:
        """Search the loss of one knowledge with the budget of run.yaml (Alg. 1, lines 1 to 12). Resumes after an interruption.

        Args:
            knowledge: global, fgbg, instance, logits or localization.

        Raises:
            ConfigError: run.yaml does not search this knowledge, or the pair of detectors cannot share it.
        """
        from detkds.pipeline import stage, studies

        wanted = [str(name) for name in self.config.search.knowledge]
        if knowledge not in wanted:
            raise ConfigError(f"{self._path} searches {', '.join(wanted)}, got {knowledge!r}; add it to search.knowledge.")
        self.look()
        out = self._place(f"evolve-{knowledge}")
        with self._transcript():
            stage.evolve(self.values, knowledge=knowledge, subset=self.subset, out=out)
        found = studies.read_study(out)
        if found.reason:
            raise ConfigError(f"{self._path}: {knowledge} cannot be searched: {found.reason}.")
        return found

    def train(self, recipe: str | Genome | Recipe = "") -> Student:
        """Train the student on the whole train set with the schedule of run.yaml. Resumes after an interruption.

        Args:
            recipe: a Recipe, such as `study.best_distilled.recipe`; a Genome; a preset's name, `PRESET x 5` or genome text. Empty trains
                without distillation.

        Raises:
            GenomeError: the text is neither a preset nor a genome.
        """
        from detkds.detectors.student import Student
        from detkds.pipeline import stage
        from detkds.pipeline.recipes import parse_recipe

        semantics = self.config.search.semantics
        losses = Recipe((recipe,), semantics) if isinstance(recipe, Genome) else recipe
        losses = parse_recipe(losses, semantics) if isinstance(losses, str) else losses
        self.look()
        out = self._place(f"train-{losses.digest[:12]}")
        with self._transcript():
            stage.train_with(self.values, losses, subset=self.subset, out=out)
        return Student.open(out)

    def recipe_of(self, name: str) -> Recipe:
        """The recipe of a published run.

        Raises:
            ArtifactError: no such run was published.
        """
        from detkds.pipeline import publish as published
        from detkds.pipeline.recipes import recipe_of

        ensure_bucket(self.config.store.bucket)  # there is none yet where nothing was ever published
        return recipe_of(published.fetch(name, self.results, self.home / "runs")[1])

    def _trained_teacher(self) -> str:
        """The checkpoint of a teacher that is trained first, or of the student of the generation before."""
        from detkds.pipeline.teacher import run as train_teacher

        config, training = self.config, self.config.teacher.train
        assert training is not None
        if config.teacher.generations > 1:
            return self._student_before()
        schedule, address = Schedule(training.epochs, seed=SEED_OF_TEACHER), config_address(config.teacher, self.home, self._trust)
        if config.teacher.generations:
            seed = config.seed + SEED_APART
            train = config.train
            how = (train.batch_size or 0, train.learning_rate or 0.0, train.amp, seed, None, train.channels_last, train.compiled)
            schedule, address = Schedule(training.epochs, *how), student_address(config, self.home, self._trust)
        source = training.data or config.data.train
        checkpoint = train_teacher(
            Pair("", "", address, training.backbone or "", inherit=False),
            schedule,
            root=self.config.data.root,
            annotations=source.annotations,
            images=source.images,
            home=self.home,
            show=self.show,
        )
        return str(checkpoint)

    def _student_before(self) -> str:
        """The checkpoint of the student of the generation before, which a run of its own makes and publishes."""
        from detkds.pipeline import publish as published
        from detkds.pipeline.train import CHECKPOINT

        before = generation_before(self.config)
        self.show(f"[teacher] the student of the generation before is that of the run {before.name}")
        run = Run(self._path, before, self.home, self.store, trust=self._trust, console=self.console)
        with environment({RUN: before.name}), self._line.paused() if self._line else contextlib.nullcontext():
            run.execute(self._recipe)
        student = published.fetch(before.name, run.results, self.home / "runs")[1] / CHECKPOINT
        teacher = self.home / "generations" / before.name / CHECKPOINT  # beside results a checkpoint is taken for a part of their artifact
        write_atomic(teacher, student.read_bytes())
        return str(teacher)

    def _place(self, name: str) -> Path:
        return self.home / "parts" / self.name / name

    def _transcript(self) -> Transcript:
        return Transcript(self.home / "logs" / f"{self.name}.log", self.show)


def generation_before(config: RunConfig) -> RunConfig:
    """The run of the generation before, under a name of its own."""
    number = config.teacher.generations - 1
    base = re.sub(r"-generation-\d+$", "", config.name)[:45].rstrip("-")
    return config.model_copy(
        update={"name": f"{base}-generation-{number}", "teacher": config.teacher.model_copy(update={"generations": number})}
    )


def _planned(config: RunConfig, pair: Pair, home: Path, show: Callable[[str], None]) -> RunConfig:
    """The run with the numbers that its budget allows on this machine."""
    from detkds.pipeline.pace import training_s

    search, train = config.search, config.train
    pace = None
    if is_time(search.budget):
        told = (search.proxy_epochs, train.batch_size or 0, train.learning_rate or 0.0, train.amp, config.seed)
        schedule, source = Schedule(*told, unlabelled_use(config), train.channels_last), source_of(config)
        pace = training_s(pair, schedule, source, search.subset, search.search_val, home, show)
    found = search.planned(pace)
    show(
        f"[budget] {search.budget}: (P, T, k) = ({found.population}, {found.iterations}, {found.top_k}) for each of "
        f"{len(found.knowledge)} knowledges, ({found.weights.population}, {found.weights.iterations}) for the weights, and a race of "
        f"{found.final_race.candidates} candidates with {found.final_race.seeds} seeds"
    )
    return config.model_copy(update={"search": found})


def parameters(
    config: RunConfig, teacher_config: str, teacher_checkpoint: str, student_config: str, results: str, *, version: str
) -> dict[str, Any]:
    """The parameters of the tasks of a run, see `Values`; unfinished work is kept on this machine.

    Raises:
        ConfigError: the budget is a time that has not been converted into trainings yet.
    """
    prepared = {"teacher_config": teacher_config, "teacher_checkpoint": teacher_checkpoint, "student_config": student_config}
    version = "-".join(filter(None, (config.data.version, version)))
    return Values.of(config, **prepared, results=results, data_version=version, work="").to_dict()
