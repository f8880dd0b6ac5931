"""run.yaml as a typed model. Every error of a file is reported at once, each with its place, rule and value."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from detkds import plugins
from detkds.errors import ConfigError, GenomeError
from detkds.genome import Knowledge
from detkds.genome.presets import KNOWN_DISTILLERS, preset
from detkds.pairs import TIMM
from detkds.pairs import pair as tested_pair
from detkds.pipeline.settings import COHORT, PRECISIONS, RacePlan
from detkds.pipeline.yaml_faults import yaml_fault
from detkds.search.budgets import is_time, plan
from detkds.storage.uri import S3
from detkds.unlabelled import Unlabelled as UnlabelledUse

Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
UNLABELLED = UnlabelledUse()
"""The defaults of data.unlabelled."""


SELF = "self"
"""A teacher that is the student of the generation before."""
NAME, BUCKET = r"^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?$", r"^[a-z0-9][a-z0-9.-]{2,62}$"
MODULE = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"
PATTERNS = {
    MODULE: "the name of a Python module, such as my_package.words, not of a file",
    NAME: "at most 62 small letters, digits and hyphens, a letter or digit first and last, such as blood-cells-1",
    BUCKET: "3 to 63 small letters, digits, hyphens and dots, a letter or digit first",
}
"""What the patterns ask, in words."""


def known_precision(value: bool | str) -> bool | str:
    """How a training is mixed in precision: not, as the student's config says, or in a type.

    Raises:
        ValueError: it is something else.
    """
    found = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    if not isinstance(found, bool) and found not in PRECISIONS:
        raise ValueError(f"must be true, false, {' or '.join(PRECISIONS)}, but got {value!r}")
    return found


class Section(BaseModel):
    """A part of run.yaml: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Split(Section):
    """One COCO annotation file and the folder of its images, both relative to `data.root`."""

    annotations: str
    images: str = ""


class Unlabelled(Section):
    """Images without labels, which the distillation losses are taken of too: a folder relative to `data.root`, or an address of its own.

    `share` of a step's images are unlabelled, beside as many labelled ones as ever; `schedule` is that of their weight, `constant` or
    `ramp`; a detection of the teacher of `min_score` or more stands for an object; `knowledge` names the losses that use them.
    """

    images: Annotated[str, Field(min_length=1)]
    share: Annotated[float, Field(gt=0, le=0.95)] = UNLABELLED.share
    schedule: Literal["constant", "ramp"] = "constant"
    min_score: Annotated[float, Field(gt=0, le=1)] = UNLABELLED.min_score
    knowledge: tuple[Knowledge, ...] = tuple(Knowledge)


class Data(Section):
    """The data set: `root` is a folder, an `s3://bucket/prefix`, or on a cluster a volume claim, `pvc://claim/path`.
    Another `version`, any text or number, runs everything again."""

    root: str
    train: Split
    test: Split
    unlabelled: Unlabelled | None = None
    version: Annotated[str, BeforeValidator(str)] = ""

    _located = field_validator("root")(lambda value, info: located(value, info))


class TeacherTraining(Section):
    """How to train a teacher when there is no checkpoint: on `data` (default: the run's train split), from a backbone file if given."""

    epochs: Count
    data: Split | None = None
    backbone: str | None = None

    _located = field_validator("backbone")(lambda value, info: located(value, info))


class Detector(Section):
    """A detector: an mmdet config by name or file, with options merged over it, and a checkpoint."""

    config: str
    checkpoint: str | None = None
    options: dict[str, Any] = {}

    @field_validator("config")
    @classmethod
    def _config_file(cls, value: str, info: ValidationInfo) -> str:
        path = str(located(value, info))
        return path if Path(path).is_file() else value

    _located = field_validator("checkpoint")(lambda value, info: located(value, info))


class Teacher(Detector):
    """The teacher: a checkpoint, or `train` to make one first.

    It is shown the student's images, `scale` times as large, and must reach `min_ap` points of AP (0 to 100) on them before anything is
    distilled; without `min_ap` a quarter of what it reaches by its own pipeline, and at least 1.

    `config: timm/NAME` is a backbone of the package timm, whose features alone teach; it has no AP, and nothing is inherited from it.

    `teacher: self` is the student of the generation before: of the first one a student trained without distillation, of each further one
    that which the search and the training before it made. `generations` is how many are distilled; 0 for any other teacher.
    """

    train: TeacherTraining | None = None
    generations: Annotated[int, Field(ge=0, le=10)] = 0
    scale: Annotated[float, Field(ge=0.25, le=4)] = 1.0
    min_ap: Annotated[float, Field(ge=0, le=100)] | None = None

    @model_validator(mode="after")
    def _has_weights(self) -> Teacher:
        if (self.checkpoint is None) == (self.train is None):
            raise ValueError("give exactly one of `checkpoint` (a file or s3:// address) and `train` (how to make one)")
        return self

    @property
    def is_backbone(self) -> bool:
        """Whether it is a backbone alone, by its name."""
        return self.config.startswith(TIMM)

    @model_validator(mode="after")
    def _backbone_detects_nothing(self) -> Teacher:
        if self.is_backbone and self.train is not None:
            raise ValueError(f"{self.config} is a backbone, which is not trained here; give `checkpoint`, the file of its weights")
        if self.is_backbone and self.min_ap is not None:
            raise ValueError(f"`min_ap` is for detectors, and {self.config} is a backbone, which detects nothing; leave it out")
        return self


class Student(Detector):
    """The student. `inherit` starts its neck and head from the teacher's where names and shapes agree."""

    inherit: bool = True

    @field_validator("config")
    @classmethod
    def _detects(cls, value: str) -> str:
        if value.startswith(TIMM):
            raise ValueError(f"{value} is a backbone, which detects nothing; give the config of a detector")
        return value


class Weights(Section):
    """Budget of the second search, over the weights of the five losses (Alg. 1, lines 13-18)."""

    population: Count = 10
    iterations: Annotated[int, Field(ge=0)] = 40


class FinalRace(Section):
    """The race that ends a search: its best `candidates` (0: no race, the highest score wins, as in the paper) and known distillers."""

    candidates: Annotated[int, Field(ge=0, le=20)] = RacePlan().candidates
    seeds: Annotated[int, Field(ge=2, le=20)] = RacePlan().seeds
    epochs: Count | None = None
    known: tuple[str, ...] = KNOWN_DISTILLERS

    _presets = field_validator("known")(lambda value: known_presets(value))


class Search(Section):
    """Algorithm 1: what is searched and how long; each study on so many `nodes` of a cluster with Kubeflow Trainer."""

    knowledge: tuple[Knowledge, ...] = tuple(Knowledge)
    semantics: Literal["paper", "released", "sound"] = "paper"
    space: Literal["paper", "extended"] = "paper"
    weights_are: Literal["paper", "calibrated"] = "paper"
    algorithm: Literal["evolution", "random", "mcts", "tpe"] = "evolution"
    population: Count = 20
    iterations: Annotated[int, Field(ge=0)] = 20
    sample_ratio: Annotated[float, Field(gt=0, le=1)] = 0.9
    top_k: Count = 5
    weights: Weights = Weights()
    warm_start: tuple[str, ...] = ()
    early_stop: bool = True
    subset: Annotated[float, Field(gt=0, le=1)] = 0.2
    search_val: Fraction = 0.04
    sizes: Literal["box", "mask"] = "box"
    crowd: Literal["ignore", "count", "exclude"] = "ignore"
    empty: Literal["share", "exclude"] = "share"
    proxy_epochs: Count = 1
    repeats: Annotated[int, Field(ge=1, le=10)] = 1
    cohort: Annotated[int, Field(ge=1, le=64)] = COHORT
    rungs: bool = False
    final_race: FinalRace = FinalRace()
    budget: str = ""
    nodes: Count = 1

    _presets = field_validator("warm_start")(lambda value: known_presets(value))

    @model_validator(mode="before")
    @classmethod
    def _one_plan(cls, raw: Any) -> Any:
        """A budget plans what Algorithm 1's numbers say, so a file has either."""
        if isinstance(raw, dict) and raw.get("budget"):
            race: Any = raw.get("final_race")
            race = race if isinstance(race, dict) else {}
            given = [key for key in ("population", "iterations", "top_k", "weights", "repeats") if key in raw]
            given += [f"final_race.{key}" for key in ("candidates", "seeds") if key in race]
            if given:
                raise ValueError(f"`budget` plans {', '.join(given)}; leave out one of the two")
        return raw

    @model_validator(mode="after")
    def _can_be_paid(self) -> Search:
        try:
            if self.budget and not is_time(self.budget):
                plan(self.budget, len(self.knowledge))
        except ConfigError as error:
            raise ValueError(str(error).removeprefix("search.budget: ")) from None
        return self

    def planned(self, training_s: float | None = None) -> Search:
        """The same search with the numbers that its budget allows; itself where it has none.

        Args:
            training_s: seconds of a candidate's training, for a budget that is a time.

        Raises:
            ConfigError: the budget is a time and `training_s` is not known, or it allows less than the least search.
        """
        if not self.budget:
            return self
        found = plan(self.budget, len(self.knowledge), training_s=training_s)
        weights = Weights(population=found.weights_population, iterations=found.weights_iterations)
        race = self.final_race.model_copy(update={"candidates": found.race_candidates, "seeds": found.race_seeds})
        numbers = {"population": found.population, "iterations": found.iterations, "top_k": found.top_k}
        return self.model_copy(update={**numbers, "weights": weights, "final_race": race, "budget": ""})

    @model_validator(mode="after")
    def _consistent(self) -> Search:
        if self.top_k > self.population:
            raise ValueError(f"`top_k <= population` must hold, but got top_k={self.top_k}, population={self.population}")
        if self.rungs and self.algorithm in ("mcts", "tpe"):
            raise ValueError(
                f"with `algorithm: {self.algorithm}` no score may be missing, so candidates cannot leave at rungs; "
                "write `rungs: false`, or `algorithm: evolution`"
            )
        if self.subset + self.search_val > 1:
            raise ValueError(f"`subset + search_val <= 1` must hold, but got {self.subset} + {self.search_val}")
        return self


class Train(Section):
    """The student's schedule; what is left out comes from its mmdet config. `nodes` above 1 need a cluster with Kubeflow Trainer."""

    epochs: Count = 24
    nodes: Count = 1
    batch_size: Count | None = None
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    amp: Annotated[bool | str, AfterValidator(known_precision)] = False
    channels_last: bool = False
    compiled: bool = False
    loggers: tuple[Literal["wandb", "mlflow"], ...] = ()


class StoreSection(Section):
    """Where results go. Endpoint and keys come from DETKDS_S3_* in the environment; without them the bucket is a folder.
    `work` is where a cluster keeps unfinished work: s3://BUCKET/work where it is not given, on the pod only where it is empty."""

    bucket: Annotated[str, Field(pattern=BUCKET)] = "detkds"
    work: str | None = None


class Resources(Section):
    """What a task requests from a cluster; on this machine only `gpus` matters: a search measures so many candidates at a time, a training
    shares each batch among so many, as far as the machine has them."""

    gpus: Annotated[int, Field(ge=0)] = 1
    cpu: Annotated[float, Field(gt=0)] | None = None
    memory_gb: Count | None = None
    shm_gb: Count | None = None
    cache_gb: Count | None = None
    node_selector: dict[str, str] = {}
    queue: str = ""

    @model_validator(mode="after")
    def _shared_memory_fits(self) -> Resources:
        if self.memory_gb and self.shm_gb and self.shm_gb >= self.memory_gb:
            raise ValueError(f"`shm_gb < memory_gb` must hold, since /dev/shm counts, but got {self.shm_gb} and {self.memory_gb}")
        return self


class RunConfig(Section):
    """One run: a data set, a teacher-student pair, a search budget, a training schedule."""

    name: Annotated[str, Field(pattern=NAME)]
    data: Data
    teacher: Teacher
    student: Student
    search: Search = Search()
    train: Train = Train()
    store: StoreSection = StoreSection()
    resources: Resources = Resources()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    plugins: tuple[Annotated[str, Field(pattern=MODULE)], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _own_teacher(cls, raw: Any) -> Any:
        return without_inheriting(with_own_teacher(raw)) if isinstance(raw, dict) else raw

    @model_validator(mode="after")
    def _files_exist(self, info: ValidationInfo) -> RunConfig:
        missing = [path for path in self.local_files() if not Path(path).exists()]
        if missing:
            raise ValueError("; ".join(f"{path} does not exist" for path in missing))
        return self

    @model_validator(mode="after")
    def _unlabelled_images_are_used(self) -> RunConfig:
        given = self.data.unlabelled
        if given and not set(given.knowledge) & set(self.search.knowledge):
            searched = ", ".join(self.search.knowledge)
            raise ValueError(f"data.unlabelled.knowledge must name at least one of search.knowledge, which has {searched}")
        return self

    @model_validator(mode="after")
    def _objects_without_labels(self) -> RunConfig:
        given = self.data.unlabelled
        wrong = {Knowledge.FGBG, Knowledge.INSTANCE} & set(given.knowledge) & set(self.search.knowledge) if given else set()
        if wrong and self.teacher.is_backbone:
            raise ValueError(
                f"{', '.join(sorted(wrong))} would need the teacher's detections on images without labels, and {self.teacher.config} is a "
                "backbone, which detects nothing; write data.unlabelled.knowledge: [global]"
            )
        return self

    def local_files(self) -> Iterator[str]:
        """Every path of this machine's file system that the run reads."""
        if not is_remote(self.data.root):
            for split in (self.data.train, self.data.test, self.teacher.train and self.teacher.train.data):
                if split:
                    yield from (f"{self.data.root}/{split.annotations}", f"{self.data.root}/{split.images}")
            if self.data.unlabelled and not is_remote(self.data.unlabelled.images):
                yield str(Path(self.data.root, self.data.unlabelled.images))
        optional = (self.teacher.checkpoint, self.student.checkpoint, self.teacher.train and self.teacher.train.backbone)
        yield from (path for path in optional if path and not is_remote(path))

    def stored_files(self) -> dict[str, str]:
        """Checkpoints in a store, by their key in run.yaml."""
        training = self.teacher.train
        given = {
            "teacher.checkpoint": self.teacher.checkpoint,
            "teacher.train.backbone": training and training.backbone,
            "student.checkpoint": self.student.checkpoint,
        }
        return {key: address for key, address in given.items() if address and address.startswith(S3)}

    def claims(self) -> Iterator[str]:
        """The volume claims that the run reads, each once."""
        unlabelled = self.data.unlabelled and self.data.unlabelled.images
        addresses = (self.data.root, unlabelled, self.teacher.checkpoint, self.student.checkpoint)
        yield from dict.fromkeys(urlsplit(address).netloc for address in addresses if address and address.startswith("pvc://"))


def with_own_teacher(raw: dict[str, Any]) -> dict[str, Any]:
    """The content of a run.yaml in which `teacher: self` is written out: the student's config, trained first as the student is.

    Raises:
        ValueError: it says of the teacher what the student before it decides, or it has several teachers.
    """
    teacher, student = raw.get("teacher"), raw.get("student")
    if isinstance(teacher, list):
        raise ValueError("`teacher` is one detector, several are not combined; give `config` and `checkpoint` of the best of them")
    if isinstance(teacher, dict) and teacher.get("config") != SELF and teacher.get("generations"):
        raise ValueError("`teacher.generations` belongs to `teacher: self`, whose teacher is the student before; leave out one of the two")
    if teacher != SELF and not (isinstance(teacher, dict) and teacher.get("config") == SELF):
        return raw
    given = teacher if isinstance(teacher, dict) else {}
    student = student if isinstance(student, dict) else {}
    if wrong := sorted(set(given) - {"config", "generations", "min_ap"}):
        raise ValueError(f"`teacher: self` is the student before, which decides {', '.join(wrong)}; leave them out")
    if student.get("inherit"):
        raise ValueError("`student.inherit` would start the student as its own copy under `teacher: self`; leave it out")
    if not isinstance(epochs := (raw.get("train") or {}).get("epochs", Train().epochs), int):
        return raw  # its own fault is said
    itself = {name: student[name] for name in ("config", "options") if name in student}
    trained = {"epochs": epochs} | ({"backbone": student["checkpoint"]} if student.get("checkpoint") else {})
    asked = {name: value for name, value in given.items() if name != "config"}
    return {**raw, "teacher": {"generations": 1, **asked, **itself, "train": trained}, "student": {**student, "inherit": False}}


def without_inheriting(raw: dict[str, Any]) -> dict[str, Any]:
    """The content of a run.yaml whose student inherits nothing where the teacher is a backbone, which has neither neck nor head.

    Raises:
        ValueError: it says that the student inherits.
    """
    teacher, student = raw.get("teacher"), raw.get("student")
    config = teacher.get("config") if isinstance(teacher, dict) else None
    if not isinstance(config, str) or not config.startswith(TIMM) or not isinstance(student, dict):
        return raw
    if student.get("inherit"):
        raise ValueError(f"`student.inherit` needs a teacher with neck and head, and {config} is a backbone; leave it out")
    return {**raw, "student": {**student, "inherit": False}}


def known_presets(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of presets, each with a factor or without.

    Raises:
        ValueError: one is none.
    """
    for name in names:
        try:
            preset(name)
        except GenomeError as error:
            raise ValueError(str(error)) from None
    return names


def load_plugins(config: RunConfig, path: Path, *, trust: bool) -> None:
    """Load the words and heads of installed packages and those of the modules that a run.yaml names.

    Raises:
        ConfigError: the file names modules without `trust`, or a plugin cannot be loaded.
    """
    if config.plugins and not trust:
        names = ", ".join(config.plugins)
        raise ConfigError(f"{path}: plugins: {names} is Python code that would run here; read it, and add --trust-config to run it.")
    plugins.load([*plugins.installed(), *config.plugins])


def is_remote(address: str) -> bool:
    """True for what is not a path of this machine: an object of the store, or a file on a volume of the cluster."""
    return address.startswith(("s3://", "pvc://"))


def located(value: str | None, info: ValidationInfo) -> str | None:
    """A path made absolute from the folder of run.yaml; addresses and None stay."""
    if value is None or is_remote(value) or info.context is None:
        return value
    return str((Path(info.context["folder"]) / value).resolve())


def did_you_mean(what: str, word: str, words: tuple[str, ...]) -> str:
    """One line for an unknown word: the nearest known one, or all of them."""
    near = get_close_matches(word, words, n=1)
    return f"unknown {what} {word!r}: " + (f"did you mean {near[0]}?" if near else f"choose from {', '.join(words)}")


def load(path: Path, pair: str = "") -> RunConfig:
    """Read and check a run.yaml.

    Args:
        path: of the file.
        pair: name of a tested pair, whose configs teacher and student take; "" is that of the file's key `pair`, if it has one.

    Raises:
        ConfigError: the file is missing, is not YAML, or breaks rules; the message has one line per fault, with its place.
    """
    try:
        raw = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give the path of a run.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not YAML: {yaml_fault(error)}") from None
    if isinstance(raw, dict) and (name := pair or raw.get("pair")):
        raw = with_pair(path, {key: value for key, value in raw.items() if key != "pair"}, str(name))
    config, faults = validated(raw, path.resolve().parent)
    if config is None:
        raise ConfigError("\n".join(f"{path}: {where}: {words}" if where else f"{path}: {words}" for where, words in faults))
    return config


def validated(raw: Any, folder: Path | None = None) -> tuple[RunConfig | None, list[tuple[str, str]]]:
    """The content of a run.yaml as a run, or every fault of it: its place, such as `search.top_k`, and what is wrong there.

    Args:
        raw: the content.
        folder: what relative paths are relative to; None leaves them as they are.
    """
    try:
        return RunConfig.model_validate(raw, context=None if folder is None else {"folder": folder}), []
    except ValidationError as error:
        return None, [(place(fault["loc"]), message(fault)) for fault in error.errors()]


def with_pair(path: Path, raw: dict[str, Any], name: str) -> dict[str, Any]:
    """The content of a run.yaml with the configs and options of a tested pair; options of the file go over the pair's.

    Raises:
        ConfigError: no such pair, or the file names a config beside it.
    """
    found = tested_pair(name)
    for role, side in (("teacher", found.teacher), ("student", found.student)):
        given = raw.get(role) or {}
        if not isinstance(given, dict) or "config" in given:
            raise ConfigError(f"{path}: {role}.config: the pair {name} names it already; leave out one of the two")
        raw[role] = {**given, "config": side.config, "options": {**side.options, **(given.get("options") or {})}}
    return raw


def place(location: tuple[int | str, ...]) -> str:
    """`search.top_k` for a fault's place; empty for the file as a whole."""
    return ".".join(map(str, location))


def message(fault: Any) -> str:
    """One line for one pydantic fault: the rule, the value and, for an unknown key, the nearest known one."""
    if fault["type"] == "extra_forbidden":
        return did_you_mean("key", str(fault["loc"][-1]), keys_beside(fault["loc"]))
    if fault["type"] == "string_pattern_mismatch":
        return f"must be {PATTERNS[fault['ctx']['pattern']]}, but got {fault['input']!r}"
    text = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] in ("missing", "value_error"):
        return "is required" if fault["type"] == "missing" else text
    return f"{text}, but got {fault['input']!r}"


def keys_beside(location: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys that are allowed where an unknown one was found."""
    model: type[BaseModel] = RunConfig
    for step in location[:-1]:
        annotation = model.model_fields[str(step)].annotation if str(step) in model.model_fields else None
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), model)
    return tuple(model.model_fields)
