"""Values: all parameters of the tasks of a run, in one table: where each is in run.yaml, and which stages read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from detkds.pipeline.settings import COHORT, Pair, RacePlan, Schedule, SearchPlan, Source, WeightsPlan
from detkds.unlabelled import Unlabelled

if TYPE_CHECKING:
    from detkds.data.sampling.counting import Counting
    from detkds.pipeline.run_config import RunConfig

LISTS = {"searched", "warm_start", "race_known", "loggers", "unlabelled_knowledge", "plugins"}
"""Fields that run.yaml has as lists, and a pipeline as text with commas."""
PROXY, STUDENT = "evolve weights", "evolve weights train"
"""The stages that measure candidates, and those that train the student."""


def _at(place: str, stages: str, default: Any = "") -> Any:
    return field(default=default, metadata={"place": place, "stages": stages.split()})


@dataclass(frozen=True)
class Values:
    """The parameters of the tasks of a run. An empty text or 0 means "not given", because a pipeline parameter has no null."""

    run_name: str = _at("name", "report")
    results: str = _at("", "report")
    dataset: str = _at("data.root", "subset")
    train_annotations: str = _at("data.train.annotations", "subset", "annotations/instances_train2017.json")
    train_images: str = _at("data.train.images", "subset", "train2017")
    test_annotations: str = _at("data.test.annotations", "subset", "annotations/instances_val2017.json")
    test_images: str = _at("data.test.images", "subset", "val2017")
    data_version: str = _at("data.version", "subset")
    unlabelled: str = _at("data.unlabelled.images", "subset")
    unlabelled_share: float = _at("data.unlabelled.share", STUDENT, 0.0)
    unlabelled_schedule: str = _at("data.unlabelled.schedule", STUDENT)
    unlabelled_min_score: float = _at("data.unlabelled.min_score", STUDENT, 0.0)
    unlabelled_knowledge: str = _at("data.unlabelled.knowledge", STUDENT)
    unlabelled_search: bool = _at("data.unlabelled.search", "evolve", False)
    teacher_config: str = _at("teacher.config", f"{STUDENT} evaluate")
    teacher_checkpoint: str = _at("teacher.checkpoint", f"{STUDENT} evaluate report")
    student_config: str = _at("student.config", STUDENT)
    student_checkpoint: str = _at("student.checkpoint", STUDENT)
    inherit: bool = _at("student.inherit", STUDENT, True)
    searched: str = _at("search.knowledge", "evolve", "global,fgbg,instance,logits,localization")
    semantics: str = _at("search.semantics", "evolve train", "paper")
    space: str = _at("search.space", PROXY, "paper")
    weights_are: str = _at("search.weights_are", "evolve", "paper")
    algorithm: str = _at("search.algorithm", "evolve", "evolution")
    population: int = _at("search.population", "evolve", 20)
    iterations: int = _at("search.iterations", "evolve", 20)
    sample_ratio: float = _at("search.sample_ratio", "evolve", 0.9)
    top_k: int = _at("search.top_k", "evolve", 5)
    weights_population: int = _at("search.weights.population", "weights", 10)
    weights_iterations: int = _at("search.weights.iterations", "weights", 40)
    race_candidates: int = _at("search.final_race.candidates", "weights", 4)
    race_seeds: int = _at("search.final_race.seeds", "weights", 3)
    race_epochs: int = _at("search.final_race.epochs", "weights", 0)
    race_known: str = _at("search.final_race.known", "weights", "fitnets,pkd x 1,pkd,cwd x 1,cwd")
    warm_start: str = _at("search.warm_start", "evolve")
    early_stop: bool = _at("search.early_stop", PROXY, True)
    subset_fraction: float = _at("search.subset", "subset", 0.2)
    search_val_fraction: float = _at("search.search_val", "subset", 0.04)
    subset_sizes: str = _at("search.sizes", "subset", "box")
    subset_crowd: str = _at("search.crowd", "subset", "ignore")
    subset_empty: str = _at("search.empty", "subset", "share")
    proxy_epochs: int = _at("search.proxy_epochs", PROXY, 1)
    repeats: int = _at("search.repeats", PROXY, 1)
    cohort: int = _at("search.cohort", PROXY, COHORT)
    rungs: bool = _at("search.rungs", PROXY, False)
    score: str = _at("search.score", PROXY, "ap")
    iterations_at_once: int = _at("search.iterations_at_once", "evolve weights", 1)
    epochs: int = _at("train.epochs", "train", 24)
    batch_size: int = _at("train.batch_size", f"{STUDENT} evaluate", 0)
    learning_rate: float = _at("train.learning_rate", STUDENT, 0.0)
    amp: str = _at("train.amp", STUDENT, "false")
    channels_last: bool = _at("train.channels_last", STUDENT, False)
    compiled: bool = _at("train.compiled", "train", False)
    loggers: str = _at("train.loggers", "train evaluate")
    train_nodes: int = _at("train.nodes", "train", 1)
    search_nodes: int = _at("search.nodes", "evolve weights", 1)
    seed: int = _at("seed", f"subset {STUDENT}", 0)
    work: str = _at("store.work", f"{STUDENT} evaluate report")
    gpus: int = _at("resources.gpus", STUDENT, 1)
    plugins: str = _at("plugins", f"{STUDENT} evaluate report")

    @classmethod
    def of(cls, config: RunConfig, **given: Any) -> Values:
        """The values of a run.yaml, with what it does not say, such as `results`, and what was prepared, such as addresses of configs.

        Raises:
            ConfigError: the budget is a time that has not been converted into trainings yet.
        """
        config = config.model_copy(update={"search": config.search.planned()})
        found = {each.name: _found(config, each.metadata["place"]) for each in fields(cls) if each.name not in given}
        return cls.read({**{name: value for name, value in found.items() if value is not None}, **given})

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Values:
        """Values as KFP hands them on, where every number may be a float; those that are missing have their defaults."""
        kinds = {"int": int, "float": float, "bool": bool, "str": str}
        return cls(**{each.name: kinds[str(each.type)](values[each.name]) for each in fields(cls) if each.name in values})

    def of_stage(self, stage: str) -> dict[str, Any]:
        """Those that a stage reads: nothing else is part of the key under which KFP's cache keeps what the stage made."""
        return {each.name: getattr(self, each.name) for each in fields(self) if stage in each.metadata["stages"]}

    def to_dict(self) -> dict[str, Any]:
        """All of them by name."""
        return asdict(self)

    @property
    def source(self) -> Source:
        """The data set."""
        train, test = (self.train_annotations, self.train_images), (self.test_annotations, self.test_images)
        return Source(self.dataset, *train, *test, self.unlabelled)

    @property
    def counting(self) -> Counting:
        """What counts as an object where subsets are drawn."""
        from detkds.data.sampling.counting import Counting

        return Counting(self.subset_sizes, self.subset_crowd, self.subset_empty)  # type: ignore[arg-type]  # checked there

    @property
    def pair(self) -> Pair:
        """Teacher and student."""
        return Pair(self.teacher_config, self.teacher_checkpoint, self.student_config, self.student_checkpoint, self.inherit)

    @property
    def search_plan(self) -> SearchPlan:
        """The budget of one knowledge."""
        return SearchPlan(**{name: getattr(self, name) for name in SearchPlan.__slots__})

    @property
    def weights_plan(self) -> WeightsPlan:
        """The budget of the weights."""
        shared = {
            name: getattr(self, name) for name in ("space", "early_stop", "score", "repeats", "cohort", "rungs", "iterations_at_once")
        }
        return WeightsPlan(self.weights_population, self.weights_iterations, **shared)

    @property
    def race_plan(self) -> RacePlan:
        """The race that decides in the end."""
        return RacePlan(self.race_candidates, self.race_seeds, self.race_epochs, self.race_known)

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the services that receive figures, see `pipeline.loggers`."""
        return tuple(filter(None, self.loggers.split(",")))

    @property
    def unlabelled_use(self) -> Unlabelled | None:
        """How images without labels are used; None where there are none."""
        if not self.unlabelled_share:
            return None
        return Unlabelled(self.unlabelled_share, self.unlabelled_schedule, self.unlabelled_min_score, self.unlabelled_knowledge)

    @property
    def proxy(self) -> Schedule:
        """How a candidate is trained."""
        return self._schedule(self.proxy_epochs)

    @property
    def training(self) -> Schedule:
        """How the student is trained in the end."""
        return replace(self._schedule(self.epochs), compiled=self.compiled)

    def _schedule(self, epochs: int) -> Schedule:
        amp = {"true": True, "false": False}.get(self.amp, self.amp)
        return Schedule(epochs, self.batch_size, self.learning_rate, amp, self.seed, self.unlabelled_use, self.channels_last)


def _found(config: RunConfig, place: str) -> Any:
    """The value at a place of a run.yaml, a list as text with commas; None if there is none."""
    value: Any = config if place else None
    for step in place.split(".") if place else ():
        value = None if value is None else getattr(value, step)  # a section that is left out has no values
    if place == "train.amp":
        return str(value).lower()  # true, false, or a precision
    return ",".join(map(str, value)) if isinstance(value, tuple) else value
