"""Detector configs: found by name or path, adapted to a data set, built into modules."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import mmdet
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from detkds.detectors.backbone_teacher import BackboneTeacher, is_backbone
from detkds.detectors.configs.pixels import fold_normalisation
from detkds.detectors.silence import silence
from detkds.errors import ConfigError

SUFFIXES = (".yaml", ".yml", ".json")
"""How the name of a config file ends that holds data, see `data_config`."""


def load_config(config: str, *, trust: bool) -> Config:
    """A detector config by mmdet's own name or by path.

    Args:
        config: a name of mmdet's own, such as `retinanet/retinanet_r50_fpn_1x_coco` (the folder and `.py` may be left out where that is
            unambiguous), or the path of a config file. mmdet's names come first, so nothing in the current folder can stand in for them.
        trust: whether files that are not mmdet's own may be read. A config is a program: `.py` files run, and in every format the
            `type` words import what they name.

    Returns:
        A new mmengine Config with a `model`.

    Raises:
        ConfigError: no such name or file, an untrusted file, or a file that cannot be read as a detector config.
    """
    path = _own_configs().get(config.removesuffix(".py"))
    if path is None:
        path = _local_file(config, trust)
    try:
        with silence():
            loaded = Config.fromfile(str(path))
    except Exception as error:  # a config is a program: anything may come out of it
        raise ConfigError(f"the config {config} cannot be read: {_one_line(error)}; try it with mmdet alone.") from error
    if not isinstance(loaded.get("model"), dict):
        raise ConfigError(f"the config {config} has no `model` dictionary, so it describes no detector; give a full detector config.")
    return loaded


def _local_file(config: str, trust: bool) -> Path:
    path = Path(config).expanduser()
    if not path.is_file():
        near = get_close_matches(config.removesuffix(".py"), _own_configs(), n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else "give the path of a file or a name such as retinanet/retinanet_r50_fpn_1x_coco."
        raise ConfigError(f"{config!r} is neither a file nor one of mmdet's own configs: {hint}")
    if path.suffix not in (".py", *SUFFIXES):
        raise ConfigError(f"the config file {config} must end in .py, {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}; rename it.")
    if not trust and path.suffix == ".py":
        raise ConfigError(f"the config file {config} is code that would run here; add --trust-config if you know its author.")
    if not trust:
        raise ConfigError(
            f"the config file {config} could import code by its `type` words; read it with read_config of "
            "detkds.detectors.configs.data_config, which allows none, or pass trust=True if you know its author."
        )
    return path


@cache
def _own_configs() -> dict[str, Path]:
    """mmdet's configs by `folder/name`, and by `name` where only one folder has it."""
    root = Path(mmdet.__file__).parent / ".mim" / "configs"
    paths = [path for path in sorted(root.rglob("*.py")) if "_base_" not in path.parts]
    full = {path.relative_to(root).with_suffix("").as_posix(): path for path in paths}
    stems = [path.stem for path in paths]
    return full | {path.stem: path for path in paths if stems.count(path.stem) == 1}


@dataclass(frozen=True)
class Adapted:
    """A config made for a data set, and what was changed to get there, one line per change."""

    config: Config
    changes: tuple[str, ...]


def adapt(config: Config, classes: tuple[str, ...], *, pretrained_backbone: bool = False) -> Adapted:
    """The config for these classes, without downloads.

    Every head gets the class count, every data set the class names. Pretrained initialisations are taken out: nothing is fetched behind
    the user's back, and weights come in by `apply_weights` and `apply_backbone` only. A backbone that then starts from scratch cannot keep
    frozen stages or frozen batch statistics; these are freed unless `pretrained_backbone` says that its weights will come.
    What pipelines do to pixel values is moved into the data preprocessor, see `fold_normalisation`.

    Args:
        config: a full detector config; not changed.
        classes: class names in the order of the data set's category ids; at least one.
        pretrained_backbone: weights for the backbone will be applied after the build.

    Raises:
        ConfigError: no class, a model without any head that has a class count, or a normalisation that cannot be followed.
    """
    if not classes:
        raise ConfigError("a detector needs at least one class, got none; look at the categories of the data set.")
    adapted = copy.deepcopy(config)
    if is_backbone(adapted.model):
        return Adapted(adapted, ())
    changes = [*_set_class_count(adapted.model, len(classes)), *_drop_downloads(adapted), *fold_normalisation(adapted)]
    if not pretrained_backbone:
        changes += _free_backbone(adapted.model)
    for node in _dicts(adapted._cfg_dict):
        if str(node.get("type")).endswith("Dataset"):
            node.metainfo = {"classes": tuple(classes)}
    return Adapted(adapted, tuple(changes))


def own_class_count(config: Config) -> int:
    """How many classes the heads of a config tell apart as it stands.

    Raises:
        ConfigError: no head has a class count.
    """
    return max(int(node.num_classes) for _, node in _class_heads(config.model))


def _set_class_count(model: Any, count: int) -> list[str]:
    """Write `count` into every head."""
    nodes = _class_heads(model)
    changes = [f"model.{name}: num_classes {node.num_classes} -> {count}" for name, node in nodes if node.num_classes != count]
    for _, node in nodes:
        node.num_classes = count
    return changes


def _class_heads(model: Any) -> list[tuple[str, Any]]:
    """The heads with a class count; the RPN's single class and a semantic head's stuff classes are not the data set's."""
    heads = [(name, head) for name, head in model.items() if name.endswith("head") and name != "rpn_head"]
    nodes = [(name, node) for name, head in heads for node in _dicts(head, skip=("semantic_head",)) if "num_classes" in node]
    if not nodes:
        seen = ", ".join(name for name, _ in heads) or "none"
        raise ConfigError(f"no head of {model.get('type')} has num_classes, so it cannot be adapted to a data set; heads seen: {seen}.")
    return nodes


def _drop_downloads(config: Config) -> list[str]:
    changes = []
    for node in _dicts(config._cfg_dict):
        init = node.get("init_cfg")
        if isinstance(init, dict) and init.get("type") == "Pretrained":
            changes.append(f"{node.get('type')}: pretrained weights {init.get('checkpoint')} left out, nothing is downloaded")
            node.init_cfg = None
        for key in ("pretrained", "load_from"):
            if isinstance(node.get(key), str):
                changes.append(f"{node.get('type', 'config')}: {key} {node[key]} left out, nothing is downloaded")
                node[key] = None
    return changes


def _free_backbone(model: Any) -> list[str]:
    free = {"frozen_stages": -1, "norm_eval": False}
    backbone = model.get("backbone", {})
    changed = {key: value for key, value in free.items() if key in backbone and backbone[key] != value}
    changes = [f"backbone: {key} {backbone[key]} -> {value}, as it starts from scratch" for key, value in changed.items()]
    backbone.update(changed)
    return changes


def _dicts(node: Any, skip: tuple[str, ...] = ()) -> Iterator[Any]:
    """Every dictionary inside, the outermost first."""
    if isinstance(node, dict):
        yield node
        for key in list(node):
            if key not in skip:
                yield from _dicts(node[key], skip)
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from _dicts(item, skip)


def build_detector(config: Config, *, seed: int) -> nn.Module:
    """The detector of a config with its initial weights, on the CPU, in training mode.

    Args:
        config: a full config, adapted to the data set; not changed.
        seed: of the initial weights; the same seed gives the same bytes. The global generator is left as it was.

    Raises:
        ConfigError: the config names a part that does not exist or gives it wrong arguments.
    """
    init_default_scope("mmdet")
    with silence(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            if is_backbone(config.model):
                return BackboneTeacher(config.model.name, config.model.options)
            detector: Any = MODELS.build(copy.deepcopy(config.model))
            detector.init_weights()
        except ConfigError:
            raise
        except Exception as error:  # constructors of many libraries: anything may come out of them
            raise ConfigError(f"the detector {config.model.get('type')} cannot be built: {_one_line(error)}") from error
    built: nn.Module = detector
    return built


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
