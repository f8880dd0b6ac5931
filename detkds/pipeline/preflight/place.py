"""This machine: whether it is the only one the run asks for, has the packages, can be written to and has room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from detkds.errors import ConfigError
from detkds.pipeline.preflight.facts import Facts
from detkds.pipeline.run_config import RunConfig

OF_A_CLUSTER = ("cpu", "memory_gb", "shm_gb", "cache_gb", "node_selector", "queue")
"""Keys of `resources` that a run on this machine does not read."""


def one_machine(facts: Facts) -> None:
    config, path = facts.config, facts.path
    for key, nodes in (("train.nodes", config.train.nodes), ("search.nodes", config.search.nodes)):
        if nodes > 1:
            raise ConfigError(f"{path}: {key} is {nodes}, but this is one machine; set it to 1, or use detkds submit.")
    if claims := ", ".join(config.claims()):
        raise ConfigError(f"{path}: names the volume claim {claims}, which only a cluster has; give a folder, or use detkds submit.")


def packages(facts: Facts) -> None:
    needed = {"kfp": "a run on this machine"} if facts.whole else {}
    if facts.config.search.algorithm == "tpe" and not facts.recipe:
        needed["optuna"] = "search.algorithm tpe"
    needed |= dict.fromkeys(facts.config.train.loggers, "train.loggers")
    for name, what in needed.items():
        if find_spec(name) is None:
            raise ConfigError(f"the package {name} is not installed, and {what} needs it; install it: pip install {name}.")
    if facts.config.train.compiled:
        from detkds.detectors.device import uncompilable

        if reason := uncompilable():
            raise ConfigError(f"{facts.path}: train.compiled: {reason}.")


def different_here(config: RunConfig, gpus: int) -> Iterator[str]:
    """What run.yaml asks for and a run on this machine does not have, each with what it does instead, for people. No error: the same file
    may be meant for a cluster.

    Args:
        gpus: how many this machine has.
    """
    asked, train = config.resources.gpus, config.train
    if asked > gpus and "gpus" in config.resources.model_fields_set:
        there = f"{gpus} GPU{'' if gpus == 1 else 's'}" if gpus else "no GPU"
        yield f"resources.gpus is {asked}, and this machine has {there}: a run here uses {there if gpus else 'the CPU'}"
    if train.amp and not min(asked, gpus):
        why = "this machine has no GPU" if not gpus else "resources.gpus is 0"
        yield f"train.amp is {str(train.amp).lower()}, and {why}: a run here trains in float32"
    if idle := [f"resources.{key}" for key in OF_A_CLUSTER if key in config.resources.model_fields_set]:
        yield f"{', '.join(idle)}: for a cluster, not read by a run here"


def home(facts: Facts) -> None:
    require_writable(facts.home)


def require_writable(home: Path) -> None:
    """Refuse a home that cannot be written.

    Raises:
        ConfigError: it is not a folder, or this user may not write to it.
    """
    standing = next(folder for folder in (home, *home.parents) if folder.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK | os.X_OK):
        raise ConfigError(f"--home {home} cannot be written; give a folder that can, with --home or DETKDS_HOME.")


def room(facts: Facts) -> None:
    from detkds.pipeline.cost import require_room

    if set(facts.detectors) == {"teacher", "student"}:
        require_room(facts)
