"""From a run.yaml to a run: detectors as data, a teacher, the pipeline's parameters, the store, the pipeline itself."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

from rich.console import Console

from detkds.errors import ConfigError
from detkds.pipeline import run_config
from detkds.pipeline.form import Form
from detkds.pipeline.progress import columns
from detkds.pipeline.provenance import source_digest
from detkds.pipeline.run_config import Detector, RunConfig, is_remote
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.task import RUN
from detkds.pipeline.values import Values
from detkds.pipeline.workplace import digest
from detkds.storage.artifacts import write_atomic
from detkds.storage.fetch import fingerprint
from detkds.storage.s3_settings import ENDPOINT

SEED_OF_TEACHER = 0
VISIBLE = "CUDA_VISIBLE_DEVICES"


def launch(path: Path, *, home: Path, trust: bool, console: Console, recipe: str = "", pair: str = "") -> None:
    """Run the search pipeline of a run.yaml on this machine, or with a recipe the transfer pipeline, and print what came out."""
    from detkds.pipeline import publish as published
    from detkds.pipeline.kubeflow.local import run_local
    from detkds.pipeline.kubeflow.package import compiled, parameter_defaults

    show = shown(console)
    config = run_config.load(path, pair)
    if config.train.nodes > 1:
        raise ConfigError(f"{path}: train.nodes is {config.train.nodes}, but this is one machine; set it to 1, or use detkds submit.")
    if claims := ", ".join(config.claims()):
        raise ConfigError(f"{path}: names the volume claim {claims}, which only a cluster has; give a folder, or use detkds submit.")
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
        given = {**Form.of(Values.read(parameters)).parameters(), "recipe": recipe}
        run_local(
            pipeline,
            {name: value for name, value in given.items() if name in known},
            home=home,
            cache_key=code_digest()[:16],
            transcript=transcript,
            show=show,
        )
        published.show(config.name, results=results, home=home, console=console)


def shown(console: Console) -> Callable[[str], None]:
    """Print a progress line of a task, its name in colour."""

    def show(line: str) -> None:
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

    teacher_config = config_address(config.teacher, home, trust)
    checkpoint = config.teacher.checkpoint or ""
    if training := config.teacher.train:
        source = training.data or config.data.train
        pair = Pair("", "", teacher_config, training.backbone or "", inherit=False)
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
    return parameters(config, teacher_config, checkpoint, config_address(config.student, home, trust), results, version=version)


def parameters(
    config: RunConfig, teacher_config: str, teacher_checkpoint: str, student_config: str, results: str, *, version: str
) -> dict[str, Any]:
    """What the tasks of a run are told, see `Values`; unfinished work is kept on this machine."""
    prepared = {"teacher_config": teacher_config, "teacher_checkpoint": teacher_checkpoint, "student_config": student_config}
    version = "-".join(filter(None, (config.data.version, version)))
    return Values.of(config, **prepared, results=results, data_version=version, work="").to_dict()


def config_address(detector: Detector, home: Path, trust: bool) -> str:
    """mmdet's own name as it is; any other config as a data file under its digest."""
    from detkds.detectors.configs.data_config import freeze, read_config

    loaded = read_config(detector.config, trust=trust)
    is_name = not Path(detector.config).is_file()
    if is_name and not detector.options:
        return detector.config
    loaded.merge_from_dict(detector.options)
    text = freeze(loaded)
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
