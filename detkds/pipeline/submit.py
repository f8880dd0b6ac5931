"""Submit a run.yaml to Kubeflow Pipelines and follow it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from detkds.errors import ConfigError
from detkds.lint import ImagePolicy, Package, examine
from detkds.pipeline import run as launch
from detkds.pipeline import run_config
from detkds.pipeline.form import Form
from detkds.pipeline.kubeflow import given
from detkds.pipeline.kubeflow.package import VOLUMES, compiled, parameter_defaults
from detkds.pipeline.kubeflow.remote import Cluster, Endpoint, Outcome, Pace
from detkds.pipeline.kubeflow.resources import with_resources
from detkds.pipeline.run_config import RunConfig, is_remote
from detkds.pipeline.values import Values
from detkds.storage.s3_settings import ENDPOINT
from detkds.storage.uri import open_store


@dataclass(frozen=True)
class Images:
    """The containers of a run.

    Args:
        tasks: of the tasks with a GPU; empty: as a given package says.
        light: of the tasks without a detector; empty: the same.
        any_name: accept images that are named by a tag instead of a digest.
    """

    tasks: str
    light: str = ""
    any_name: bool = False

    def parameters(self) -> dict[str, str]:
        """Those that are named, by the parameter of the pipelines."""
        named = {"image": self.tasks, "light_image": self.light or self.tasks}
        return {name: image for name, image in named.items() if image}


def submit(
    path: Path,
    endpoint: Endpoint,
    *,
    home: Path,
    images: Images,
    package: Path | None,
    recipe: str,
    experiment: str,
    service_account: str,
    trust: bool,
    pace: Pace,
    wait: bool,
    console: Console,
) -> Outcome:
    """Create a run from a run.yaml and, unless asked not to, follow it to its end.

    Args:
        path: of the run.yaml.
        endpoint: of Kubeflow Pipelines.
        home: where configs are kept before they go into the store.
        images: of the tasks.
        package: file of a compiled pipeline to submit with the run.yaml's parameters and resources; None: the one of this version.
        recipe: train with it instead of searching.
        experiment, service_account: of the run.
        trust: run the Python code of config files.
        pace: how the run is followed.
        wait: whether it is.
        console: where it is shown.

    Raises:
        ConfigError: the run cannot go to a cluster as it is written; the message says what to change.
        ClusterError: the API cannot be reached or refuses.
    """
    config = run_config.load(path)
    _check(path, config, images, package)
    ours = compiled("transfer" if recipe else "search")
    names = parameter_defaults(ours).keys() - ({"image", "light_image"} - images.parameters().keys())
    text = given.read(package, names) if package else ours
    told = Values.read(_parameters(config, home.resolve(), trust, console))
    parameters = {**Form.of(told).parameters(), **images.parameters(), "recipe": recipe}
    values = {name: value for name, value in parameters.items() if name in names}
    _examine(package or path, text, values, images)
    text = with_resources(text, config.resources, config.claims(), run=config.name, train_nodes=config.train.nodes)
    cluster = Cluster(endpoint)
    run = cluster.create(text, values, name=config.name, experiment=experiment, service_account=service_account)
    console.print(f"run {run}: {cluster.page(run)}", markup=False, soft_wrap=True)
    if not recipe:
        console.print(f"its search: detkds watch {config.name} --work {told.work}", markup=False, soft_wrap=True)
    if not wait:
        return Outcome.SUCCEEDED
    return follow(run, cluster, pace=pace, console=console, results=f"s3://{config.store.bucket}/runs/{config.name}")


def follow(run: str, cluster: Cluster, *, pace: Pace, console: Console, results: str = "") -> Outcome:
    """Show a run's tasks until it ends, and say how."""
    outcome = cluster.follow(run, show=launch.shown(console), pace=pace)
    said = {
        Outcome.SUCCEEDED: f"succeeded; results at {results}" if results else "succeeded",
        Outcome.FAILED: f"failed; the tasks' logs are at {cluster.page(run)}",
        Outcome.CANCELED: "was cancelled",
        Outcome.TIMED_OUT: f"still goes on after {pace.timeout_s / 3600:.1f} h; follow it again: detkds submit --follow {run}",
    }
    console.print(f"run {run} {said[outcome]}", markup=False, soft_wrap=True)
    return outcome


def _check(path: Path, config: RunConfig, images: Images, package: Path | None) -> None:
    """What only a cluster asks of a run.

    Raises:
        ConfigError: one line a fault.
    """
    faults = []
    if not is_remote(config.data.root):
        faults.append(f"data.root is the folder {config.data.root}, which no pod can read; put it into the store: detkds data push")
    if config.teacher.train:
        faults.append("teacher.train is for this machine; train it once with detkds run, and name its file as teacher.checkpoint")
    if not images.tasks and package is None:
        faults.append("no image is named: give --image or DETKDS_IMAGE; `make images` builds one and build/images.json names it")
    if faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))


def _examine(path: Path, package: str, values: Mapping[str, Any], images: Images) -> None:
    """Hold the package against the rules of a cluster, so that a run does not fail there after hours of waiting.

    Raises:
        ConfigError: one line a fault.
    """
    findings = examine(Package.parse(package), values, ImagePolicy(digest=not images.any_name))
    if findings:
        raise ConfigError("\n".join(f"{path}: {finding}" for finding in findings))


def _parameters(config: RunConfig, home: Path, trust: bool, console: Console) -> dict[str, Any]:
    """The pipeline's parameters; files of this machine go into the store, under their digests."""
    teacher = _in_store(config, launch.config_address(config.teacher, home, trust))
    student = _in_store(config, launch.config_address(config.student, home, trust))
    checkpoint = _in_store(config, config.teacher.checkpoint or "")
    asked = bool(os.environ.get(ENDPOINT))
    if not asked:
        console.print(f"{ENDPOINT} is not set: the store was not asked whether the data changed under its address", style="dim")
    version = launch.data_version(config, checkpoint) if asked else ""
    values = launch.parameters(config, teacher, checkpoint, student, f"s3://{config.store.bucket}/runs", version=version)
    values["student_checkpoint"] = _in_store(config, config.student.checkpoint or "")
    values["work"] = f"s3://{config.store.bucket}/work" if config.store.work is None else config.store.work
    return {name: _mounted(value) for name, value in values.items()}


def _in_store(config: RunConfig, address: str) -> str:
    """An address that a pod can read: a file of this machine is uploaded once, under its digest; anything else stays."""
    path = Path(address)
    if not address or is_remote(address) or not path.is_file():
        return address
    if not os.environ.get(ENDPOINT):
        raise ConfigError(f"{path} lies on this machine and has to go into the store, but {ENDPOINT} is not set; set it with its keys.")
    store = open_store(f"s3://{config.store.bucket}/inputs")
    store.ensure_bucket()
    key = f"{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}/{path.name}"
    if not store.exists(key):
        store.put_file(path, key)
    return store.uri(key)


def _mounted(value: Any) -> Any:
    """pvc://claim/path as the path under which a task finds it."""
    return f"{VOLUMES}/{value.removeprefix('pvc://')}" if isinstance(value, str) and value.startswith("pvc://") else value


def token_source(token_file: Path | None, environment: Mapping[str, str]) -> Any:
    """How the bearer token is read each time it is needed: from a file, else from KFP_EXISTING_TOKEN; None without either.

    Raises:
        ConfigError: the file cannot be read.
    """
    if token_file is not None:
        if not token_file.is_file():
            raise ConfigError(f"token file {token_file} does not exist; correct --token-file.")
        return lambda: token_file.read_text().strip()
    token = environment.get("KFP_EXISTING_TOKEN", "")
    return (lambda: token) if token else None
