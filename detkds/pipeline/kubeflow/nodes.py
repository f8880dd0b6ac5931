"""A training or a search on several nodes of a cluster: its inputs go into the store, a TrainJob does the work, the outcome comes back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from detkds import plugins
from detkds.errors import ConfigError
from detkds.genome import Recipe
from detkds.pipeline import search_rank
from detkds.pipeline.kubeflow.package import LOGGER_KEYS, LOGGER_SECRET, NODE, OPTIONAL_STORE_KEYS, STORE_KEYS, VOLUMES, disk_size
from detkds.pipeline.kubeflow.trainer import Trainer
from detkds.pipeline.kubeflow.trainjob import TrainJob
from detkds.pipeline.progress import report_errors, say
from detkds.pipeline.rank import JOB, MODEL, SUBSET, Job
from detkds.pipeline.settings import Pair, Result, Schedule
from detkds.pipeline.task import RUN, WEIGHTS
from detkds.pipeline.train import KIND, content
from detkds.pipeline.values import Values
from detkds.pipeline.workplace import digest, patiently
from detkds.processes import CPUS
from detkds.storage.artifacts import verify
from detkds.storage.image_cache import CACHE_GB, DEFAULT_GB
from detkds.storage.lease import Lease
from detkds.storage.uri import is_s3, open_store

TITLE = "train nodes"
QUIET_TORCH = {"TORCH_CPP_LOG_LEVEL": "ERROR"}
"""Each process would warn at every training that all parameters were used, which parameters are not for all heads and images."""


@report_errors
def run(
    pair: Pair,
    schedule: Schedule,
    recipe: Recipe,
    *,
    subset: Path,
    out: Path,
    work: str,
    nodes: int,
    gpus: int,
    image: str,
    loggers: Sequence[str] = (),
    trainer: Callable[[], Trainer] = Trainer,
) -> Result:
    """Publish at `out` what `pipeline.train.run` would, trained on `nodes` nodes with `gpus` GPUs each.

    The same inputs are one job: a pod that starts again takes up the job that another made, and a model that exists is fetched.

    Raises:
        ConfigError: `work` is not an s3:// address, through which the nodes get their inputs.
        ClusterError: Kubernetes cannot be reached or refuses, or the job failed.
        StoreError, ArtifactError: as the parts say.
    """
    if not is_s3(work):
        raise ConfigError(f"a training on {nodes} nodes needs an s3:// address as `work`, got {work!r}; give the parameter `work`.")
    contents = {name: content(value) for name, value in asdict(pair).items()}
    inputs = {"pair": contents, "schedule": schedule, "recipe": recipe.digest, "subset": verify(subset).digest, "image": image}
    name = f"detkds-train-{digest(inputs)[:16]}"
    address = f"{work.rstrip('/')}/{name}"
    store = open_store(address)
    store.ensure_bucket()
    if store.manifest(MODEL) is None:
        store.put_folder(subset, SUBSET)
        store.put_bytes(Job(pair, schedule, recipe, work, plugins.loaded(), tuple(loggers)).dumps().encode(), JOB)
        asked = replace(job(name, address, nodes=nodes, gpus=gpus, image=image), optional_secrets={LOGGER_SECRET: LOGGER_KEYS})
        trainer().run(asked, show=lambda line: say(TITLE, line), turn=None if asked.queue else _turn(work))
    meta = store.get_folder(MODEL, out, KIND).meta
    steps = float(meta["student_steps"])
    return Result({"recipe": str(recipe), "framework": "mmdet", "digest": digest(dict(meta))}, {"student_steps": steps})


@report_errors
def search(
    study: str,
    told: Values,
    studies: Sequence[Path],
    *,
    subset: Path,
    out: Path,
    image: str,
    recipe_out: Path | None = None,
    trainer: Callable[[], Trainer] = Trainer,
) -> Result:
    """Publish at `out` what the stage of a study would (and at `recipe_out` the recipe of the search over weights), conducted by the first
    process of a TrainJob whose processes all measure candidates. The journal lies at `told.work` as that of one pod: a job that lost a node
    is made anew and resumes from it.

    Args:
        study: a knowledge, or "weights".
        told: of the stage.
        studies: artifacts that a search over weights starts from.
        subset, out, recipe_out: as of the stages.
        image: of the nodes.
        trainer: gives the API.

    Raises:
        ConfigError, ClusterError, StoreError, ArtifactError: as `run`.
    """
    work = told.work
    if not is_s3(work):
        raise ConfigError(f"a search on {told.search_nodes} nodes needs an s3:// address as `work`, got {work!r}; give `store.work`.")
    contents = {name: content(value) for name, value in asdict(told.pair).items()}
    digests = [verify(artifact).digest for artifact in (subset, *studies)]
    values = told.of_stage("weights" if study == WEIGHTS else "evolve")
    inputs = {"study": study, "values": values, "pair": contents, "artifacts": digests, "image": image, "plugins": plugins.loaded()}
    name = f"detkds-search-{digest(inputs)[:16]}"
    address = f"{work.rstrip('/')}/{name}"
    store = open_store(address)
    store.ensure_bucket()
    if not store.exists(search_rank.RESULT):
        store.put_folder(subset, search_rank.SUBSET)
        keys = tuple(f"studies/{place}" for place in range(len(studies)))
        for key, artifact in zip(keys, studies, strict=True):
            store.put_folder(artifact, key)
        described = search_rank.SearchJob(study, told.to_dict(), plugins.loaded(), keys)
        store.put_bytes(described.dumps().encode(), search_rank.JOB)
        asked = job(name, address, nodes=told.search_nodes, gpus=told.gpus, image=image, module="detkds.pipeline.search_rank")
        trainer().run(asked, show=lambda line: say(f"{study} nodes", line), turn=None if asked.queue else _turn(work))
    store.get_folder(search_rank.STUDY, out)
    if recipe_out is not None:
        store.get_folder(search_rank.RECIPE, recipe_out)
    return Result(**json.loads(store.get_bytes(search_rank.RESULT)))


@contextmanager
def _turn(work: str) -> Iterator[None]:
    """The right to make a TrainJob, which one process at a time has among those that keep their unfinished work at `work`."""
    lease = Lease(open_store(work), "trainjobs/lease.json")
    patiently(lease.__enter__, TITLE, why="makes a TrainJob once the nodes of that one are at work")
    try:
        yield
    finally:
        lease.__exit__(None, None, None)


def job(name: str, address: str, *, nodes: int, gpus: int, image: str, module: str = "detkds.pipeline.rank") -> TrainJob:
    """The TrainJob whose processes run `module` with inputs at `address`; a node gets the resources and cache of this task's package."""
    asked: dict[str, Any] = json.loads(os.environ.get(NODE, "{}"))
    asked["claims"] = tuple(asked.get("claims", ()))
    command = ("torchrun", "-m", module, address)
    cache_gb = int(float(os.environ.get(CACHE_GB) or DEFAULT_GB))
    cpus = {CPUS: str(asked["cpu"])} if "cpu" in asked else {}
    environment = {RUN: os.environ.get(RUN, ""), CACHE_GB: str(cache_gb), **cpus, **QUIET_TORCH}
    asked |= {"volumes": VOLUMES, "disk": disk_size(cache_gb)}
    asked |= {"secret_keys": STORE_KEYS, "optional_keys": OPTIONAL_STORE_KEYS, "environment": environment}
    return TrainJob(name, image, command, nodes, gpus, **asked)
