"""From a run.yaml to a run: detectors as data, a teacher, the pipeline's parameters, the store, the pipeline itself."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from detkds.pipeline import run_config
from detkds.pipeline.progress import columns
from detkds.pipeline.provenance import source_digest
from detkds.pipeline.run_config import Detector, RunConfig, Teacher, is_remote
from detkds.pipeline.settings import Pair, Schedule, Source
from detkds.pipeline.task import RUN
from detkds.pipeline.workplace import digest
from detkds.search.budgets import is_time
from detkds.storage.artifacts import write_atomic
from detkds.storage.fetch import fingerprint
from detkds.storage.s3_settings import ENDPOINT

if TYPE_CHECKING:
    from mmengine.config import Config

SEED_OF_TEACHER = 0
VISIBLE = "CUDA_VISIBLE_DEVICES"


def launch(path: Path, *, home: Path, trust: bool, console: Console, recipe: str = "", pair: str = "") -> None:
    """Run the search pipeline of a run.yaml on this machine, or with a recipe the transfer pipeline, and print what came out."""
    from detkds.pipeline import publish as published
    from detkds.pipeline.kubeflow.local import run_local
    from detkds.pipeline.kubeflow.package import compiled, parameter_defaults
    from detkds.pipeline.preflight import preflight

    show = shown(console)
    config = run_config.load(path, pair)
    preflight(config, path, home=home, trust=trust, recipe=recipe)
    home = home.resolve()
    with store(home, console) as environment:
        use(home, environment)
        use_gpus(config.resources.gpus)
        os.environ[RUN] = config.name
        results = f"s3://{config.store.bucket}/runs"
        ensure_bucket(config.store.bucket)
        parameters = prepare(config, home=home, trust=trust, results=results, show=show)
        transcript = home / "logs" / f"{config.name}.log"
        pipeline = "transfer" if recipe else "search"
        known = parameter_defaults(compiled(pipeline))
        run_local(
            pipeline,
            {name: value for name, value in {**parameters, "recipe": recipe}.items() if name in known},
            home=home,
            cache_key=code_digest()[:16],
            transcript=transcript,
            show=show,
        )
        published.show(config.name, results=results, home=home, console=console)


def shown(console: Console) -> Callable[[str], None]:
    """Print a progress line of a task, its name in colour."""

    def show(line: str) -> None:
        if line.startswith("{"):  # a task's own object of JSON
            if not console.quiet:
                console.file.write(line + "\n")
                console.file.flush()
            return
        task, text = columns(line)
        console.print(task, style="cyan", end="")
        console.print(text, markup=False, soft_wrap=True)

    return show


@contextlib.contextmanager
def store(home: Path, console: Console) -> Iterator[Mapping[str, str]]:
    """The environment of the object store: the one that DETKDS_S3_ENDPOINT names, or the embedded server while the block runs."""
    if os.environ.get(ENDPOINT):
        yield {}
        return
    from detkds.storage.server import EmbeddedServer

    with EmbeddedServer(home / "s3") as server:
        console.print(f"embedded object store at {server.endpoint}, data in {home / 's3'}", style="dim", soft_wrap=True)
        yield server.environment()


def use(home: Path, environment: Mapping[str, str]) -> None:
    """Set what the library and the tasks read from their environment; tasks run in subprocesses of this process."""
    os.environ.update(environment)
    os.environ["DETKDS_HOME"] = str(home)


def use_gpus(count: int) -> None:
    """Let this process and its tasks see the first `count` of the GPUs that they would see; a search and a training use all they see."""
    names = os.environ.get(VISIBLE)
    seen = [str(place) for place in range(count)] if names is None else [name for name in names.split(",") if name]
    os.environ[VISIBLE] = ",".join(seen[:count])


def ensure_bucket(bucket: str) -> None:
    """Make the bucket where it is missing."""
    from detkds.storage.uri import open_store

    open_store(f"s3://{bucket}").ensure_bucket()


def prepare(config: RunConfig, *, home: Path, trust: bool, results: str, show: Callable[[str], None]) -> dict[str, Any]:
    """The parameters of the search pipeline; trains the teacher first where the run says so."""
    from detkds.pipeline.teacher import run as train_teacher

    teacher_config = teacher_address(config.teacher, home, trust)
    checkpoint = config.teacher.checkpoint or ""
    if training := config.teacher.train:
        source = training.data or config.data.train
        pair = Pair("", "", config_address(config.teacher, home, trust), training.backbone or "", inherit=False)
        checkpoint = str(
            train_teacher(
                pair,
                Schedule(training.epochs, seed=SEED_OF_TEACHER),
                root=config.data.root,
                annotations=source.annotations,
                images=source.images,
                home=home,
                show=show,
            )
        )
    version = data_version(config, checkpoint)
    student_config = student_address(config, home, trust)
    if config.search.budget:
        pair = Pair(teacher_config, checkpoint, student_config, config.student.checkpoint or "", config.student.inherit)
        config = _planned(config, pair, home, show)
    return parameters(config, teacher_config, checkpoint, student_config, results, version=version)


def _planned(config: RunConfig, pair: Pair, home: Path, show: Callable[[str], None]) -> RunConfig:
    """The run with the numbers that its budget allows on this machine."""
    from detkds.pipeline.pace import training_s

    search, data, train = config.search, config.data, config.train
    pace = None
    if is_time(search.budget):
        schedule = Schedule(search.proxy_epochs, train.batch_size or 0, train.learning_rate or 0.0, train.amp, config.seed)
        source = Source(data.root, data.train.annotations, data.train.images, data.test.annotations, data.test.images)
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
    """The pipeline's parameters by name, as `pipelines/search.py` takes them.

    Raises:
        ConfigError: the budget is a time that nobody has made a plan of.
    """
    data, search, train = config.data, config.search.planned(), config.train
    return {
        "run_name": config.name,
        "results": results,
        "dataset": data.root,
        "train_annotations": data.train.annotations,
        "train_images": data.train.images,
        "test_annotations": data.test.annotations,
        "test_images": data.test.images,
        "data_version": version,
        "teacher_config": teacher_config,
        "teacher_checkpoint": teacher_checkpoint,
        "student_config": student_config,
        "student_checkpoint": config.student.checkpoint or "",
        "inherit": config.student.inherit,
        "searched": ",".join(search.knowledge),
        "semantics": search.semantics,
        "space": search.space,
        "algorithm": search.algorithm,
        "population": search.population,
        "iterations": search.iterations,
        "sample_ratio": search.sample_ratio,
        "top_k": search.top_k,
        "weights_population": search.weights.population,
        "weights_iterations": search.weights.iterations,
        "race_candidates": search.final_race.candidates,
        "race_seeds": search.final_race.seeds,
        "race_epochs": search.final_race.epochs or 0,
        "race_known": ",".join(search.final_race.known),
        "warm_start": ",".join(search.warm_start),
        "early_stop": search.early_stop,
        "subset_fraction": search.subset,
        "search_val_fraction": search.search_val,
        "subset_sizes": search.sizes,
        "subset_crowd": search.crowd,
        "subset_empty": search.empty,
        "proxy_epochs": search.proxy_epochs,
        "repeats": search.repeats,
        "epochs": train.epochs,
        "batch_size": train.batch_size or 0,
        "learning_rate": train.learning_rate or 0.0,
        "amp": train.amp,
        "seed": config.seed,
        "work": "",
        "gpus": str(config.resources.gpus),
        "train_nodes": train.nodes,
    }


def teacher_address(teacher: Teacher, home: Path, trust: bool) -> str:
    """The teacher's config as a data file that also carries what the run asks of the teacher: at which scale and from which AP on it
    teaches. Every stage reads it there."""
    from detkds.detectors.configs.data_config import read_config
    from detkds.pipeline.pair import AS_TEACHER

    loaded = read_config(teacher.config, trust=trust)
    loaded.merge_from_dict(teacher.options)
    loaded[AS_TEACHER] = {"scale": teacher.scale, "min_ap": teacher.min_ap}
    return _as_data(loaded, home)


def student_address(config: RunConfig, home: Path, trust: bool) -> str:
    """The student's config; where the run itself asks for images without objects, they are trained on whatever the config filters."""
    if config.search.empty != "share" or "empty" not in config.search.model_fields_set:
        return config_address(config.student, home, trust)
    from detkds.detectors.configs.data_config import read_config

    loaded = read_config(config.student.config, trust=trust)
    loaded.merge_from_dict(config.student.options)
    dataset: Any = loaded.get("train_dataloader", {}).get("dataset", {})
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    if not (dataset.get("filter_cfg") or {}).get("filter_empty_gt"):
        return config_address(config.student, home, trust)
    dataset["filter_cfg"]["filter_empty_gt"] = False
    return _as_data(loaded, home)


def config_address(detector: Detector, home: Path, trust: bool) -> str:
    """mmdet's own name as it is; any other config as a data file under its digest."""
    from detkds.detectors.configs.data_config import read_config

    loaded = read_config(detector.config, trust=trust)
    is_name = not Path(detector.config).is_file()
    if is_name and not detector.options:
        return detector.config
    loaded.merge_from_dict(detector.options)
    return _as_data(loaded, home)


def _as_data(config: Config, home: Path) -> str:
    from detkds.detectors.configs.data_config import freeze

    text = freeze(config)
    path = home / "configs" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    write_atomic(path, text)
    return str(path)


def data_version(config: RunConfig, checkpoint: str) -> str:
    """Digest of what the addresses hold, so that the cache sees when it changes under the same name."""
    addresses = [config.data.root, *config.local_files(), checkpoint, config.student.checkpoint]
    return digest([_fingerprint(address) for address in addresses if address])[:16]


def _fingerprint(address: str) -> str:
    if address.startswith("s3://"):
        return fingerprint(address)
    if is_remote(address):
        return address  # a volume of the cluster cannot be looked at from here
    path = Path(address)
    if path.is_dir():
        listing = sorted((str(file.relative_to(path)), file.stat().st_size) for file in path.rglob("*") if file.is_file())
        return digest(listing)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def code_digest() -> str:
    """Digest of this library and of what it computes with: another version answers nothing from the cache."""
    return digest([source_digest(), *(package_version(name) for name in ("torch", "onedl-mmdetection", "onedl-mmcv", "pycocotools"))])
