"""What a config requires of training and this loop does not do, so that it is refused by name instead of ignored."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.utils import is_method_overridden

from detkds.detectors.silence import silence
from detkds.detectors.training import moments
from detkds.detectors.training.hooks import SEEN, wanted
from detkds.errors import ConfigError

_KEYS = {
    "runner_type": (("Runner",), "leave it out; the training here is that of mmengine's Runner"),
    "strategy": ((), "leave it out; several GPUs share a batch by resources.gpus"),
    "activation_checkpointing": ((), "leave it out and take a smaller train.batch_size"),
    "efficient_conv_bn_eval": ((), "leave it out"),
    "model_wrapper_cfg": ((), "leave it out; several GPUs share a batch by resources.gpus"),
}
_TYPES = {
    "train_cfg": (("EpochBasedTrainLoop", "IterBasedTrainLoop"), "use EpochBasedTrainLoop"),
    "optim_wrapper": (("OptimWrapper", "AmpOptimWrapper"), "use OptimWrapper, or AmpOptimWrapper for mixed precision"),
    "train_dataloader.sampler": (("DefaultSampler", "InfiniteSampler"), "use DefaultSampler"),
    "train_dataloader.batch_sampler": (("AspectRatioBatchSampler", "BatchSampler"), "use AspectRatioBatchSampler, or none"),
    "train_dataloader.collate_fn": (("pseudo_collate",), "leave it out; batches are lists of images and samples"),
    "optim_wrapper.optimizer": (None, "use its inner optimizer"),
}
"""Parts of a config: the types that are done (None: all but those of _REFUSED), and what to write instead of another."""
_REFUSED = ("ZeroRedundancyOptimizer", "DeepSpeedFP16Optimizer")
_WRAPPERS = ("MultiImageMixDataset", "RepeatDataset", "ClassBalancedDataset")
_VALIDATION = tuple(f"{when}_{what}" for when in ("before", "after") for what in ("val", "val_epoch", "val_iter"))
_VALIDATION_IS_ALIKE = ("EMAHook", "NumClassCheckHook", "SyncNormHook", "SyncBuffersHook")
"""Hooks whose part in validations changes nothing in the student: what they do there, they do for a checkpoint too, or undo."""
_HOOKS = {
    "MeanTeacherHook": "it averages a semi-supervised model; train the detector itself, with EMAHook",
    "EarlyStoppingHook": "no validation takes place during training; give train.epochs",
}


def require(config: Config) -> None:
    """Do nothing for a config whose training is supported.

    Raises:
        ConfigError: see `refusals`; one line each.
    """
    found = refusals(config)
    if found:
        raise ConfigError("\n".join(found))


def refusals(config: Config) -> list[str]:
    """What a full detector config requires of training and this loop does not do: one line each, with what to write instead."""
    return [*_keys(config), *_parts(config), *_data(config), *moments.faults(config), *_hooks(config)]


def _keys(config: Config) -> Iterator[str]:
    for key, (done, instead) in _KEYS.items():
        value = config.get(key)
        if value and value not in done:
            yield f"{key} is not done by this training: {instead}."


def _parts(config: Config) -> Iterator[str]:
    for path, (done, instead) in _TYPES.items():
        kind = _type(_at(config, path))
        if kind is not None and (kind in _REFUSED if done is None else kind not in done):
            yield f"{path}: {kind} is not done by this training: {instead}."
    if _at(config, "train_dataloader.num_batch_per_epoch"):
        yield "train_dataloader.num_batch_per_epoch is not done by this training: leave it out; an epoch is one pass over the images."
    if _type(_at(config, "model.data_preprocessor")) == "MultiBranchDataPreprocessor":
        yield "model.data_preprocessor: MultiBranchDataPreprocessor is for semi-supervised training: train the detector itself."


def _data(config: Config) -> Iterator[str]:
    dataset = _at(config, "train_dataloader.dataset")
    while isinstance(dataset, Mapping) and isinstance(dataset.get("dataset"), Mapping):
        if _type(dataset) not in _WRAPPERS:
            yield f"train_dataloader.dataset: {_type(dataset)} is not done by this training: use one of {', '.join(_WRAPPERS)}."
        dataset = dataset["dataset"]
    if isinstance(dataset, Mapping) and not isinstance(dataset.get("pipeline"), list):
        yield f"train_dataloader.dataset: {_type(dataset)} must be one data set with a pipeline: merge the annotation files into one."


def _hooks(config: Config) -> Iterator[str]:
    init_default_scope("mmdet")
    for options in wanted(config):
        name = _type(options) or "a hook without type"
        with silence():
            hook = options.get("type") if isinstance(options.get("type"), type) else HOOKS.get(str(options.get("type")))
        if reason := _hook_refused(name, hook):
            yield f"custom_hooks: {name} cannot run here: {reason}."
        if any(_type(step) == "Normalize" for step in options.get("switch_pipeline", ())):
            yield f"custom_hooks: {name}: Normalize in its pipeline cannot be followed: write mean and std into data_preprocessor."


def _hook_refused(name: str, hook: Any) -> str | None:
    if hook is None:
        return "no hook of this name is registered; import its module with custom_imports, or leave it out"
    if name in _HOOKS:
        return _HOOKS[name]
    if name not in _VALIDATION_IS_ALIKE and any(is_method_overridden(moment, Hook, hook) for moment in _VALIDATION):
        return "it acts on validations, and none takes place during training; leave it out, or do the work in its after_train"
    unseen = sorted(_asked_of_the_runner(hook) - SEEN)
    return f"it uses {', '.join(unseen)} of the runner, which this training does not have; leave it out" if unseen else None


def _asked_of_the_runner(hook: type) -> set[str]:
    """Names that a hook's training methods read from their `runner`; none where its source cannot be read."""
    names: set[str] = set()
    for kind in hook.__mro__[:-1]:
        if kind is Hook:
            break
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
        except (OSError, TypeError, SyntaxError):
            continue
        for method in ast.walk(tree):
            if isinstance(method, ast.FunctionDef) and not any(part in method.name for part in ("val", "test")):
                names |= {node.attr for node in ast.walk(method) if _is_runner(node)}  # type: ignore[attr-defined]
    return names


def _is_runner(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "runner"


def _at(config: Any, path: str) -> Any:
    for key in path.split("."):
        config = config.get(key) if isinstance(config, Mapping | Config) else None
    return config


def _type(part: Any) -> str | None:
    """The bare name of a part's type."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    return kind.__name__ if isinstance(kind, type) else None if kind is None else str(kind).rpartition(".")[2]
