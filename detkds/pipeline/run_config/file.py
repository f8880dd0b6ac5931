"""Reading a run.yaml: the file, the pair that it names, the plugins that it loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from detkds import plugins
from detkds.errors import ConfigError
from detkds.pairs import pair as tested_pair
from detkds.pipeline.run_config.faults import validated
from detkds.pipeline.run_config.run import RunConfig
from detkds.yaml_reading import read_yaml, yaml_fault


def load(path: Path, pair: str = "") -> RunConfig:
    """Read and check a run.yaml.

    Args:
        path: of the file.
        pair: name of a tested pair, whose configs teacher and student take; "" is that of the file's key `pair`, if it has one.

    Raises:
        ConfigError: the file is missing, is not YAML, or breaks rules; the message has one line per fault, with its place.
    """
    try:
        raw = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give the path of a run.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not YAML: {yaml_fault(error)}") from None
    if raw is None:
        raise ConfigError(f"{path}: is empty; `detkds init FOLDER` writes a run.yaml for a data set, and examples/ has some")
    if isinstance(raw, dict) and (name := pair or raw.get("pair")):
        raw = with_pair(path, {key: value for key, value in raw.items() if key != "pair"}, str(name))
    config, faults = validated(raw, path.resolve().parent)
    if config is None:
        raise ConfigError("\n".join(f"{path}: {where}: {words}" if where else f"{path}: {words}" for where, words in faults))
    return config


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


def load_plugins(config: RunConfig, path: Path, *, trust: bool) -> None:
    """Load the words and heads of installed packages and those of the modules that a run.yaml names.

    Raises:
        ConfigError: the file names modules without `trust`, or a plugin cannot be loaded.
    """
    if config.plugins and not trust:
        names = ", ".join(config.plugins)
        raise ConfigError(f"{path}: plugins: {names} is Python code that would run here; read it, and add --trust-config to run it.")
    plugins.load([*plugins.installed(), *config.plugins])
