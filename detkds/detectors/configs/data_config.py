"""Detector configs as data: a YAML or JSON file that runs no code, so that it may come from a bucket or a stranger.

mmengine imports whatever a dotted `type` names and runs `custom_imports`; here a `type` may only be a name of OpenMMLab's registries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from detkds.detectors.backbone_teacher import model_of
from detkds.detectors.configs.config import SUFFIXES, load_config
from detkds.errors import ConfigError
from detkds.pairs import TIMM
from detkds.yaml_reading import read_yaml, yaml_fault

MAX_BYTES = 1 << 20
_REGISTERED = re.compile(r"(mmdet\.|mmengine\.|mmcv\.|torch\.optim\.)?[A-Za-z_][A-Za-z0-9_]*")
_RUNS_CODE = ("custom_imports", "_base_")
_TUPLE = "$tuple"
_PAIRS = ("scale", "img_scale", "size", "crop_size", "pad_to_aspect_ratio")
"""Keys whose two numbers mmcv wants as a tuple, which YAML cannot write."""


def read_config(address: str, path: Path | None = None, *, trust: bool = False) -> Config:
    """A detector config by mmdet's own name, from a data file, or, if trusted, from a Python file; `timm/NAME` is that of a backbone.

    Args:
        address: what the user wrote.
        path: the local copy of the file, where `address` names one elsewhere.
        trust: whether Python files may run.

    Raises:
        ConfigError: there is no such config, it could run code and is not trusted, or it describes no detector.
    """
    if address.startswith(TIMM):
        return Config({"model": model_of(address)})
    if not address.endswith(SUFFIXES):
        return load_config(str(path or address), trust=trust)
    file = path or Path(address)
    content = _parse(address, file)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ConfigError(f"the config {address} must be a mapping with a `model`, but is not; give a full detector config.")
    for key, value in _entries(content):
        _require_harmless(address, key, value)
    return Config(_thaw(content))


def freeze(config: Config) -> str:
    """A config as JSON text that `read_config` reads back, the same text for the same config.

    Raises:
        ConfigError: the config holds something that is not data, such as a class.
    """
    try:
        return json.dumps(_freeze(config.to_dict()), sort_keys=True, indent=1)
    except TypeError as error:
        raise ConfigError(
            f"the config holds something that cannot be written as data: {error}; name types by their registry names."
        ) from None


def _parse(address: str, file: Path) -> Any:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ConfigError(f"the config {address} has {file.stat().st_size} bytes; a detector config has at most {MAX_BYTES}.")
        text = file.read_text()
        return json.loads(text) if address.endswith(".json") else read_yaml(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"the config {address} is not YAML: {yaml_fault(error)}") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"the config {address} cannot be read: {reason}; give a YAML or JSON file.") from None


def _require_harmless(address: str, key: str, value: Any) -> None:
    if key in _RUNS_CODE:
        raise ConfigError(f"the config {address} has the key {key}, which a data file must not have; write the config out in full.")
    if key == "type" and isinstance(value, str) and not _REGISTERED.fullmatch(value):
        raise ConfigError(f"the config {address} has the type {value!r}; a data file may only name types of OpenMMLab's registries.")


def _entries(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield str(key), value
            yield from _entries(value)
    elif isinstance(node, list):
        for item in node:
            yield from _entries(item)


def _thaw(node: Any, key: str = "") -> Any:
    if isinstance(node, dict):
        return tuple(map(_thaw, node[_TUPLE])) if set(node) == {_TUPLE} else {name: _thaw(value, name) for name, value in node.items()}
    if not isinstance(node, list):
        return node
    numbers = len(node) == 2 and all(isinstance(item, int | float) for item in node)
    return tuple(node) if numbers and key in _PAIRS else [_thaw(item, key.removesuffix("s")) for item in node]


def _freeze(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(name): _freeze(value) for name, value in node.items()}
    if isinstance(node, tuple):
        return {_TUPLE: [_freeze(item) for item in node]}
    return [_freeze(item) for item in node] if isinstance(node, list) else node
