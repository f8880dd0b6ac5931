"""Submit a run.yaml to Kubeflow Pipelines and follow it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from detkds import plugins
from detkds.errors import ConfigError, DetKDSError
from detkds.lint import Finding, ImagePolicy, Package, documents, examine
from detkds.pipeline import run_config
from detkds.pipeline.addresses import config_address, data_version, student_address, teacher_address
from detkds.pipeline.form import Form
from detkds.pipeline.kubeflow import given
from detkds.pipeline.kubeflow.package import VOLUMES, compiled, parameter_defaults
from detkds.pipeline.kubeflow.remote import Cluster, Endpoint, Outcome, Pace
from detkds.pipeline.kubeflow.resources import nodes_of, with_plugins, with_resources
from detkds.pipeline.kubeflow.run_pods import RunPods
from detkds.pipeline.kubeflow.run_tasks import display_names
from detkds.pipeline.progress import shown
from detkds.pipeline.run import parameters as pipeline_parameters
from detkds.pipeline.run_config import RunConfig, is_remote
from detkds.pipeline.values import Values
from detkds.storage.s3_settings import ENDPOINT
from detkds.storage.uri import open_store

KUBEFLOW = "kubeflow"
"""The namespace of all runs of an installation for one user."""


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

    def with_torch(self) -> Images:
        """The same with one container for all tasks: plugins import torch, which the light one has not."""
        return replace(self, light=self.tasks)

    def parameters(self) -> dict[str, str]:
        """Those that are named, by the parameter of the pipelines."""
        named = {"image": self.tasks, "light_image": self.light or self.tasks}
        return {name: image for name, image in named.items() if image}


@dataclass(frozen=True)
class Creation:
    """How a run is created.

    Args:
        experiment: that it belongs to.
        service_account: of its tasks; empty: that of the installation.
        retries: how often it is created again when it failed.
        wait: follow it to its end.
    """

    experiment: str = "detkds"
    service_account: str = ""
    retries: int = 0
    wait: bool = True


def submit(
    path: Path,
    endpoint: Endpoint,
    *,
    home: Path,
    images: Images,
    package: Path | None,
    recipe: str,
    creation: Creation,
    trust: bool,
    pace: Pace,
    console: Console,
    said: dict[str, str] | None = None,
) -> Outcome:
    """Create a run from a run.yaml and, unless asked not to, follow it to its end.

    A failed run that is created again reuses what the previous one left: KFP's cache supplies its finished tasks, and journals and
    checkpoints in the bucket the rest.

    Args:
        path: of the run.yaml.
        endpoint: of Kubeflow Pipelines.
        home: where configs are kept before they go into the store.
        images: of the tasks.
        package: file of a compiled pipeline to submit with the run.yaml's parameters and resources; None: the one of this version.
        recipe: train with it instead of searching.
        creation: of the run.
        trust: run the Python code of plugins and of config files.
        pace: how the run is followed.
        console: where it is shown.
        said: gets the run's id, its page and where results go.

    Raises:
        ConfigError: the run cannot go to a cluster as it is written; one line for each reason, and nothing was sent.
        ClusterError: the API cannot be reached or refuses.
    """
    cluster = Cluster(endpoint)
    cluster.reach()
    config = run_config.load(path)
    run_config.load_plugins(config, path, trust=trust)
    images = images.with_torch() if plugins.loaded() else images
    text, values = _prepared(path, config, home.resolve(), images, package, recipe, trust, console)
    pods = RunPods(endpoint.namespace or KUBEFLOW)
    names = display_names(documents.read(text)[0])
    for attempt in range(creation.retries + 1):
        run = cluster.create(text, values, name=config.name, experiment=creation.experiment, service_account=creation.service_account)
        console.print(f"run {run}: {cluster.page(run)}", markup=False, soft_wrap=True)
        if attempt == 0 and not recipe:
            console.print(f"its search: detkds watch {config.name} --work {_work(config)}", markup=False, soft_wrap=True)
        if said is not None:
            said |= {"run": run, "page": cluster.page(run), "results": f"s3://{config.store.bucket}/runs/{config.name}"}
        if not creation.wait:
            return Outcome.SUCCEEDED
        results = f"s3://{config.store.bucket}/runs/{config.name}"
        outcome = follow(run, cluster, pace=pace, console=console, results=results, names=names, pods=pods)
        if outcome is not Outcome.FAILED or attempt == creation.retries:
            break
        console.print(f"created again, {attempt + 1} of {creation.retries}: finished tasks and journals are kept", markup=False)
    return outcome


def follow(
    run: str,
    cluster: Cluster,
    *,
    pace: Pace,
    console: Console,
    results: str = "",
    names: Mapping[str, str] | None = None,
    pods: RunPods | None = None,
) -> Outcome:
    """Show a run's tasks until it ends, and say how."""
    pods = pods or RunPods(cluster.namespace or KUBEFLOW)
    outcome = cluster.follow(run, show=shown(console), pace=pace, names=names, pods=pods)
    said = {
        Outcome.SUCCEEDED: f"succeeded; results at {results}" if results else "succeeded",
        Outcome.FAILED: f"failed; the tasks' logs are at {cluster.page(run)}",
        Outcome.CANCELED: "was cancelled",
        Outcome.TIMED_OUT: f"still runs after {pace.timeout_s / 3600:.1f} h; follow it again: detkds submit --follow {run}",
    }
    console.print(f"run {run} {said[outcome]}", markup=False, soft_wrap=True)
    return outcome


def _prepared(
    path: Path, config: RunConfig, home: Path, images: Images, package: Path | None, recipe: str, trust: bool, console: Console
) -> tuple[str, dict[str, Any]]:
    """The package and the parameters of the run; files of this machine are in the store then.

    Raises:
        ConfigError: every reason why the run cannot go to a cluster, one line each; nothing is in the store then.
    """
    faults = [f"{path}: {fault}" for fault in _only_here(config, images, package)]
    addresses, more = _addresses(config, home, trust)
    faults += [f"{path}: {fault}" for fault in more]
    ours = compiled("transfer" if recipe else "search")
    names = parameter_defaults(ours).keys() - ({"image", "light_image"} - images.parameters().keys())
    text = ours
    try:
        text = given.read(package, names) if package else ours
        text = with_resources(text, config.resources, config.claims(), run=config.name, nodes=nodes_of(config))
        text = with_plugins(text, plugins.loaded())
    except ConfigError as error:
        faults += str(error).splitlines()
    else:
        if images.tasks or package is not None:
            faults += _broken(package or path, text, images)
    if faults:
        raise ConfigError("\n".join(faults))
    told = Values.read(_parameters(config, addresses, console))
    parameters = {**Form.of(told).parameters(), **images.parameters(), "recipe": recipe}
    values = {name: value for name, value in parameters.items() if name in names}
    _broken_arguments(package or path, text, values, images)
    return text, values


def _only_here(config: RunConfig, images: Images, package: Path | None) -> Iterator[str]:
    """What of a run only this machine can do."""
    if not is_remote(config.data.root):
        yield f"data.root is the folder {config.data.root}, which no pod can read; put it into the store: detkds data push"
    unlabelled = config.data.unlabelled
    if unlabelled and not is_remote(unlabelled.images) and Path(unlabelled.images).is_absolute():
        yield f"data.unlabelled.images is the folder {unlabelled.images}, which no pod can read; put it into the store: detkds data push"
    if config.teacher.generations:
        yield "teacher: self is for this machine; run it with detkds run, or name a student that was trained before as teacher.checkpoint"
    elif config.teacher.train:
        yield "teacher.train is for this machine; train it once with detkds run, and name its file as teacher.checkpoint"
    if not images.tasks and plugins.loaded():
        yield "plugins need an image that has them; build one on top of the project's, and name it with --image or DETKDS_IMAGE"
    elif not images.tasks and package is None:
        yield "no image is named: give --image or DETKDS_IMAGE; `make images` builds one and build/images.json names it"


def _teacher_address(config: RunConfig, home: Path, trust: bool) -> str:
    """The teacher's config with the run's settings for it. Without a store, a name of mmdet's stays a name and carries no settings."""
    teacher = config.teacher
    asked = os.environ.get(ENDPOINT) or teacher.scale != 1 or teacher.min_ap is not None or teacher.others or teacher.momentum is not None
    if not asked:
        return config_address(teacher, home, trust)

    def placed(address: str) -> str:
        if _is_here(address) and not os.environ.get(ENDPOINT):
            raise ConfigError(f"{address} must go into the store, but {ENDPOINT} is not set; set it with its keys.")
        return str(_mounted(_in_store(config, address)))

    return teacher_address(teacher, home, trust, placed)


def _addresses(config: RunConfig, home: Path, trust: bool) -> tuple[dict[str, str], list[str]]:
    """Addresses of configs and checkpoints by parameter, local paths if they are here; and why they cannot go into the store."""
    found: dict[str, str] = {"teacher_checkpoint": config.teacher.checkpoint or "", "student_checkpoint": config.student.checkpoint or ""}
    faults = []
    addresses = {"teacher": _teacher_address, "student": student_address}
    for role, address in addresses.items():
        try:
            found[f"{role}_config"] = address(config, home, trust)
        except DetKDSError as error:
            faults.append(f"{role}: {error}")
    here = [address for address in found.values() if _is_here(address)]
    if here and not os.environ.get(ENDPOINT):
        faults.append(f"{', '.join(here)} must go into the store, but {ENDPOINT} is not set; set it with its keys.")
    elif here:
        try:
            open_store(f"s3://{config.store.bucket}/inputs").ensure_bucket()
        except DetKDSError as error:
            faults.append(str(error))
    return found, faults


def _broken(path: Path, package: str, images: Images) -> list[str]:
    """The rules of a cluster that a package breaks, each once, so that a run does not fail there after hours of waiting."""
    return _lines(path, examine(Package.parse(package), images.parameters(), ImagePolicy(digest=not images.any_name)))


def _broken_arguments(path: Path, package: str, values: Mapping[str, Any], images: Images) -> None:
    """Hold the run's parameters against the rules too.

    Raises:
        ConfigError: one line per fault.
    """
    found = examine(Package.parse(package), values, ImagePolicy(digest=not images.any_name))
    if found:
        raise ConfigError("\n".join(_lines(path, found)))


def _lines(path: Path, findings: Sequence[Finding]) -> list[str]:
    """One line for each different finding: where it is first, and in how many other places."""
    places: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        places.setdefault((finding.rule, finding.message), []).append(finding.where)
    lines = []
    for (rule, message), where in places.items():
        more = f" and {len(where) - 1} more" if len(where) > 1 else ""
        hint = " Or accept tags with --any-image." if rule == "image" and "digest" in message else ""
        lines.append(f"{path}: {where[0]}{more}: {message}{hint} [{rule}]")
    return lines


def _parameters(config: RunConfig, addresses: Mapping[str, str], console: Console) -> dict[str, Any]:
    """The pipeline's parameters; files of this machine go into the store, under their digests."""
    stored = {name: _in_store(config, address) for name, address in addresses.items()}
    asked = bool(os.environ.get(ENDPOINT))
    if not asked:
        console.print(f"{ENDPOINT} is not set: the store was not asked whether the data changed under its address", style="dim")
    checkpoint = stored["teacher_checkpoint"]
    version = data_version(config, checkpoint) if asked else plugins.loaded()
    results = f"s3://{config.store.bucket}/runs"
    values = pipeline_parameters(config, stored["teacher_config"], checkpoint, stored["student_config"], results, version=version)
    values["student_checkpoint"] = stored["student_checkpoint"]
    values["work"] = _work(config)
    return {name: _mounted(value) for name, value in values.items()}


def _is_here(address: str) -> bool:
    """Whether an address is a file of this machine."""
    return bool(address) and not is_remote(address) and Path(address).is_file()


def _work(config: RunConfig) -> str:
    """Where the run keeps unfinished work."""
    return f"s3://{config.store.bucket}/work" if config.store.work is None else config.store.work


def _in_store(config: RunConfig, address: str) -> str:
    """An address that a pod can read: a file of this machine is uploaded once, under its digest; anything else stays."""
    if not _is_here(address):
        return address
    path, store = Path(address), open_store(f"s3://{config.store.bucket}/inputs")
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
