"""Submit a run.yaml to Kubeflow Pipelines and follow it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from detkds import config as run_config
from detkds import launch
from detkds.config import RunConfig, is_remote
from detkds.errors import ConfigError
from detkds.kubeflow.package import VOLUMES, compiled, parameter_defaults, with_resources
from detkds.kubeflow.remote import Cluster, Endpoint, Outcome, Pace
from detkds.storage.s3_settings import ENDPOINT
from detkds.storage.uri import open_store

DIGEST = re.compile(r"^[^@\s]+@sha256:[0-9a-f]{64}$")


def submit(
    path: Path,
    endpoint: Endpoint,
    *,
    home: Path,
    image: str,
    any_image: bool,
    recipe: str,
    experiment: str,
    trust: bool,
    pace: Pace,
    wait: bool,
    console: Console,
) -> Outcome:
    """Create a run from a run.yaml and, unless told otherwise, follow it to its end.

    Raises:
        ConfigError: the run cannot go to a cluster as it is written; the message says what to change.
        ClusterError: the API cannot be reached or refuses.
    """
    config = run_config.load(path)
    _check(path, config, image, any_image)
    parameters = _parameters(config, home.resolve(), trust, console) | {"image": image}
    pipeline = "transfer" if recipe else "search"
    package = with_resources(compiled(pipeline), config.resources, config.claims())
    known = parameter_defaults(package)
    values = {name: value for name, value in {**parameters, "recipe": recipe}.items() if name in known}
    cluster = Cluster(endpoint)
    run = cluster.create(package, values, name=config.name, experiment=experiment)
    console.print(f"run {run}: {cluster.page(run)}", markup=False, soft_wrap=True)
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


def _check(path: Path, config: RunConfig, image: str, any_image: bool) -> None:
    """What only a cluster asks of a run.

    Raises:
        ConfigError: one line a fault.
    """
    faults = []
    if not is_remote(config.data.root):
        faults.append(f"data.root is the folder {config.data.root}, which no pod can read; put it into the store: detkds data push")
    if config.teacher.train:
        faults.append("teacher.train is for this machine; train it once with detkds run, and name its file as teacher.checkpoint")
    if config.resources.gpus > 1:
        faults.append(f"resources.gpus is {config.resources.gpus}, but a task trains on one GPU so far; set it to 1")
    if not any_image and not DIGEST.match(image):
        faults.append(
            f"image {image!r} must be named by digest (NAME@sha256:...), because Kubeflow's cache takes a rebuilt tag for the old one; "
            "see images/digests.txt, or accept any with --any-image"
        )
    if faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))


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
